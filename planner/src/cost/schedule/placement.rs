//! Placement: the assignment of tasks to boards.

use std::collections::{BTreeMap, VecDeque};

use super::{
    reads::{Read, Reads},
    streaming::{self, Rows},
};
use tessera_plan::{dataflow::ObjectKey, region::Region};

/// Policy by which boards get tasks.
#[derive(Debug)]
pub(super) enum Placement {
    /// The policy of clusters: the source takes tasks from the front, other boards get tasks from the back, and
    /// every board prefers tasks whose inputs lie on the board.
    Steal,
    /// Every task has a home board, by task id. The source gives a ready task to its home at once.
    Home(Vec<usize>),
    /// Every board computes the tasks of its list, in the list's order.
    Given(Vec<VecDeque<usize>>),
}

/// The objects that tasks read, and the boards that hold them.
#[derive(Debug)]
pub(super) struct Objects<'a> {
    reads: &'a Reads,
    /// For each task: the board that computed the task, `None` before its end.
    pub place: Vec<Option<usize>>,
    /// Boxes of objects that a board has fetched for tasks at home there: other such tasks do not fetch them again.
    fetched: BTreeMap<(usize, ObjectKey), Vec<Region>>,
    /// With work sharing, the gateway's number among the holders.
    pub gateway: Option<usize>,
}

/// Bytes that a board fetches for a task.
#[derive(Clone, Debug, Default)]
pub(super) struct Fetch {
    /// Bytes of the frame.
    pub frame: u64,
    /// Bytes of tasks' outputs.
    pub halo: u64,
    /// Boards that hold the inputs, and what comes from each; nothing from a board whose part is on the way already.
    pub from: Vec<(usize, u64, Rows)>,
}

/// Bytes that a task reads, by where they lie.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Split {
    /// Bytes of the frame that other boards hold.
    pub frame: u64,
    /// Bytes of tasks' outputs that other boards hold.
    pub halo: u64,
    /// Bytes that the board itself holds, including the frame's.
    pub here: u64,
}

impl<'a> Objects<'a> {
    /// The objects of these reads, before any task is computed.
    pub fn new(reads: &'a Reads) -> Self {
        Self {
            reads,
            place: vec![None; reads.tasks()],
            fetched: BTreeMap::new(),
            gateway: None,
        }
    }

    /// Bytes that `task` reads when `board` computes the task, by holder.
    pub fn split(&self, task: usize, board: usize) -> Split {
        let mut split = Split::default();
        for r in self.reads.of(task) {
            let bytes = if self.holder(r, board) == Some(board) {
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

    /// The parts in which a task's result travels: bytes, and the share of the task's time after which they are made.
    pub fn result(&self, task: usize) -> &'a [(u64, f64)] {
        self.reads.result(task)
    }

    /// Bytes that the gateway wants of a task.
    pub fn result_bytes(&self, task: usize) -> u64 {
        self.result(task).iter().map(|(bytes, _)| bytes).sum()
    }

    /// What `board` fetches of other boards to compute `task`. If the task `shares` with others at home on the board,
    /// nothing is fetched twice.
    pub fn fetch(&mut self, task: usize, board: usize, shares: bool) -> Fetch {
        self.fetch_some(task, board, shares, |_| true)
    }

    /// What `board` fetches of one producer's outputs to compute `task` at home.
    pub fn fetch_of(&mut self, task: usize, board: usize, producer: usize) -> Fetch {
        self.fetch_some(task, board, true, |r| r.producer == Some(producer))
    }

    /// How one producer's outputs travel to `task` while they are made; `None` if they do not.
    pub fn split_of(&self, task: usize, producer: usize) -> Option<streaming::Split> {
        let mut reads = self.reads.of(task).iter();
        reads.find(|r| r.producer == Some(producer))?.split
    }

    /// What [`Self::fetch_of`] tells, while `holder` computes the producer.
    pub fn fetch_early(
        &mut self,
        task: usize,
        board: usize,
        producer: usize,
        holder: usize,
    ) -> Fetch {
        let before = self.place[producer].replace(holder);
        let fetch = self.fetch_of(task, board, producer);
        self.place[producer] = before;
        fetch
    }

    /// Who has what a task of `board` reads: with work sharing the gateway, but for what the board has made itself.
    fn holder(&self, r: &Read, board: usize) -> Option<usize> {
        let holder = r.holder(&self.place, SOURCE);
        let own = r.producer.is_some() && holder == Some(board);
        self.gateway.filter(|_| r.relayed && !own).or(holder)
    }

    fn fetch_some(
        &mut self,
        task: usize,
        board: usize,
        shares: bool,
        wanted: impl Fn(&Read) -> bool,
    ) -> Fetch {
        let mut fetch = Fetch::default();
        for r in self.reads.of(task).iter().filter(|r| wanted(r)) {
            let Some(holder) = self.holder(r, board).filter(|h| *h != board) else {
                continue;
            };
            let mut bytes = r.bytes;
            if shares && !r.region.is_empty() {
                let known = self.fetched.entry((board, r.key)).or_default();
                bytes = bytes / r.region.len() as u64 * r.region.add_to(known) as u64;
            }
            let sum = if r.producer.is_some() {
                &mut fetch.halo
            } else {
                &mut fetch.frame
            };
            *sum += bytes;
            match fetch.from.iter_mut().find(|(h, ..)| *h == holder) {
                Some((_, sum, rows)) => {
                    *sum += bytes;
                    *rows = rows.and(r.rows);
                }
                None => fetch.from.push((holder, bytes, r.rows)),
            }
        }
        fetch
    }
}

/// The board that brings the frame.
pub(super) const SOURCE: usize = 0;

impl Placement {
    /// Picks the next task for `board` from the `ready` tasks, which ascend; `None` if the board gets no task.
    pub fn pick(&mut self, ready: &[usize], objects: &Objects<'_>, board: usize) -> Option<usize> {
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
            Self::Home(homes) => ready.iter().copied().find(|t| homes[*t] == board),
            Self::Given(orders) => {
                let next = *orders[board].front()?;
                ready.binary_search(&next).ok()?;
                orders[board].pop_front()
            }
        }
    }
}
