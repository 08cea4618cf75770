//! Detection layers: what the runtime needs to read boxes off their maps.

use serde::{Deserialize, Serialize};

use super::{TensorIx, exact};
use crate::region::Shape;

/// How NMS compares boxes (`docs/darknet.md#nms`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NmsKind {
    /// Plain IoU.
    #[default]
    Default,
    /// IoU minus a centre-distance term with exponent 0.6.
    Greedy,
    /// IoU minus a centre-distance term with exponent `beta`.
    Diou {
        /// The exponent, `beta_nms`.
        #[serde(with = "exact")]
        beta: f32,
    },
}

impl NmsKind {
    /// True if boxes are compared by plain IoU.
    pub const fn is_default(&self) -> bool {
        matches!(self, Self::Default)
    }
}

/// A detection layer's decoding parameters: data for the runtime.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// Index of the cfg layer.
    pub layer: usize,
    /// The map that is decoded, `[h, w, slots * entries]`.
    pub tensor: TensorIx,
    /// Shape of the map.
    pub shape: Shape,
    /// Number of classes.
    pub classes: usize,
    /// Width and height of each slot's anchor, masks applied. In pixels of the network's input for `[yolo]`, in
    /// grid cells for `[region]`; `[detection]` has none.
    #[serde(with = "exact::pairs")]
    pub anchors: Vec<(f32, f32)>,
    /// How boxes are decoded from the map.
    pub kind: HeadKind,
    /// The NMS that this layer asks for. The last head's is used.
    #[serde(default, skip_serializing_if = "NmsKind::is_default")]
    pub nms: NmsKind,
}

/// How boxes are decoded from a detection map.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "fields carry Darknet's key names")]
pub enum HeadKind {
    /// `[yolo]`, `docs/darknet.md#yolo`.
    Yolo { new_coords: bool },
    /// `[Gaussian_yolo]`, `docs/darknet.md#gaussian-yolo`; `point`: -1 right_bottom, 0 center, 1 left_top.
    Gaussian { point: i8 },
    /// `[region]`, `docs/darknet.md#region`.
    Region,
    /// `[detection]`, `docs/darknet.md#detection-v1`.
    Detection { side: usize, num: usize, sqrt: bool },
}
