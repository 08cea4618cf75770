//! Chain classes: layers with literal shapes over buffers in one arena, and the order of their firings.

use serde::{Deserialize, Serialize};

use super::{
    ConvKernel, WeightFormat,
    defaults::{is_false, is_one, is_zero, one},
};
use crate::{
    graph::{NodeIx, TensorIx},
    index::indexes,
    region::Span,
};

/// Alignment of buffers in an arena, in float32 values: one cache line.
pub const ALIGN_FLOATS: usize = 16;

/// Tiles of equal shape share one chain class: layers with literal shapes, buffers in one arena.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chain {
    /// Name of the emitted module: `r0_c2` (row class, column class), `tail`.
    pub name: String,
    /// Values (float32) of the arena; the emitted crate's constant.
    pub arena_floats: usize,
    /// Buffers in the arena. Their memory overlaps when their lives do not.
    pub buffers: Vec<Buffer>,
    /// The view that each stage input is loaded into, in the order of the stage's inputs: all columns of a buffer,
    /// and all rows, or the rows behind those of the input before. `None`: this class needs nothing of that input.
    #[serde(with = "views")]
    pub loads: Vec<Option<View>>,
    /// Layers in execution order.
    pub steps: Vec<Step>,
    /// The view that holds each stage output, in the order of the stage's outputs. `None`: this class makes
    /// nothing of that output.
    #[serde(with = "views")]
    pub stores: Vec<Option<View>>,
    /// The order in which rows are loaded, computed and stored.
    pub order: Order,
    /// Multiply-adds of one run of the chain.
    pub macs: u64,
    /// Number of threads that the steps' scratch memory suffices for. More threads share the scratch of these.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub threads: usize,
}

/// The order of a chain's firings: `prologue`, then `period` over and over, then `epilogue`.
///
/// Operations are numbered: the loads, then the steps, then the stores.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Firings that fill the rings, once.
    pub prologue: Vec<Firing>,
    /// Firings of one turn of the steady state, with the rows of the first turn.
    pub period: Vec<Firing>,
    /// Number of turns of the period.
    pub repeats: usize,
    /// Firings that empty the rings, once.
    pub epilogue: Vec<Firing>,
}

impl Order {
    /// All firings, one after the other.
    pub fn firings(&self) -> impl Iterator<Item = Firing> {
        let turns = (0..self.repeats).flat_map(|turn| {
            self.period.iter().map(move |f| Firing {
                first: f.first + turn * f.advance,
                advance: 0,
                ..*f
            })
        });
        self.prologue
            .iter()
            .copied()
            .chain(turns)
            .chain(self.epilogue.iter().copied())
    }

    /// Number of firings.
    pub fn len(&self) -> usize {
        self.prologue.len() + self.period.len() * self.repeats + self.epilogue.len()
    }

    /// True if no operation fires.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A row block of one operation. In `plan.toml`: `[op, first, rows, advance]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "[usize; 4]", into = "[usize; 4]")]
pub struct Firing {
    /// Number of the load, step or store, as [`Order`] counts them.
    pub op: usize,
    /// First row: of the buffer that is written, or (stores) of the output's box.
    pub first: usize,
    /// Number of rows.
    pub rows: usize,
    /// Rows that `first` grows by with every turn of the period; 0 outside of the period.
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
    /// The tensor whose rows the buffer holds.
    pub tensor: TensorIx,
    /// First value in the arena; a multiple of 16 (64 bytes).
    pub offset: usize,
    /// Values that the buffer takes, zero row and columns included.
    pub floats: usize,
    /// Rows of the part of the map that passes through the buffer.
    pub h: usize,
    /// Rows that the buffer holds at a time: `h`, or fewer.
    pub ring: usize,
    /// Columns without padding.
    pub w: usize,
    /// Channels.
    pub c: usize,
    /// Zero columns on the left.
    pub pad_left: usize,
    /// Zero columns on the right.
    pub pad_right: usize,
    /// True if a zero row stands before the rows, for windows that reach above or below the map.
    pub zero_row: bool,
    /// The memory that the buffer lies in.
    #[serde(default, skip_serializing_if = "Place::is_arena")]
    pub place: Place,
}

impl Buffer {
    /// True if zero rows or zero columns surround the buffer's rows.
    #[must_use]
    pub const fn is_padded(&self) -> bool {
        self.zero_row || self.pad_left + self.pad_right > 0
    }
}

/// A buffer of a chain: its index into [`Chain::buffers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BufferIx(pub usize);

indexes!(BufferIx, Buffer);

/// The memory that a buffer lies in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// The chain's arena, from the buffer's offset on.
    #[default]
    Arena,
    /// The chain's input of this number, read where it arrived. Only the inputs of a tail arrive as one packed
    /// map.
    Input(usize),
    /// The chain's output of this number, written where the chain hands it over.
    Output(usize),
}

impl Place {
    /// True for [`Self::Arena`].
    #[must_use]
    pub const fn is_arena(&self) -> bool {
        matches!(self, Self::Arena)
    }
}

/// A box inside a buffer: `h x w` pixels from row `y` and column `x` on, not counting zero row and columns. It
/// has all channels of the buffer, but a convolution reads those from `channel` on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// The buffer.
    pub buffer: BufferIx,
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
    /// Index of the graph's node that the step computes.
    pub node: NodeIx,
    /// Index of the cfg layer that the node comes from.
    pub layer: usize,
    /// Name of the emitted function: `l02_conv`.
    pub name: String,
    /// The box that the step reads of each input of the node: exactly what `out` needs, clipped to the map.
    pub inputs: Vec<View>,
    /// The box that the step writes: always all rows and columns of its buffer.
    pub out: View,
    /// First channel of `out` that the step writes. A convolution, pool or upsampling whose only reader
    /// concatenates channels writes straight into the concatenation's output. For that input, the
    /// concatenation's view is its own output.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub channel: usize,
    /// Output channels of the node that the step makes; `None`: all of them. A convolution's begin and end with packed
    /// blocks, of which the step reads no others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filters: Option<Span>,
    /// Input channels of a convolution that the step sums, without the activation; `None`: all of them. The first
    /// part's sums begin with the bias.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<Span>,
    /// Number of partial sums that the step adds, before it applies the convolution's activation; 0: it computes the
    /// node itself.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub sums: usize,
    /// Position of `out` in its whole map, row and column, as a remainder by the operation's stride. Only
    /// operations whose result depends on position use it (upsample, resized shortcut, reorg3d, reorg). Darknet's
    /// forward reorg has the row itself, no remainder. Equal in all tiles of a class.
    pub phase: [usize; 2],
    /// How many rows and columns the windows reach beyond the view of input 0, where the map ends: `[top,
    /// bottom, left, right]`. Convolutions read zeros there; pools skip these cells.
    pub pad: [usize; 4],
    /// Rows of `out` per firing. The last firing of a map may have fewer.
    pub firing: usize,
    /// Rows of `out` for which a firing computes all output channels before the next rows begin, so that their
    /// input rows stay in the cache.
    pub row_block: usize,
    /// The kernel of a convolution; `None` for every other operation.
    pub conv: Option<ConvKernel>,
    /// True if the kernel computes rows that lie side by side as one long row.
    #[serde(default, skip_serializing_if = "is_false")]
    pub joined: bool,
    /// How the weights are stored. Kernels always read float32.
    #[serde(default, skip_serializing_if = "WeightFormat::is_f32")]
    pub weights: WeightFormat,
    /// Scratch memory of a firing: this many values at the beginning of the arena, a multiple of 16. No buffer
    /// that is live between the step's first firing and its last lies there.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub scratch: usize,
    /// Multiply-adds of one run of the step.
    pub macs: u64,
}

impl Step {
    /// True if every input is already in the output buffer, so the step is a no-op. Such a step never fires.
    pub fn is_there(&self) -> bool {
        !self.inputs.is_empty() && self.copied().next().is_none()
    }

    /// True if this input of the step already lies in the step's output buffer.
    pub fn finds(&self, input: &View) -> bool {
        input.buffer == self.out.buffer
    }

    /// The views of the inputs that lie in other buffers than the output.
    pub fn copied(&self) -> impl Iterator<Item = &View> {
        self.inputs.iter().filter(|v| !self.finds(v))
    }
}

/// The form of lists of views of which some are not there. TOML has no word for nothing: such a view has no rows and no
/// columns.
mod views {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{BufferIx, View};

    const NOTHING: View = View {
        buffer: BufferIx(0),
        y: 0,
        x: 0,
        h: 0,
        w: 0,
        channel: 0,
    };

    pub fn serialize<S: Serializer>(list: &[Option<View>], s: S) -> Result<S::Ok, S::Error> {
        let list = list.iter().map(|v| v.as_ref().unwrap_or(&NOTHING));
        list.collect::<Vec<&View>>().serialize(s)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Option<View>>, D::Error> {
        let list = Vec::<View>::deserialize(d)?;
        Ok(list
            .into_iter()
            .map(|v| (v != NOTHING).then_some(v))
            .collect())
    }
}
