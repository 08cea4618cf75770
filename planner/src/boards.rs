//! The boards of a cluster: what each computes with, what it may hold, and how it is reached.
//!
//! Defaults are those of the DeepThings paper's boards, where it says them: Raspberry Pi 3 B on a wireless
//! access point.

use std::sync::Arc;

use crate::{
    kernel::{
        core,
        costs::{self, CostTable},
    },
    target::Target,
};

/// A board.
#[derive(Clone, Debug, PartialEq)]
pub struct Board {
    /// The board's name in reports.
    pub name: String,
    /// The target that the board's programs are compiled for.
    pub target: Target,
    /// Tasks that the board computes at a time; at least 1.
    pub cores: usize,
    /// Most threads that share a task which the board has to itself: the tail, or a stage of one tile. No
    /// more work than there are cores; plans set memory aside for all of them.
    pub team: usize,
    /// What each further thread of a team adds to the speed of the first, as a fraction.
    pub team_gain: f64,
    /// Where the speed of its kernels is read.
    pub costs: Costs,
    /// Seconds that a task costs beside its computation.
    pub task_overhead_s: f64,
    /// Most bytes that a plan may need on the board; `None` for no limit.
    pub memory_bytes: Option<u64>,
    /// How the other boards reach it.
    pub link: Link,
}

/// How a board is reached. All boards share one channel, which moves one thing at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// Bytes per second.
    pub bytes_per_s: f64,
    /// Seconds from a ready task on one board to the first byte of its input on another: six messages, as
    /// [`crate::cost::schedule`] counts them.
    pub round_trip_s: f64,
}

/// Where the speed of kernels is read.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Costs {
    /// In the shipped table of the target's slowest usual core; where there is none, formulas are used.
    #[default]
    Shipped,
    /// In this table. For targets other than its own, as [`Self::Shipped`].
    Table(Arc<CostTable>),
}

/// The core whose table counts for a target unless asked for otherwise.
const CORE: &str = "cortex-a53";
/// Threads of a team unless asked for otherwise: the cores of a Raspberry Pi.
pub const TEAM: usize = 4;
/// Cores of a gateway (Raspberry Pi 3 B).
const GATEWAY_CORES: usize = 4;
/// What each further thread of a team adds: two threads compute YOLOv2 1.9 times as fast as one (EPYC,
/// Zen 5, 2026-11).
const TEAM_GAIN: f64 = 0.9;
/// Messages and scheduling of a task, in seconds. Assumed, not measured.
const TASK_OVERHEAD_S: f64 = 2e-3;

impl Default for Link {
    fn default() -> Self {
        Self {
            // Goodput of 100 Mbit/s.
            bytes_per_s: 100e6 / 8.0,
            // Six messages between boards on one switch or access point. Assumed, not measured.
            round_trip_s: 3e-3,
        }
    }
}

impl Link {
    /// Seconds that the channel is busy with `bytes` bytes.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub fn seconds(&self, bytes: u64) -> f64 {
        bytes as f64 / self.bytes_per_s
    }
}

impl Costs {
    /// The table for a target; `None` if formulas are used.
    pub fn of(&self, target: Target) -> Option<&CostTable> {
        match self {
            Self::Table(t) if t.target == target.name() => Some(t),
            _ => costs::shipped(CORE, target),
        }
    }
}

/// Boards that compute alike, as one.
#[derive(Clone, Debug)]
pub struct Kinds<'a> {
    /// A board of every kind.
    pub boards: Vec<&'a Board>,
    /// The kind of every board.
    pub of: Vec<usize>,
}

impl<'a> Kinds<'a> {
    /// Groups the boards of `list` by kind, in their order.
    pub fn new(list: &'a [Board]) -> Self {
        let mut boards: Vec<&Board> = Vec::new();
        let of = list.iter().map(|b| {
            let known = boards.iter().position(|k| k.computes_like(b));
            known.unwrap_or_else(|| {
                boards.push(b);
                boards.len() - 1
            })
        });
        let of = of.collect();
        Self { boards, of }
    }
}

impl Board {
    /// An edge that computes one task at a time, on a usual link, without a memory limit.
    pub fn new(target: Target) -> Self {
        Self {
            name: String::new(),
            target,
            cores: 1,
            team: TEAM,
            team_gain: TEAM_GAIN,
            costs: Costs::Shipped,
            task_overhead_s: TASK_OVERHEAD_S,
            memory_bytes: None,
            link: Link::default(),
        }
    }

    /// A gateway of the same kind, with four cores and no memory limit.
    #[must_use]
    pub fn gateway(&self) -> Self {
        Self {
            name: "gateway".into(),
            cores: GATEWAY_CORES,
            memory_bytes: None,
            ..self.clone()
        }
    }

    /// `count` boards like this one, numbered from 1.
    #[must_use]
    pub fn times(&self, count: usize) -> Vec<Self> {
        let numbered = |n: usize| Self {
            name: format!("edge {n}"),
            ..self.clone()
        };
        (1..=count).map(numbered).collect()
    }

    /// True if both boards compute the same tasks in the same time.
    pub fn computes_like(&self, other: &Self) -> bool {
        let key = |b: &Self| (b.cores, b.team, b.team_gain, b.task_overhead_s);
        key(self) == key(other) && self.kernels_like(other)
    }

    /// True if kernels take the same time on both boards.
    pub fn kernels_like(&self, other: &Self) -> bool {
        let costs = match (&self.costs, &other.costs) {
            (Costs::Table(a), Costs::Table(b)) => Arc::ptr_eq(a, b) || a == b,
            (a, b) => a == b,
        };
        self.target == other.target && costs
    }

    /// The table of its kernels' costs; `None` if formulas are used.
    pub fn table(&self) -> Option<&CostTable> {
        self.costs.of(self.target)
    }

    /// Name of the core for which its seconds are computed.
    pub fn core(&self) -> &str {
        match self.table() {
            Some(table) => &table.core,
            None => core(self.target.kernels()).name,
        }
    }

    /// Threads that share a task. `alone`: the board computes nothing else meanwhile.
    pub fn threads(&self, alone: bool) -> usize {
        if alone {
            self.team.clamp(1, self.cores.max(1))
        } else {
            1
        }
    }

    /// Seconds that `threads` threads take for what one thread computes in `seconds`.
    #[expect(clippy::cast_precision_loss, reason = "few threads")]
    pub fn shared_s(&self, seconds: f64, threads: usize) -> f64 {
        seconds / (1.0 + self.team_gain * threads.saturating_sub(1) as f64)
    }
}
