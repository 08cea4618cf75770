//! The ways in which boxes are read off detection maps, and compared.

use serde::{Deserialize, Serialize};

use crate::exact;

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
