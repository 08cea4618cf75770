//! Tasks that begin while rows of their inputs travel.
//!
//! The rows of a transfer arrive at an even pace. At every moment a task can have got no further than the rows
//! that are there allow ([`TaskGraph::share_with_rows`]); from the moment at which that allows least on, it computes.

use tessera_plan::{
    dataflow::{TaskGraph, TaskId},
    region::Span,
};

/// What the rows of a transfer mean to the task that reads them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows {
    /// Share of the task's time that needs none of these rows.
    before: f64,
    /// Share of it that needs neither the last of these rows nor any behind them.
    before_last: f64,
    /// The part of these rows with which the share begins to grow: windows of the first rows of outputs, and a row.
    window: f64,
}

impl Rows {
    /// Rows `rows` of input `input` of a task.
    #[expect(clippy::cast_precision_loss, reason = "few rows")]
    pub fn new(graph: &TaskGraph, task: TaskId, input: usize, rows: Span) -> Self {
        let inputs = graph.tasks[task.index()].inputs.len();
        let share = |end| {
            let ends = (0..inputs).map(|k| (k == input).then_some(end));
            graph.share_with_rows(task, ends)
        };
        let first = graph.tasks[task.index()].inputs[input].region.y.lo
            + graph.rows_before_output(task, input);
        let window = (first.saturating_sub(rows.lo) + 1) as f64 / (rows.hi - rows.lo).max(1) as f64;
        Self {
            before: share(rows.lo),
            before_last: share(rows.hi.saturating_sub(1)),
            window: window.min(1.0),
        }
    }

    /// These rows and others of the same transfer.
    pub const fn and(self, other: Self) -> Self {
        Self {
            before: self.before.min(other.before),
            before_last: self.before_last.max(other.before_last),
            window: self.window.min(other.window),
        }
    }
}

/// The inputs of a task that travel to its board, or will.
#[derive(Clone, Debug, Default)]
pub(super) struct Inputs {
    /// Number of tasks that are still making inputs.
    pub unmade: usize,
    /// Number of transfers that wait for others of their path.
    pub queued: usize,
    /// Number of transfers that have not ended.
    left: usize,
    /// Bytes of these transfers.
    pub left_bytes: u64,
    /// Moments, each with the share of the task's time that could be over at most.
    moments: Vec<(f64, f64)>,
    /// Seconds in which the board handled them after a core was given to the task.
    pub handled_s: f64,
}

impl Inputs {
    /// True if a core may begin the task: rows of all inputs are there or travel.
    pub const fn come(&self) -> bool {
        self.unmade == 0 && self.queued == 0
    }

    /// True if all of the inputs are there.
    pub const fn are_here(&self) -> bool {
        self.unmade == 0 && self.left == 0
    }

    /// Notes a transfer of `bytes` that begins, or waits for others of its path.
    pub const fn sent(&mut self, bytes: u64, begins: bool) {
        self.left += 1;
        self.left_bytes += bytes;
        if !begins {
            self.queued += 1;
        }
    }

    /// Notes a transfer of `bytes` that took from `begun_s` until `ended_s`.
    pub fn ended(&mut self, bytes: u64, rows: Rows, begun_s: f64, ended_s: f64) {
        self.left_bytes -= bytes;
        let window_s = begun_s + rows.window * (ended_s - begun_s);
        self.moments.push((window_s, rows.before));
        self.moments.push((ended_s, rows.before_last));
        self.left -= 1;
    }

    /// The end of the task, whose inputs are there, if a core began with it at `start_s` and computes for `seconds`.
    pub fn end_s(&self, start_s: f64, seconds: f64) -> f64 {
        let ends = self
            .moments
            .iter()
            .map(|(at_s, share)| at_s + seconds * (1.0 - share));
        ends.fold(start_s + seconds + self.handled_s, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end_s(start_s: f64, transfers: &[(Rows, f64, f64)]) -> f64 {
        let mut inputs = Inputs::default();
        for (rows, begun_s, ended_s) in transfers {
            inputs.sent(0, true);
            assert!(inputs.come() && !inputs.are_here());
            inputs.ended(0, *rows, *begun_s, *ended_s);
        }
        inputs.end_s(start_s, 10.0)
    }

    #[test]
    fn a_task_waits_for_its_windows_and_for_its_last_rows() {
        let all = Rows {
            before: 0.0,
            before_last: 1.0,
            window: 0.25,
        };
        // Rows come faster than they are computed: the window is waited for.
        assert_eq!(end_s(0.0, &[(all, 0.0, 4.0)]), 11.0);
        // Rows come more slowly: the task ends with the last one.
        assert_eq!(end_s(0.0, &[(all, 0.0, 40.0)]), 40.0);
        // The core was not free before.
        assert_eq!(end_s(9.0, &[(all, 0.0, 4.0)]), 19.0);
        // A halo at the lower end is read late, one at the upper end at once.
        let lower = Rows {
            before: 0.9,
            before_last: 1.0,
            window: 0.0,
        };
        let upper = Rows {
            before: 0.0,
            before_last: 0.0,
            window: 1.0,
        };
        assert_eq!(end_s(0.0, &[(lower, 1.0, 9.0)]), 10.0);
        assert_eq!(end_s(0.0, &[(upper, 1.0, 9.0)]), 19.0);
    }
}
