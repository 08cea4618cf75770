//! What tasks read, object by object. All schedules of a frame have this in common.

use super::streaming::{Rows, Split, result_parts};
use tessera_plan::{
    dataflow::{ObjectKey, TaskGraph, TaskId},
    region::Region,
};

/// The part of one object that a task reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    /// The task that makes the object; `None` for the frame.
    pub producer: Option<usize>,
    pub bytes: u64,
    pub key: ObjectKey,
    pub region: Region,
    pub rows: Rows,
    /// How it travels while it is made; `None` if it does not.
    pub split: Option<Split>,
    /// True if the gateway passes it on.
    pub relayed: bool,
}

impl Read {
    /// The board that holds the object, for the board of every computed task and the frame's `source`; `None` if the
    /// object is not computed yet.
    pub fn holder(&self, place: &[Option<usize>], source: usize) -> Option<usize> {
        match self.producer {
            None => Some(source),
            Some(p) => place[p],
        }
    }
}

/// What every task reads, and how its result travels.
#[derive(Debug)]
pub(super) struct Reads {
    tasks: Vec<Vec<Read>>,
    results: Vec<Vec<(u64, f64)>>,
}

impl Reads {
    /// The reads of all tasks of `graph`.
    pub fn new(graph: &TaskGraph) -> Self {
        let reads = graph.tasks.iter().zip(0..).map(|(t, id)| {
            let read = t.needs.iter().map(|n| Read {
                producer: n.key.task().map(TaskId::index),
                bytes: graph.need_bytes(n) as u64,
                key: n.key,
                region: n.region,
                rows: Rows::new(graph, TaskId(id), usize::from(n.input), n.region.y),
                split: Split::of(graph, TaskId(id), n),
                relayed: graph.relay_of(n).is_some(),
            });
            read.collect()
        });
        let ids = (0..).take(graph.tasks.len()).map(TaskId);
        Self {
            tasks: reads.collect(),
            results: ids.map(|id| result_parts(graph, id)).collect(),
        }
    }

    /// Number of tasks.
    pub const fn tasks(&self) -> usize {
        self.tasks.len()
    }

    /// The reads of a task.
    pub fn of(&self, task: usize) -> &[Read] {
        &self.tasks[task]
    }

    /// See [`result_parts`].
    pub fn result(&self, task: usize) -> &[(u64, f64)] {
        &self.results[task]
    }
}
