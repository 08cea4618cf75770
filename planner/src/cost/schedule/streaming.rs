//! Tasks that begin while rows of their inputs travel.
//!
//! The rows of a transfer arrive at an even pace. At every moment a task can have got no further than the rows
//! that are there allow ([`TaskGraph::share_with_rows`]); from the moment at which that allows least on, it computes.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "few rows, and shares of them"
)]

use tessera_plan::{
    dataflow::{Need, ObjectKey, TaskGraph, TaskId},
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
    pub fn new(graph: &TaskGraph, task: TaskId, input: usize, rows: Span) -> Self {
        let inputs = graph.tasks[task.index()].inputs.len();
        let share = |end| {
            let ends = (0..inputs).map(|k| (k == input).then_some(end));
            graph.share_with_rows(task, ends)
        };
        let next = graph.next_row(task, input, rows.lo).saturating_sub(rows.lo);
        let window = next as f64 / (rows.hi - rows.lo).max(1) as f64;
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

/// Bytes of an object below which rows do not travel before the object is made: half a step of the protocol.
const PART_BYTES_MIN: u64 = 3600;

/// The share of a task's time after which what is made is as good as all.
const SHARE_MADE: f64 = 0.99;

/// The parts in which a task's result travels to the gateway while it is made: for each the bytes, and the share of the
/// task's time after which the part is made. Each is half of what is left; the last one is made with the task.
pub(super) fn result_parts(graph: &TaskGraph, task: TaskId) -> Vec<(u64, f64)> {
    let needs = &graph.tail_needs[graph.tail_needs_of(task)];
    let bytes = needs.iter().map(|n| graph.need_bytes(n) as u64).sum();
    let made = |share: f64| {
        let of = |n: &Need| match n.key {
            ObjectKey::Frame => 1.0,
            ObjectKey::Output { output, .. } => {
                let rows = (n.region.y.len() as f64 * share).ceil() as usize;
                graph.share_made(task, usize::from(output), rows)
            }
        };
        needs.iter().map(of).fold(0.0, f64::max)
    };
    let mut list: Vec<(u64, f64)> = Vec::new();
    let mut left = bytes;
    for (part, share) in halves(bytes) {
        let made = made(share);
        if made > SHARE_MADE {
            break;
        }
        list.push((part, made));
        left -= part;
    }
    list.push((left, 1.0));
    list
}

/// Parts of so many bytes, each half of what is left, with the share of the bytes that it ends at.
fn halves(bytes: u64) -> impl Iterator<Item = (u64, f64)> {
    let (mut left, mut share_left) = (bytes, 1.0);
    std::iter::from_fn(move || {
        let half = left / 2;
        if half < PART_BYTES_MIN {
            return None;
        }
        left -= half;
        share_left /= 2.0;
        Some((half, 1.0 - share_left))
    })
}

/// The part of an object that a task reads, if it travels while the object is made: most of it, and then the rest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Split {
    /// What most of it, and what the rest mean to the reader.
    pub rows: [Rows; 2],
    /// The share of the maker's time after which most of it is made.
    pub made: f64,
    /// The share of the rest, from 0 to 1.
    pub rest: f64,
}

impl Split {
    /// The rest is at least one of so many parts.
    const PARTS: usize = 8;

    /// The split of a need of a task; `None` if it is too small, or the frame, or made in one go.
    pub fn of(graph: &TaskGraph, task: TaskId, need: &Need) -> Option<Self> {
        let ObjectKey::Output {
            task: maker,
            output,
        } = need.key
        else {
            return None;
        };
        if (graph.need_bytes(need) as u64) < 2 * PART_BYTES_MIN {
            return None;
        }
        let (input, output) = (usize::from(need.input), usize::from(output));
        let (rows, object) = (need.region.y, graph.region(need.key)?.y);
        let most = rows.lo + rows.len() * (Self::PARTS - 1) / Self::PARTS;
        let early = object.lo + graph.rows_made(maker, output, SHARE_MADE);
        let middle = most.min(early);
        if middle <= rows.lo {
            return None;
        }
        let of = |lo, hi| Rows::new(graph, task, input, Span::new(lo, hi));
        Some(Self {
            rows: [of(rows.lo, middle), of(middle, rows.hi)],
            made: graph.share_made(maker, output, middle - object.lo),
            rest: (rows.hi - middle) as f64 / rows.len().max(1) as f64,
        })
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

    /// Notes that `bytes` bytes of inputs travel in `parts` transfers, now or when they are made.
    pub const fn promised(&mut self, bytes: u64, parts: usize) {
        self.left += parts;
        self.left_bytes += bytes;
    }

    /// Notes that such a transfer waits for others of its path.
    pub const fn waits(&mut self) {
        self.queued += 1;
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
            inputs.promised(0, 1);
            assert!(inputs.come() && !inputs.are_here());
            inputs.ended(0, *rows, *begun_s, *ended_s);
        }
        inputs.end_s(start_s, 10.0)
    }

    #[test]
    fn an_object_travels_in_halves() {
        let all: Vec<(u64, f64)> = halves(32_000).collect();
        assert_eq!(all, [(16_000, 0.5), (8_000, 0.75), (4_000, 0.875)]);
        assert_eq!(halves(7_000).count() + halves(0).count(), 0);
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
