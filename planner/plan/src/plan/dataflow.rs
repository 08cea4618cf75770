//! The stages and their tiles, the tail, and the tensors that travel between nodes.

use serde::{Deserialize, Serialize};

use super::{
    Scales,
    defaults::{is_one, is_usual_flight, one, usual_flight},
};
use crate::{
    element::ElementType,
    graph::TensorIx,
    placement::Placement,
    region::{Region, Shape, Span},
};

/// The stages and their tiles, the tail, and the tensors that travel between nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dataflow {
    /// Hex SHA-256 of the model: of the network's operations and, if they were known, of the folded weights.
    pub digest: String,
    /// The policy by which nodes share tasks.
    pub placement: Placement,
    /// Number of boards that [`Tile::home`] counts.
    pub boards: usize,
    /// Frames that a source has in flight at a time.
    #[serde(default = "usual_flight", skip_serializing_if = "is_usual_flight")]
    pub frames_in_flight: usize,
    /// Tensors that cross a boundary: the input, stage outputs, the tail's outputs.
    pub tensors: Vec<Tensor>,
    /// Tiled stages, run on edges, in order.
    pub stages: Vec<Stage>,
    /// The layers that the gateway computes after merging.
    pub tail: Tail,
}

/// A tensor that crosses a boundary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tensor {
    /// The tensor of the graph.
    pub id: TensorIx,
    /// The cfg layer whose output the tensor is (the last one, if several name it); -1 for the input. Used by
    /// `--dump`.
    pub layer: i32,
    /// Shape of the whole tensor: that of the graph's, with the channels of all partial sums.
    pub shape: Shape,
    /// Partial sums per value, if not 1: the tensor holds all channels of the first ones, then of the second ones, ...
    /// Readers add them in this order, then apply the convolution's activation.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub parts: usize,
    /// How the values of the tensor's objects are stored.
    #[serde(rename = "format")]
    pub element: ElementType,
    /// The rows and columns of the map that the tensor is, if it is a strip: a box of a layer's output that a tile hands
    /// to a neighbour. `shape` is the box's then, with all channels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strip: Option<[Span; 2]>,
    /// What bytes stand for, if the tensor is of bytes and not the frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scales: Option<Scales>,
}

/// How tiles of a stage get what they need beyond their own shares of its maps (`docs/borders.md`). A stage names its
/// policy, so policies that need more of a task have their place here.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Border {
    /// Every tile computes its own halo (FTP).
    #[default]
    Recompute,
    /// The stage needs a halo of its inputs alone, which tiles fetch from other tiles of the stages before it. Nothing
    /// is computed twice.
    Exchange,
    /// Tiles are coloured like a checkerboard. Those of the first colour compute their halo, and hand strips of every
    /// layer to their neighbours, which compute only what no strip covers (DeepThings 2018, section 3.3).
    Reuse,
}

/// What a grid cuts, and where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Cuts that balance the tiles' multiply-adds.
    #[default]
    Balanced,
    /// Cuts that balance the seconds of boards of different speeds, a tile for each.
    Speed,
    /// The paper's rule: every part has `ceil(extent / parts)` rows (columns), the last one what is left.
    Equal,
    /// Tiles have all rows and columns, and ranges of a convolution's output channels: one row of tiles, a column for
    /// each range. DeeperThings' layer output partitioning.
    Channels,
}

/// Consecutive layers that one task runs through.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// First cfg layer of the stage.
    pub first_layer: usize,
    /// First cfg layer behind the stage.
    pub end_layer: usize,
    /// Rows and columns of tiles. With [`Split::Channels`], 1 and the number of ranges.
    pub grid: [usize; 2],
    /// The rule by which the grid cuts the maps.
    pub split: Split,
    /// How tiles get their halo.
    pub border: Border,
    /// Tensors that the stage reads. A tensor may stand twice, one entry after the other: tiles read its rows up to
    /// the map's end, then those from its beginning on, as Darknet's reorg needs them.
    pub inputs: Vec<TensorIx>,
    /// Tensors that the stage makes for later stages or the tail.
    pub outputs: Vec<TensorIx>,
    /// Tiles, row by row. Task ids count the tiles of all stages in order. With [`Border::Reuse`], the tiles of the first
    /// colour, then tasks that make strips in their place, then the tiles of the second colour.
    pub tiles: Vec<Tile>,
}

/// One tile of a stage: one task per frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tile {
    /// Row in the grid.
    pub row: usize,
    /// Column in the grid; with [`Split::Channels`], number of the range of channels.
    pub col: usize,
    /// Index of the tile's chain class, the same for every target: into
    /// [`TargetPlan::stages`](super::TargetPlan::stages) of this stage.
    pub class: usize,
    /// The region that the tile needs of each stage input; empty if it needs nothing of the input.
    pub inputs: Vec<Region>,
    /// The region that the tile makes of each stage output. The regions of all tiles cover every map exactly
    /// once. A region may be empty if the map is coarser than the grid.
    pub outputs: Vec<Region>,
    /// The board that the task belongs to; 0 is the source of the frame, whichever edge that is.
    /// [`ANYWHERE`](crate::placement::ANYWHERE) for a task that belongs to none.
    pub home: u16,
    /// Exact number of multiply-adds, halo included.
    pub macs: u64,
    /// Strips that the tile takes from its neighbours: indices into [`Dataflow::tensors`]. They are further inputs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub takes: Vec<usize>,
    /// Strips that the tile hands to its neighbours: indices into [`Dataflow::tensors`]. They are further outputs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gives: Vec<usize>,
    /// The tile in whose place the task makes strips for the tile at `row` and `col`, if it is needed: an index into
    /// [`Stage::tiles`]. Such a task makes no part of the stage's outputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<usize>,
}

impl Tensor {
    /// True if the tensor is a box of a map that one tile hands to another.
    #[must_use]
    pub const fn is_strip(&self) -> bool {
        self.strip.is_some()
    }
}

/// The layers from the offload point on, which the gateway computes on whole maps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tail {
    /// First cfg layer of the tail: the offload point.
    pub first_layer: usize,
    /// Number of cfg layers of the network.
    pub end_layer: usize,
    /// Tensors that the tail reads, whole.
    pub inputs: Vec<TensorIx>,
    /// Tensors that the tail hands over, whole: the network's outputs, and what `--dump` asks for. A tensor
    /// that a stage has made stands in `inputs` too and passes through.
    pub outputs: Vec<TensorIx>,
}
