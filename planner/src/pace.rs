//! Frames per second of a plan, when frames follow each other.
//!
//! Four things bound them: the boards' time, the channel's, the gateway's, and the frames that sources have in flight. The
//! least bound is the pace.
//!
//! With home boards a later frame's task waits while an earlier frame has tasks for the same board, so a frame keeps a board
//! from the first of its tasks to the last. With several sources boards do not wait, and every source has other boards in the
//! same roles.

use crate::{
    boards::{Board, Medium},
    cost::{Schedule, TaskTime},
    options::PlanOptions,
    text::plural,
};
use tessera_plan::{dataflow::TaskGraph, plan::Placement};

/// Frames per second of all sources together that each part of a cluster allows; infinity where a part is not used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// By the boards' time.
    pub boards: f64,
    /// By the channel between them.
    pub channel: f64,
    /// By the gateway's tail.
    pub gateway: f64,
    /// By the frames that sources have in flight.
    pub in_flight: f64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            boards: f64::INFINITY,
            channel: f64::INFINITY,
            gateway: f64::INFINITY,
            in_flight: f64::INFINITY,
        }
    }
}

/// What a pace is computed from.
#[derive(Clone, Copy, Debug)]
pub struct Frames<'a> {
    /// The tasks of a frame.
    pub tasks: &'a TaskGraph,
    /// The schedule of one frame alone.
    pub schedule: &'a Schedule,
    /// For every board, the times of all tasks.
    pub times: &'a [&'a [TaskTime]],
    /// Seconds of the tail on the gateway.
    pub tail_s: f64,
    /// Seconds from a frame's arrival to its detections, alone.
    pub frame_s: f64,
    /// Frames that a source has in flight.
    pub in_flight: usize,
}

impl Pace {
    /// Frames per second.
    pub const fn fps(&self) -> f64 {
        self.boards
            .min(self.channel)
            .min(self.gateway)
            .min(self.in_flight)
    }

    /// What bounds the frames per second, in words.
    pub fn binds(&self) -> &'static str {
        let fps = self.fps();
        if self.boards <= fps {
            "the boards' time binds"
        } else if self.gateway <= fps {
            "the gateway's tail binds"
        } else if self.channel <= fps {
            "the channel binds"
        } else {
            "the number of frames in flight binds"
        }
    }

    /// Frames per second, and what allows how many, in words.
    pub fn shown(&self, o: &PlanOptions) -> String {
        let parts = [
            ("the boards' time", self.boards),
            ("the channel", self.channel),
            ("the gateway's tail", self.gateway),
            ("frames in flight", self.in_flight),
        ];
        let finite = parts.iter().filter(|(_, fps)| fps.is_finite());
        let parts: Vec<String> = finite
            .map(|(what, fps)| format!("{what} {fps:.3}"))
            .collect();
        format!(
            "{:.3} frames a second of {}: {}; allowed by {}",
            self.fps(),
            plural(cameras(o), "camera"),
            self.binds(),
            parts.join(", ")
        )
    }

    /// The pace of whole frames.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub fn of_whole(f: &Frames<'_>, o: &PlanOptions) -> Self {
        let cameras = cameras(o);
        let frame_bytes = f.tasks.tensors.first().map_or(0, |t| t.bytes(t.region)) as f64;
        let needs = f.tasks.tail_needs.iter();
        let result_bytes: usize = needs.map(|n| f.tasks.need_bytes(n)).sum();
        let result_bytes = result_bytes as f64;
        let rate = |(b, times): (&Board, &&[TaskTime])| {
            let task_s: f64 = times.iter().map(|t| t.seconds).sum();
            let sent_s = if b.is_gateway {
                0.0
            } else {
                b.network_s(result_bytes)
            };
            b.whole_at_once() as f64 / (task_s + sent_s).max(1e-9)
        };
        let rates: Vec<f64> = o.boards.iter().zip(f.times).map(rate).collect();
        let all: f64 = rates.iter().sum();
        let at_once: usize = o.boards.iter().map(Board::whole_at_once).sum();
        // A source computes its own frames as far as it can; the others travel.
        let own: f64 = rates
            .iter()
            .take(cameras)
            .map(|r| r.min(all / cameras as f64))
            .sum();
        let at_gateway: f64 = o
            .boards
            .iter()
            .zip(&rates)
            .filter(|(b, _)| b.is_gateway)
            .map(|(_, r)| r)
            .sum();
        let travels = |part: f64| (1.0 - part / all).clamp(0.0, 1.0);
        let (frames, results) = (
            frame_bytes * travels(own),
            result_bytes * travels(at_gateway),
        );
        let links = || o.boards.iter().chain([&o.gateway]).map(|b| b.link);
        let bytes_per_s = links().map(|l| l.bytes_per_s).fold(f64::INFINITY, f64::min);
        let is_shared = links().any(|l| l.medium != Medium::Switched);
        // On a switch, the sources' ways out and the gateway's way in work side by side.
        let busiest = if is_shared {
            frames + results
        } else {
            results.max(frames / cameras as f64)
        };
        Self {
            boards: all,
            channel: bytes_per_s / busiest,
            gateway: 1.0 / f.tail_s,
            in_flight: all * (cameras * f.in_flight) as f64 / at_once as f64,
        }
    }

    /// The pace of a plan whose tasks run where the schedule of one frame has them.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub fn of_tasks(f: &Frames<'_>, o: &PlanOptions) -> Self {
        let (n, cameras) = (o.boards.len(), cameras(o));
        let (mut load, mut busy) = (vec![0.0; n], vec![0.0; n]);
        let (mut first, mut last) = (vec![f64::INFINITY; n], vec![0.0_f64; n]);
        for (task, run) in f.schedule.runs.iter().enumerate() {
            let b = run.board;
            busy[b] += core_seconds(f, o, b, task);
            // Rows for which a board's first task waits come while the board computes for the frame before.
            first[b] = first[b].min(run.end_s - f.times[b][task].seconds);
            last[b] = last[b].max(run.end_s);
            // Source `k` is its own board 0: each of its tasks runs `k` boards further.
            for at in (0..cameras).map(|k| (b + k) % n) {
                load[at] += core_seconds(f, o, at, task);
            }
        }
        // The gateway's board has all tails besides.
        for (load, board) in load.iter_mut().zip(&o.boards) {
            *load += if board.is_gateway {
                cameras as f64 * f.tail_s
            } else {
                0.0
            };
        }
        let waits = o.placement == Placement::Home && cameras == 1;
        let span = |b: usize| {
            if waits {
                (last[b] - first[b]).max(0.0)
            } else {
                busy[b]
            }
        };
        let spans = (0..n).map(span);
        let tasks_s = load.iter().copied().chain(spans).fold(0.0, f64::max);
        Self {
            boards: cameras as f64 / tasks_s,
            channel: 1.0 / f.schedule.channel_s,
            gateway: 1.0 / f.tail_s,
            in_flight: (cameras * f.in_flight) as f64 / f.frame_s,
        }
    }
}

/// Seconds of a board's cores that a task takes.
#[expect(clippy::cast_precision_loss, reason = "few cores")]
fn core_seconds(f: &Frames<'_>, o: &PlanOptions, board: usize, task: usize) -> f64 {
    let (time, board) = (f.times[board][task], &o.boards[board]);
    time.seconds * time.threads as f64 / (board.cores * board.threads).max(1) as f64
}

/// Sources that bring frames at the same time; each is a board of its own.
fn cameras(o: &PlanOptions) -> usize {
    o.cameras.clamp(1, o.boards.len().max(1))
}
