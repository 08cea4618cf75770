//! The boards of a cluster: the cores, the memory limit and the network link of each board.
//!
//! Defaults are those that the DeepThings paper states for its boards: Raspberry Pi 3 B on a wireless access
//! point.

use std::sync::Arc;

use tessera_plan::plan::Board as Recorded;

use crate::{
    kernel::{
        core,
        costs::{self, CostTable},
    },
    target::Target,
};

/// A board of the cluster: an edge or the gateway.
#[derive(Clone, Debug, PartialEq)]
pub struct Board {
    /// The board's name in reports.
    pub name: String,
    /// Host name or address of the board, if known; plans record it, nodes are started with it.
    pub address: Option<String>,
    /// True if the board may bring frames, which takes memory for frames in flight.
    pub source: bool,
    /// The target that the board's programs are compiled for.
    pub target: Target,
    /// Tasks that the board computes at a time; at least 1.
    pub cores: usize,
    /// Threads that share every task; at least 1. They have a core each: the board uses `cores * threads` cores.
    pub threads: usize,
    /// Most threads that share a task when the board computes nothing else: the tail, or a stage of one tile.
    /// At most [`Self::cores`] threads work; plans set memory aside for the whole team.
    pub team: usize,
    /// What each further thread of a team adds to the speed of the first, as a fraction.
    pub team_gain: f64,
    /// The part of a core's time that the board's processes get, above 0 and at most 1: below 1 under a quota.
    pub share: f64,
    /// Bytes per second that one core sends or receives in datagrams when it does nothing else.
    pub core_bytes_per_s: f64,
    /// Source of the kernels' speed on the board.
    pub costs: Costs,
    /// How much longer than by its costs the board takes, as measured.
    pub scale: Scale,
    /// Overhead of a task in seconds: messages and scheduling, without the computation.
    pub task_overhead_s: f64,
    /// Most bytes that a plan may need on the board; `None` for no limit.
    pub memory_bytes: Option<u64>,
    /// The board's link to the shared channel.
    pub link: Link,
    /// True for the gateway's own board as an edge: what it computes is at the gateway without a transfer.
    pub is_gateway: bool,
}

/// A board's network link.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// Bytes per second on a free medium.
    pub bytes_per_s: f64,
    /// Seconds that a message takes from board to board, its handling included.
    pub delay_s: f64,
    /// What the link's bytes travel on.
    pub medium: Medium,
}

/// What the bytes of a link travel on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Medium {
    /// A channel that all boards of this number share, as a radio channel.
    Shared(usize),
    /// The board's own port of a switch, with a wire for each direction.
    Switched,
}

/// Source of the kernels' speed on a board.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Costs {
    /// The shipped table of the target's slowest usual core; formulas for a target without a shipped table.
    #[default]
    Shipped,
    /// This table for the target that the table was measured on; [`Self::Shipped`] for other targets.
    Table(Arc<CostTable>),
}

/// Factors of the seconds of layers, for ranges of layers: 1 where nothing was measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scale(Vec<(usize, f64)>);

impl Scale {
    /// The same factor for all layers.
    pub fn all(factor: f64) -> Self {
        Self(vec![(usize::MAX, factor)])
    }

    /// Factors of ranges of layers, each with the first layer behind the range, ascending.
    pub const fn of_ranges(ranges: Vec<(usize, f64)>) -> Self {
        Self(ranges)
    }

    /// The factor of a layer.
    pub fn at(&self, layer: usize) -> f64 {
        let range = self.0.iter().find(|(end, _)| layer < *end);
        range.map_or(1.0, |(_, factor)| *factor)
    }
}

/// Core of the default cost table.
const CORE: &str = "cortex-a53";
/// Default number of threads of a team: the cores of a Raspberry Pi.
pub const TEAM: usize = 4;
/// Cores of a gateway (Raspberry Pi 3 B).
const GATEWAY_CORES: usize = 4;
/// What each further thread of a team adds: two threads compute YOLOv2 1.9 times as fast as one (EPYC,
/// Zen 5, 2026-11).
const TEAM_GAIN: f64 = 0.9;
/// Messages and scheduling of a task, in seconds. Assumed, not measured.
const TASK_OVERHEAD_S: f64 = 2e-3;

/// Bytes per second that one core sends or receives in datagrams, where nobody measured it. Boards of 7.25 % of a core
/// send 3.4 MB/s at most, by a fit to five runs of a cluster under quotas (EPYC, Zen 4, 2026-11).
pub(crate) const NET_BYTES_PER_S: f64 = 47e6;

impl Default for Link {
    fn default() -> Self {
        Self {
            // Goodput of 100 Mbit/s.
            bytes_per_s: 100e6 / 8.0,
            // Between boards on one switch or access point. Assumed, not measured.
            delay_s: 0.5e-3,
            medium: Medium::Shared(0),
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
    /// The cost table for a target; `None` if the planner uses formulas.
    pub fn of(&self, target: Target) -> Option<&CostTable> {
        match self {
            Self::Table(t) if t.target == target.name() => Some(t),
            _ => costs::shipped(CORE, target),
        }
    }
}

/// Groups of boards that compute every task in the same time. Such a group is a kind.
#[derive(Clone, Debug)]
pub struct Kinds<'a> {
    /// One board of each kind.
    pub boards: Vec<&'a Board>,
    /// The kind of each board, as an index of [`Self::boards`].
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
            address: None,
            source: true,
            target,
            cores: 1,
            threads: 1,
            team: TEAM,
            team_gain: TEAM_GAIN,
            share: 1.0,
            core_bytes_per_s: NET_BYTES_PER_S,
            costs: Costs::Shipped,
            scale: Scale::default(),
            task_overhead_s: TASK_OVERHEAD_S,
            memory_bytes: None,
            link: Link::default(),
            is_gateway: false,
        }
    }

    /// This board, an edge, with all of its cores on one task at a time; `None` where that is no other way to use them.
    #[must_use]
    pub fn with_team(&self) -> Option<Self> {
        let threads = self.threads(true);
        (threads > self.threads).then(|| Self {
            cores: 1,
            threads,
            ..self.clone()
        })
    }

    /// A gateway with this board's target, four cores and no memory limit.
    #[must_use]
    pub fn gateway(&self) -> Self {
        Self {
            name: "gateway".into(),
            source: false,
            cores: GATEWAY_CORES,
            threads: 1,
            memory_bytes: None,
            ..self.clone()
        }
    }

    /// This board, a gateway, as an edge that computes `cores` tasks at a time.
    #[must_use]
    pub fn as_edge(&self, cores: usize) -> Self {
        Self {
            name: format!("edge on {}", self.name),
            cores,
            source: false,
            is_gateway: true,
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

    /// True if both boards compute the same tasks in the same time, in the same memory.
    pub fn computes_like(&self, other: &Self) -> bool {
        let key = |b: &Self| {
            let cores = (b.cores, b.threads, b.team, b.team_gain);
            (b.source, cores, b.task_overhead_s)
        };
        key(self) == key(other) && self.kernels_like(other)
    }

    /// True if kernels take the same time on both boards.
    pub fn kernels_like(&self, other: &Self) -> bool {
        let costs = match (&self.costs, &other.costs) {
            (Costs::Table(a), Costs::Table(b)) => Arc::ptr_eq(a, b) || a == b,
            (a, b) => a == b,
        };
        let same = self.target == other.target
            && self.share == other.share
            && self.core_bytes_per_s == other.core_bytes_per_s;
        same && self.scale == other.scale && costs
    }

    /// The cost table of the board's kernels; `None` if the planner uses formulas.
    pub fn table(&self) -> Option<&CostTable> {
        self.costs.of(self.target)
    }

    /// Name of the core whose seconds the planner computes for the board.
    pub fn core(&self) -> &str {
        match self.table() {
            Some(table) => &table.core,
            None => core(self.target.kernels()).name,
        }
    }

    /// The board as plans record it, with so many worker processes; edges have an `id`, the gateway has 0.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rates and delays are bounded"
    )]
    pub fn recorded(&self, id: usize, workers: usize) -> Recorded {
        Recorded {
            name: self.name.clone(),
            id,
            address: self.address.clone().unwrap_or_default(),
            target: self.target.name().into(),
            core: self.core().into(),
            workers,
            threads: (self.cores * self.threads / workers.max(1)).max(1),
            share: self.share,
            memory_bytes: self.memory_bytes.unwrap_or(0),
            link_bits_per_s: (8.0 * self.link.bytes_per_s).round() as u64,
            link_delay_us: (1e6 * self.link.delay_s).round() as u64,
            source: self.source,
        }
    }

    /// The part of its link's rate that the board keeps up with, above 0 and at most 1: datagrams take its time too.
    pub fn keeps_up(&self) -> f64 {
        (self.share * self.core_bytes_per_s / self.link.bytes_per_s).min(1.0)
    }

    /// Seconds that `bytes` in datagrams take of the board's tasks while they run. With a quota (a share below 1), the
    /// tasks and the datagrams have it together; elsewhere another core, or an idle one, handles datagrams.
    #[expect(clippy::cast_precision_loss, reason = "few cores")]
    pub fn network_s(&self, bytes: f64) -> f64 {
        if self.share < 1.0 {
            let cores = (self.cores * self.threads).max(1);
            bytes / (self.share * self.core_bytes_per_s * cores as f64)
        } else {
            0.0
        }
    }

    /// Number of threads that share a task. `alone`: the board computes nothing else during the task.
    pub fn threads(&self, alone: bool) -> usize {
        if alone {
            self.threads.max(self.team.min(self.cores)).max(1)
        } else {
            self.threads.max(1)
        }
    }

    /// Tasks per second of the whole board, of tasks that one thread computes in `seconds`.
    #[expect(clippy::cast_precision_loss, reason = "few cores")]
    pub fn rate(&self, seconds: f64) -> f64 {
        self.cores.max(1) as f64 / self.shared_s(seconds, self.threads(false)).max(1e-12)
    }

    /// Whole frames that the board computes at a time: as many as there are teams among its cores.
    pub fn whole_at_once(&self) -> usize {
        (self.cores * self.threads / self.threads(true)).max(1)
    }

    /// Seconds that `threads` threads take for a task that one thread computes in `seconds`.
    #[expect(clippy::cast_precision_loss, reason = "few threads")]
    pub fn shared_s(&self, seconds: f64, threads: usize) -> f64 {
        seconds / (1.0 + self.team_gain * threads.saturating_sub(1) as f64)
    }
}
