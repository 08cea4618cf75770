//! What is computed where, and what travels.

use serde::{Deserialize, Serialize};

use crate::{
    graph::TensorIx,
    region::{Region, Shape},
};

/// What is computed where, and what travels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dataflow {
    /// Hex SHA-256 of the model: of what the network computes and, where they were known, its folded weights.
    pub digest: String,
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
    /// How the values of its objects are stored.
    #[serde(rename = "format")]
    pub element: ElementType,
}

/// How the values of an object are stored: in slots and on the wire. Rounded once by the object's
/// producer, read alike everywhere, so placement never changes a bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ElementType {
    /// Bytes `0..=255` that stand for `value / 255`: frames that come from pictures.
    U8,
    /// IEEE 754 half precision, little-endian.
    F16,
    /// IEEE 754 single precision, little-endian.
    #[default]
    F32,
}

impl ElementType {
    /// Bytes of one value.
    pub const fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::F16 => 2,
            Self::F32 => 4,
        }
    }
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
