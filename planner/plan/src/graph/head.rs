//! Detection layers: what the runtime needs to read boxes off their maps.

use serde::{Deserialize, Serialize};

use super::TensorIx;
use crate::{
    decoding::{HeadKind, NmsKind},
    exact,
    region::Shape,
};

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
