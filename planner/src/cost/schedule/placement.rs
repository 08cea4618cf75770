//! Which board computes which task.

use std::collections::VecDeque;

use tessera_plan::dataflow::{TaskGraph, TaskId};

/// A policy.
#[derive(Debug)]
pub(super) enum Placement {
    /// As clusters do: the source takes its tasks from the front, the others get them from the back, and both
    /// prefer tasks whose inputs lie with them.
    Steal,
    /// Every board its tasks, in this order.
    Given(Vec<VecDeque<usize>>),
}

/// What a task reads of one object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    /// The task that makes it; `None`: the frame.
    pub producer: Option<usize>,
    pub bytes: u64,
}

/// What tasks read, and where it lies.
#[derive(Debug)]
pub(super) struct Objects {
    /// Per task.
    pub reads: Vec<Vec<Read>>,
    /// Board that computed a finished task.
    pub place: Vec<Option<usize>>,
}

/// Bytes that a task reads, by where they lie.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Split {
    /// Of the frame, elsewhere.
    pub frame: u64,
    /// Outputs of other tasks, elsewhere.
    pub halo: u64,
    /// With the board, the frame among it.
    pub here: u64,
}

impl Objects {
    /// Nothing is computed yet.
    pub fn new(graph: &TaskGraph) -> Self {
        let tasks = graph.tasks.iter();
        let reads = tasks.map(|t| {
            let read = t.needs.iter().map(|n| Read {
                producer: n.key.task().map(TaskId::index),
                bytes: graph.need_bytes(n) as u64,
            });
            read.collect()
        });
        Self {
            reads: reads.collect(),
            place: vec![None; graph.tasks.len()],
        }
    }

    /// The board where something lies that a task reads.
    pub fn holder(&self, r: &Read) -> Option<usize> {
        match r.producer {
            None => Some(SOURCE),
            Some(p) => self.place[p],
        }
    }

    /// What `task` reads, seen from `board`.
    pub fn split(&self, task: usize, board: usize) -> Split {
        let mut split = Split::default();
        for r in &self.reads[task] {
            let bytes = if self.holder(r) == Some(board) {
                &mut split.here
            } else if r.producer.is_some() {
                &mut split.halo
            } else {
                &mut split.frame
            };
            *bytes += r.bytes;
        }
        split
    }

    /// Other boards that hold something that `task` reads on `board`, and how many bytes.
    pub fn elsewhere(&self, task: usize, board: usize) -> Vec<(usize, u64)> {
        let mut list: Vec<(usize, u64)> = Vec::new();
        for r in &self.reads[task] {
            let Some(holder) = self.holder(r).filter(|h| *h != board) else {
                continue;
            };
            match list.iter_mut().find(|(h, _)| *h == holder) {
                Some((_, bytes)) => *bytes += r.bytes,
                None => list.push((holder, r.bytes)),
            }
        }
        list
    }
}

/// The board that brings the frame.
pub(super) const SOURCE: usize = 0;

impl Placement {
    /// The task that `board` should have next, of those that are `ready`, ascending.
    pub fn pick(&mut self, ready: &[usize], objects: &Objects, board: usize) -> Option<usize> {
        match self {
            Self::Steal if board == SOURCE => {
                let elsewhere = |t: &usize| objects.split(*t, SOURCE).halo;
                ready.iter().copied().min_by_key(elsewhere)
            }
            Self::Steal => {
                let score = |t: &usize| {
                    let theirs = objects.split(*t, board).here;
                    let ours = objects.split(*t, SOURCE).here;
                    (theirs, std::cmp::Reverse(ours))
                };
                ready.iter().copied().max_by_key(score)
            }
            Self::Given(orders) => {
                let next = *orders[board].front()?;
                ready.binary_search(&next).ok()?;
                orders[board].pop_front()
            }
        }
    }
}
