//! What a plan is asked to be.

use std::sync::Arc;

use crate::kernel::{
    Family, Storage, Wanted,
    costs::{self, CostTable},
    winograd::TILES,
};
use tessera_plan::plan::{Isa, Split};

/// What emitted code is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// x86-64 with AVX2 and FMA.
    X86_64V3,
    /// x86-64 with AVX-512.
    X86_64V4,
    /// Plain Rust for the host.
    Portable,
    /// 64-bit ARM Linux.
    Aarch64,
    /// 32-bit ARM Linux with hard floats and NEON.
    Armv7,
}

impl Target {
    /// All targets.
    pub const ALL: [Self; 5] = [
        Self::X86_64V3,
        Self::X86_64V4,
        Self::Portable,
        Self::Aarch64,
        Self::Armv7,
    ];

    /// The name people type.
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86_64V3 => "x86-64-v3",
            Self::X86_64V4 => "x86-64-v4",
            Self::Portable => "portable",
            Self::Aarch64 => "aarch64",
            Self::Armv7 => "armv7",
        }
    }

    /// The target of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.name() == name)
    }

    /// Rust target triple.
    pub const fn triple(self) -> &'static str {
        match self {
            Self::X86_64V3 | Self::X86_64V4 => "x86_64-unknown-linux-gnu",
            Self::Aarch64 => "aarch64-unknown-linux-gnu",
            Self::Armv7 => "armv7-unknown-linux-gnueabihf",
            #[cfg(target_arch = "aarch64")]
            Self::Portable => "aarch64-unknown-linux-gnu",
            #[cfg(not(target_arch = "aarch64"))]
            Self::Portable => "x86_64-unknown-linux-gnu",
        }
    }

    /// Kernel generator.
    pub const fn kernels(self) -> Isa {
        match self {
            Self::X86_64V3 => Isa::X86_64V3,
            Self::X86_64V4 => Isa::X86_64V4,
            Self::Portable => Isa::Portable,
            Self::Aarch64 => Isa::Aarch64,
            Self::Armv7 => Isa::Armv7,
        }
    }
}

/// What a plan is asked to be.
#[derive(Clone, Debug)]
pub struct PlanOptions {
    /// Rows and columns of tiles: one grid for all stages, one per stage, or none (search).
    pub grids: Vec<[usize; 2]>,
    /// Number of leading layers on edges; `None` with empty `cuts`: search.
    pub offload: Option<usize>,
    /// Stage ends, the last one being the offload point. Excludes `offload`.
    pub cuts: Vec<usize>,
    /// How grids cut.
    pub split: Split,
    /// Only bit-exact kernels and float32 objects.
    pub exact: bool,
    /// How rows move through a chain.
    pub rows: Rows,
    /// Kernels to choose from; direct ones if `exact`.
    pub kernels: Family,
    /// Tiles per call of a Winograd kernel, about: fewer take less memory and more time.
    pub tiles: usize,
    /// How weights of convolutions are stored.
    pub weights: Storage,
    /// How fast kernels are.
    pub costs: Costs,
    /// Number of edges.
    pub edges: usize,
    /// Worker processes per edge.
    pub workers: usize,
    /// Threads of a board that share the layers of a task it has to itself: the tail, or a stage of one
    /// tile. With fewer, more wait; with more, some do.
    pub team: usize,
    /// Memory limit of an edge, in bytes.
    pub memory: Option<u64>,
    /// What to plan for; at least one.
    pub targets: Vec<Target>,
    /// Whether boundary tensors and the convolutions before heads leave the tail, for `--dump`.
    pub dump: bool,
    /// The command that makes the plan again.
    pub command: String,
}

/// Where the speed of kernels is read.
#[derive(Clone, Debug, Default)]
pub enum Costs {
    /// In the table that is shipped for a target's slowest usual core, or in formulas where none is.
    #[default]
    Shipped,
    /// In a table; targets that are not its own are as without.
    Table(Arc<CostTable>),
}

/// The core whose table counts for a target unless asked for otherwise.
pub const CORE: &str = "cortex-a53";

impl Costs {
    /// The table for a target.
    pub fn of(&self, target: Target) -> Option<&CostTable> {
        match self {
            Self::Table(t) if t.target == target.name() => Some(t),
            _ => costs::shipped(CORE, target),
        }
    }
}

/// Threads of a team unless asked for otherwise: the cores of a Raspberry Pi.
pub const TEAM: usize = 4;

/// How rows move through a chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rows {
    /// Through rings, in row blocks whose heights the planner chooses.
    #[default]
    Rolling,
    /// Layer by layer, whole maps: the order of the DeepThings paper.
    Whole,
    /// Through rings, in row blocks of this many rows, for all layers.
    Blocks(usize),
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self {
            grids: Vec::new(),
            offload: None,
            cuts: Vec::new(),
            split: Split::Balanced,
            exact: false,
            rows: Rows::Rolling,
            kernels: Family::Auto,
            tiles: TILES,
            costs: Costs::default(),
            weights: Storage::Auto,
            edges: 2,
            workers: 1,
            team: TEAM,
            memory: None,
            targets: vec![Target::Portable],
            dump: false,
            command: String::new(),
        }
    }
}

impl PlanOptions {
    /// Kernels to choose from.
    pub const fn family(&self) -> Family {
        if self.exact {
            Family::Direct
        } else {
            self.kernels
        }
    }

    /// What kernels of `target` are chosen for.
    pub fn kernels_for(&self, target: Target) -> Wanted<'_> {
        Wanted {
            isa: target.kernels(),
            family: self.family(),
            tiles: self.tiles,
            weights: self.weights,
            costs: self.costs.of(target),
        }
    }
}
