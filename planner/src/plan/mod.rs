//! **The seam** between planner and codegen: plain data, no methods that decide anything.
//!
//! A plan has two parts. [`Dataflow`] says what is computed where and what travels: nodes that
//! agree on its hash can work together whatever their processors. [`TargetPlan`] says how one
//! instruction set computes it: buffers, kernels, packing. [`Estimates`] stand beside both and
//! are covered by neither hash.
//!
//! Geometry is final here. Codegen prints it; it recomputes nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

mod defaults;
mod kernel;
mod weights;

use defaults::{is_false, is_one, is_zero, one};
pub use kernel::{Algorithm, ConvKernel, Isa};
pub use weights::{Packing, Section, WeightFormat};

use crate::graph::{Darknet, TensorIx};
use crate::region::{Region, Shape};

/// Version of the plan's form; a change of meaning or layout bumps it (see CHANGELOG).
pub const SCHEMA_VERSION: u32 = 1;

/// A complete plan, as written to `plan.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema: u32,
    /// Hex SHA-256 of the canonical form of `dataflow`; goes on the wire.
    pub hash: String,
    /// Name of the emitted crate: `<model>-<grid>-<target>`.
    pub name: String,
    /// The command that makes this plan again (no absolute paths).
    pub command: String,
    /// What is computed where, and what travels.
    pub dataflow: Dataflow,
    /// How each instruction set computes it, by target name.
    pub target: BTreeMap<String, TargetPlan>,
    /// Predictions, outside of both hashes.
    pub estimates: Estimates,
}

/// What is computed where, and what travels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dataflow {
    /// Name of the model.
    pub model: String,
    /// Hex of [`crate::model::Model::digest`].
    pub digest: String,
    /// Whose semantics.
    pub darknet: Darknet,
    /// Shape of the network's input.
    pub input: Shape,
    /// Tensors that cross a boundary: the input, stage outputs, the tail's outputs.
    pub tensors: Vec<Tensor>,
    /// Tiled stages, run on edges, in order.
    pub stages: Vec<Stage>,
    /// What the gateway computes after merging.
    pub tail: Tail,
}

/// A tensor that crosses a boundary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tensor {
    /// Which tensor of the graph.
    pub id: TensorIx,
    /// cfg layer whose output it is (the last one that names it), -1 for the input. Used by `--dump`.
    pub layer: i32,
    /// Its shape.
    pub shape: Shape,
    /// How its objects are stored and travel.
    pub format: Format,
}

/// Storage format of an object: rounded once by its producer, read alike everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// IEEE single precision.
    #[default]
    F32,
}

/// How tiles get what they need beyond their own share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Border {
    /// Every tile computes its own halo (FTP).
    #[default]
    Recompute,
}

/// How a grid cuts an axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Cuts that balance the tiles' multiply-adds.
    #[default]
    Balanced,
    /// The paper's: every part `ceil(extent / parts)`, the last what is left.
    Equal,
}

/// Consecutive layers that one task runs through.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Leading cfg layer.
    pub first_layer: usize,
    /// First cfg layer behind the stage.
    pub end_layer: usize,
    /// Rows and columns of tiles.
    pub grid: [usize; 2],
    /// How the axes were cut.
    pub split: Split,
    /// Border policy.
    pub border: Border,
    /// Tensors the stage reads.
    pub inputs: Vec<TensorIx>,
    /// Tensors the stage makes for others.
    pub outputs: Vec<TensorIx>,
    /// Tiles, row-major. Task ids count through all stages in order.
    pub tiles: Vec<Tile>,
}

/// One tile of a stage: one task per frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tile {
    /// Row in the grid.
    pub row: usize,
    /// Column in the grid.
    pub col: usize,
    /// Index into the target's `classes` of this stage (same index for every target).
    pub class: usize,
    /// Region needed of each of the stage's inputs; may be empty (`0..0`) if a tile needs none.
    pub inputs: Vec<Region>,
    /// Region made of each of the stage's outputs. Over all tiles they cover each map exactly once;
    /// may be empty for a tensor coarser than the grid.
    pub outputs: Vec<Region>,
    /// Exact multiply-adds.
    pub macs: u64,
}

/// What the gateway computes: layers from the offload point on, on whole maps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tail {
    /// First layer of the tail: the offload point.
    pub first_layer: usize,
    /// Number of layers of the network.
    pub end_layer: usize,
    /// Tensors read (whole).
    pub inputs: Vec<TensorIx>,
    /// Tensors made (whole): the network's outputs and what `--dump` asks for. An output that
    /// a stage already made is listed in `inputs` too and passed through.
    pub outputs: Vec<TensorIx>,
}

/// How one instruction set computes the dataflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetPlan {
    /// Kernel generator.
    pub kernels: Isa,
    /// Rust target triple the crate is built for.
    pub triple: String,
    /// Per stage its chain classes.
    pub stages: Vec<Vec<Chain>>,
    /// The tail, as a chain over whole maps. Absent steps: a pure pass-through.
    pub tail: Chain,
    /// Packed weights, by node: once per node however many chains use it.
    pub packing: Vec<Packing>,
    /// Sections of `weights.bin`: one per stage, then the tail.
    pub sections: Vec<Section>,
}

/// Tiles of equal shape share one chain class: layers with literal shapes, buffers in one arena.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chain {
    /// Name of the emitted module: `r0_c2` (row class, column class), `tail`.
    pub name: String,
    /// Values (float32) of the arena; the emitted crate's constant.
    pub arena_floats: usize,
    /// Buffers in the arena. Their memory overlaps when their lives do not.
    pub buffers: Vec<Buffer>,
    /// Buffer that each stage input is loaded into (`None`: this class needs nothing of it).
    pub loads: Vec<Option<View>>,
    /// Layers in execution order.
    pub steps: Vec<Step>,
    /// Where each stage output lies (`None`: this class makes nothing of it).
    pub stores: Vec<Option<View>>,
    /// In which order rows are loaded, computed and stored.
    pub order: Order,
    /// Multiply-adds of one run.
    pub macs: u64,
    /// Threads for which the steps' scratch suffices; more share what these have.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub threads: usize,
}

/// The order of a chain's firings: `prologue`, then `period` over and over, then `epilogue`.
///
/// Operations are numbered: the loads, then the steps, then the stores.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Fills the rings.
    pub prologue: Vec<Firing>,
    /// One turn of the steady state, as its first turn runs it.
    pub period: Vec<Firing>,
    /// Turns of the period.
    pub repeats: usize,
    /// Empties the rings.
    pub epilogue: Vec<Firing>,
}

/// A row block of one operation. In `plan.toml`: `[op, first, rows, advance]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "[usize; 4]", into = "[usize; 4]")]
pub struct Firing {
    /// Which load, step or store.
    pub op: usize,
    /// First row: of the buffer that is written, or (stores) of the output's box.
    pub first: usize,
    /// Number of rows.
    pub rows: usize,
    /// What `first` grows by with every turn of the period; 0 outside of it.
    pub advance: usize,
}

impl From<[usize; 4]> for Firing {
    fn from([op, first, rows, advance]: [usize; 4]) -> Self {
        Self {
            op,
            first,
            rows,
            advance,
        }
    }
}

impl From<Firing> for [usize; 4] {
    fn from(f: Firing) -> Self {
        [f.op, f.first, f.rows, f.advance]
    }
}

/// Rows of pixels of channels inside the arena, with zero columns beside and a zero row before.
///
/// A ring of `ring` rows: row `y` lies in place `y % ring`, where it replaces row `y - ring`.
///
/// Layout in float32 values from `offset`: `[zero_row as usize][row_floats]`, then
/// `[ring][pad_left + w + pad_right][c]`, with `row_floats = (pad_left + w + pad_right) * c`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Buffer {
    /// What it holds.
    pub tensor: TensorIx,
    /// First value in the arena; a multiple of 16 (64 bytes).
    pub offset: usize,
    /// Values it takes, zero row and columns included.
    pub floats: usize,
    /// Rows of the map's part that passes through.
    pub h: usize,
    /// Rows held at a time: `h`, or fewer.
    pub ring: usize,
    /// Columns without padding.
    pub w: usize,
    /// Channels.
    pub c: usize,
    /// Zero columns on the left.
    pub pad_left: usize,
    /// Zero columns on the right.
    pub pad_right: usize,
    /// Whether a zero row stands before the rows: for windows that reach above or below the map.
    pub zero_row: bool,
    /// Where it lies.
    #[serde(default, skip_serializing_if = "Place::is_arena")]
    pub place: Place,
}

impl Buffer {
    /// Whether zero rows or columns surround its rows.
    #[must_use]
    pub const fn is_padded(&self) -> bool {
        self.zero_row || self.pad_left + self.pad_right > 0
    }
}

/// Where a buffer lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// In the arena, from its offset on.
    #[default]
    Arena,
    /// It is the chain's input of this number, read where it arrived. Inputs of a tail alone arrive
    /// as one packed map.
    Input(usize),
    /// It is the chain's output of this number, written where it is handed over.
    Output(usize),
}

impl Place {
    /// Whether it lies in the arena.
    #[must_use]
    pub const fn is_arena(&self) -> bool {
        matches!(self, Self::Arena)
    }
}

/// A box inside a buffer: `h x w` pixels, beginning at row `y`, column `x` (not counting zero row and
/// columns); all channels, but where a convolution reads those from `channel` on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// Index into the chain's buffers.
    pub buffer: usize,
    /// First row.
    pub y: usize,
    /// First column.
    pub x: usize,
    /// Rows.
    pub h: usize,
    /// Columns.
    pub w: usize,
    /// First channel.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub channel: usize,
}

/// One layer of a chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Node of the graph.
    pub node: usize,
    /// cfg layer.
    pub layer: usize,
    /// Name of the emitted function: `l02_conv`.
    pub name: String,
    /// What is read of each of the node's inputs: exactly what `out` needs, clipped to the map.
    pub inputs: Vec<View>,
    /// What is written: always all rows and columns of its buffer.
    pub out: View,
    /// First channel of `out` that is written. A convolution, pool or upsampling whose only reader
    /// concatenates channels writes its own among those of the result; there, the reader's view is its own
    /// output.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub channel: usize,
    /// Position of `out` in its whole map: first row and column. Only operations whose result
    /// depends on position (upsample, resized shortcut, reorg3d) look at it, and only at its
    /// remainder by their stride; equal in all tiles of a class.
    pub phase: [usize; 2],
    /// Windows of input 0 reach this many rows and columns beyond its view, where the map ends:
    /// `[top, bottom, left, right]`. Convolutions read zeros there, pools skip them.
    pub pad: [usize; 4],
    /// Rows of `out` per firing; the last one of a map may have fewer.
    pub firing: usize,
    /// Rows of `out` that pass through all output channels together, inside a firing: their input
    /// rows stay in the cache.
    pub row_block: usize,
    /// Kernel, where the operation is a convolution.
    pub conv: Option<ConvKernel>,
    /// Whether rows that lie side by side are one long row to the kernel.
    #[serde(default, skip_serializing_if = "is_false")]
    pub joined: bool,
    /// How its weights are stored; kernels see float32.
    #[serde(default, skip_serializing_if = "WeightFormat::is_f32")]
    pub weights: WeightFormat,
    /// Values at the beginning of the arena that a firing works in: no buffer that holds something
    /// between the step's first firing and its last begins before their end. A multiple of 16.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub scratch: usize,
    /// Multiply-adds.
    pub macs: u64,
}

impl Step {
    /// Whether all it would copy lies in its output already: it never fires.
    pub fn is_there(&self) -> bool {
        !self.inputs.is_empty() && self.copied().next().is_none()
    }

    /// Whether an input of its own lies in its output.
    pub const fn finds(&self, input: &View) -> bool {
        input.buffer == self.out.buffer
    }

    /// What is read of inputs that do not lie in its output.
    pub fn copied(&self) -> impl Iterator<Item = &View> {
        self.inputs.iter().filter(|v| !self.finds(v))
    }
}

/// What the planner expects.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimates {
    /// Number of edges planned for.
    pub edges: usize,
    /// Workers of each.
    pub workers: usize,
    /// Multiply-adds of the stages, relative to untiled.
    pub redundancy: f64,
    /// Bytes per frame: `stage<N>.inputs`, what all tiles of a stage read together; `results`,
    /// what the gateway receives; `work_sharing`, picture, all tiles' inputs and results through
    /// the gateway, as without stealing; `expected.*`, what travels in [`mod@crate::cost::schedule`].
    pub traffic: BTreeMap<String, u64>,
    /// Memory per role in exact bytes; see [`crate::memory::memory`] for the keys.
    pub memory: BTreeMap<String, u64>,
    /// Predicted seconds: `stages`, `tail`, `frame` (both), `cores_busy` (all cores together),
    /// `channel_busy`.
    pub seconds: BTreeMap<String, f64>,
    /// Why this plan: one line per reason.
    pub why: Vec<String>,
}
