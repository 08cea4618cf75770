//! Operations and their parameters, all resolved.

use serde::{Deserialize, Serialize};

use super::{Activation, exact};
use crate::{
    plan::defaults::{is_one, is_zero, one},
    region::Span,
};

/// A convolution (Darknet `convolutional_layer.c`), batch norm already folded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conv {
    /// Kernel side: windows are `size x size`.
    pub size: usize,
    /// Rows between windows.
    pub stride_y: usize,
    /// Columns between windows.
    pub stride_x: usize,
    /// Zero pixels before the map on each side, already multiplied by the dilation.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pad: usize,
    /// Distance between taps.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub dilation: usize,
    /// Groups; channels and filters divide by it.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub groups: usize,
    /// The function applied to the sum.
    pub activation: Activation,
    /// The source of the weights.
    pub source: WeightSource,
}

impl Conv {
    /// True if every output channel reads one input channel, its own, which is what depthwise kernels compute.
    /// `cin` and `cout` are the channels of the whole input and output. A convolution of a single channel is not
    /// depthwise.
    pub const fn is_depthwise(&self, cin: usize, cout: usize) -> bool {
        self.groups > 1 && self.groups == cin && self.groups == cout
    }
}

/// Where a convolution's weights come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightSource {
    /// The weights file, under this cfg layer (another one with `share_index`).
    Layer(usize),
    /// The constant binomial kernel of `antialiasing`, one filter per channel.
    Blur,
}

/// Geometry of a pool (Darknet `maxpool_layer.c`): cells outside the map are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Window side.
    pub size: usize,
    /// Rows between windows.
    pub stride_y: usize,
    /// Columns between windows.
    pub stride_x: usize,
    /// Rows and columns that the first window begins before the map: `padding / 2`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pad_before: usize,
}

/// How a shortcut combines its inputs. Input 0 is the previous layer, the others the from-layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShortcutKind {
    /// Sum; channel `c` of input `i` is added while it exists.
    Add,
    /// Weighted sum; the folded weights are `[inputs][c]`.
    Weighted,
    /// The original fork's size-changing shortcut (`docs/darknet.md#shortcut`):
    /// `y[j*up][i*up] = alpha*y + beta*from[j*down][i*down]` for the channels both have.
    Resized {
        /// Sampling step in the from-layer.
        down: usize,
        /// Sampling step in the output.
        up: usize,
        /// Factor of the previous layer at the sampled places.
        #[serde(with = "exact")]
        alpha: f32,
        /// Factor of the from-layer.
        #[serde(with = "exact")]
        beta: f32,
    },
}

/// Channels `c` of input number `input` of a concatenation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Which of the node's inputs.
    pub input: usize,
    /// Which of its channels.
    pub c: Span,
}

/// What a node computes. Local operations can be tiled; the others need whole maps and live in
/// the tail (see [`Op::is_local`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "fields carry Darknet's key names")]
pub enum Op {
    /// Convolution.
    Conv(Conv),
    /// Maximum over windows.
    MaxPool(Pool),
    /// Mean over the cells of windows that lie inside the map.
    LocalAvgPool(Pool),
    /// Maximum over channels `g, g + out, g + 2 out, ...`.
    MaxPoolDepth { out_channels: usize },
    /// Mean of each channel over the whole map.
    AvgPool,
    /// Concatenation of channel ranges (route).
    Concat(Vec<Part>),
    /// `out[j][i] = scale * in[j / stride][i / stride]`.
    Upsample {
        stride: usize,
        #[serde(with = "exact")]
        scale: f32,
    },
    /// `scale` times the sum of each `stride x stride` block.
    Downsample {
        stride: usize,
        #[serde(with = "exact")]
        scale: f32,
    },
    /// Darknet's scrambled reorg (`docs/darknet.md#reorg`).
    Reorg { stride: usize, reverse: bool },
    /// True space-to-depth, offset-major (reverse: depth-to-space).
    Reorg3d { stride: usize, reverse: bool },
    /// Sum of layers.
    Shortcut {
        kind: ShortcutKind,
        activation: Activation,
    },
    /// `y = x * weights[c] + bias[c]`.
    BatchNorm,
    /// An activation on its own.
    Activate(Activation),
    /// Product of two equal maps.
    Sam { activation: Activation },
    /// Input 0 scales input 1: per channel (`per_pixel = false`, input 0 is 1 x 1 x C) or per
    /// pixel (`true`, input 0 is H x W x 1).
    ScaleChannels {
        per_pixel: bool,
        activation: Activation,
    },
    /// Local response normalisation across channels.
    Lrn {
        size: usize,
        #[serde(with = "exact")]
        alpha: f32,
        #[serde(with = "exact")]
        beta: f32,
        #[serde(with = "exact")]
        kappa: f32,
    },
    /// Fully connected; the input is flattened C, H, W as in Darknet.
    Connected { activation: Activation },
    /// Convolution with its own weights per output position.
    Local {
        size: usize,
        stride: usize,
        pad: usize,
        activation: Activation,
    },
    /// Centre crop; `adjust`: `2x - 1`.
    Crop { y: usize, x: usize, adjust: bool },
    /// Softmax over equal groups of the flat (C, H, W) input.
    Softmax {
        groups: usize,
        #[serde(with = "exact")]
        temperature: f32,
    },
    /// The map of a yolo layer: logistic on tx, ty, objectness and classes, `scale_x_y`.
    Yolo {
        masks: usize,
        classes: usize,
        #[serde(with = "exact")]
        scale_x_y: f32,
        new_coords: bool,
    },
    /// The map of a Gaussian_yolo layer.
    GaussianYolo {
        masks: usize,
        classes: usize,
        #[serde(with = "exact")]
        scale_x_y: f32,
    },
    /// The map of a region layer: tx, ty, tw, th raw, logistic objectness, softmax (or logistic) classes.
    Region {
        num: usize,
        classes: usize,
        softmax: bool,
        logistic_classes: bool,
    },
    /// The flat output of a detection (v1) layer.
    Detection {
        side: usize,
        num: usize,
        classes: usize,
        softmax: bool,
    },
}

impl Op {
    /// True if the operation reads weights: trained ones, or those of [`WeightSource::Blur`].
    pub const fn has_weights(&self) -> bool {
        matches!(
            self,
            Self::Conv(_)
                | Self::BatchNorm
                | Self::Connected { .. }
                | Self::Local { .. }
                | Self::Shortcut {
                    kind: ShortcutKind::Weighted,
                    ..
                }
        )
    }

    /// True if a box of the output needs only a box of each input. Only such nodes can be tiled.
    pub const fn is_local(&self) -> bool {
        !matches!(
            self,
            Self::AvgPool
                | Self::Reorg { .. }
                | Self::Connected { .. }
                | Self::Local { .. }
                | Self::Crop { .. }
                | Self::Softmax { .. }
                | Self::Detection { .. }
        )
    }
}
