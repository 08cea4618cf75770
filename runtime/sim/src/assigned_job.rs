//! A job of an edge: how far its worker gets while rows of inputs arrive and datagrams take of its time.

use std::collections::BTreeMap;

use super::core::Core;
use tessera_protocol::{Job, ProgramInfo, store::SlotId};

/// A job of an edge, which a worker runs or will run.
#[derive(Debug)]
pub(super) struct AssignedJob {
    pub job: Job,
    pub running: bool,
    pub started_us: u64,
    /// Microseconds that the task takes when all inputs are there.
    pub task_us: u64,
    /// Earliest end by the rows that came so far.
    pub end_us: u64,
    /// Nanoseconds of work on datagrams beyond the microseconds that are part of `end_us`.
    pub owed_ns: u64,
    /// Slots that are not complete, and their rows.
    pub arriving: BTreeMap<SlotId, usize>,
    /// The worker goes on without its inputs, and nobody wants what it makes.
    pub abandoned: bool,
}

impl AssignedJob {
    /// Notes that until now the worker had no other rows than those that are noted.
    pub fn wait_for_rows(&mut self, core: &Core) {
        if !self.running || self.arriving.is_empty() {
            return;
        }
        self.end_us = self.end_us_by_rows(core);
    }

    /// The earliest end if no further rows come before now.
    pub fn end_us_by_rows(&self, core: &Core) -> u64 {
        if self.arriving.is_empty() {
            return self.end_us;
        }
        let inputs = self.job.inputs.iter().map(|pieces| {
            let ends = pieces
                .iter()
                .filter_map(|(slot, region)| Some(region.y.lo + self.arriving.get(slot)?));
            ends.min()
        });
        let share = core.info.share_with_rows(self.job.task, inputs);
        let left_us = (self.task_us as f64 * (1.0 - share)).round() as u64;
        self.end_us.max(core.queue.now_us() + left_us)
    }

    /// Takes time of the task for datagrams, unless its worker waits for rows anyway.
    pub fn give_up(&mut self, core: &Core, ns: u64) {
        if self.running && self.end_us_by_rows(core) == self.end_us {
            let owed_ns = self.owed_ns + ns;
            self.end_us += owed_ns / 1000;
            self.owed_ns = owed_ns % 1000;
        }
    }

    /// The share of the task that is certainly computed by now: what is left is computed without a pause.
    pub fn share(&self, core: &Core) -> f64 {
        let left_us = self
            .end_us_by_rows(core)
            .saturating_sub(core.queue.now_us());
        (1.0 - left_us as f64 / self.task_us.max(1) as f64).clamp(0.0, 1.0)
    }
}

/// Bytes of the first `rows` rows of a slot that a job reads.
pub(super) fn handed_bytes(info: &ProgramInfo, job: &Job, slot: SlotId, rows: usize) -> usize {
    let inputs = info.tasks[job.task.index()].inputs.iter().zip(&job.inputs);
    let found = inputs.filter_map(|(port, pieces)| {
        let (_, region) = pieces.iter().find(|(s, _)| *s == slot)?;
        let element = info.tensors[usize::from(port.tensor)].element;
        Some(rows * region.w() * region.ch() * element.bytes())
    });
    found.max().unwrap_or(0)
}
