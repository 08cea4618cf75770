//! Operations and their parameters, all resolved.

use serde::{Deserialize, Serialize};

use super::Activation;
use crate::{
    exact,
    plan::defaults::{is_one, is_zero, one},
    region::Span,
};

/// A convolution (Darknet `convolutional_layer.c`) with folded batch norm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conv {
    /// Kernel side: windows are `size x size`.
    pub size: usize,
    /// Rows from one window to the next.
    pub stride_y: usize,
    /// Columns from one window to the next.
    pub stride_x: usize,
    /// Pixels of zero padding above and left of the map, already multiplied by the dilation.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pad: usize,
    /// Pixels from one tap to the next.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub dilation: usize,
    /// Number of groups: a divisor of the numbers of channels and filters.
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
    /// The weights file: the arrays of this cfg layer, which is another one with `share_index`.
    Layer(usize),
    /// The constant binomial kernel of `antialiasing`, one filter per channel.
    Blur,
}

/// Geometry of a pool (Darknet `maxpool_layer.c`). Cells outside the map are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Window side.
    pub size: usize,
    /// Rows from one window to the next.
    pub stride_y: usize,
    /// Columns from one window to the next.
    pub stride_x: usize,
    /// Rows and columns of the first window that lie above and left of the map: `padding / 2`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pad_before: usize,
}

/// How a shortcut combines its inputs. Input 0 is the previous layer; the others are the from-layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShortcutKind {
    /// A sum. Where an input has fewer channels than the output, it adds to its own channels only.
    Add,
    /// A weighted sum. The folded weights are `[inputs][c]`.
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

/// A range of channels that a concatenation takes of one input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Index into the node's inputs.
    pub input: usize,
    /// The range of that input's channels.
    pub c: Span,
}

/// What a node computes. Local operations can be tiled. The others need whole maps: they run in the tail, or in a
/// stage of one tile (see [`Op::is_local`]).
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
    /// Darknet's reorg, which scrambles values (`docs/darknet.md#reorg`).
    Reorg { stride: usize, reverse: bool },
    /// Space-to-depth, offset-major; with `reverse` depth-to-space.
    Reorg3d { stride: usize, reverse: bool },
    /// Sum of layers.
    Shortcut {
        kind: ShortcutKind,
        activation: Activation,
    },
    /// `y = x * weights[c] + bias[c]`.
    BatchNorm,
    /// An activation layer.
    Activate(Activation),
    /// The product of two maps of equal shape, value by value.
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
    /// A convolution with weights of its own for every output position.
    Local {
        size: usize,
        stride: usize,
        pad: usize,
        activation: Activation,
    },
    /// A centre crop. With `adjust`, a value `v` becomes `2v - 1`.
    Crop { y: usize, x: usize, adjust: bool },
    /// Softmax over equal groups of the flat (C, H, W) input.
    Softmax {
        groups: usize,
        #[serde(with = "exact")]
        temperature: f32,
    },
    /// The map of a yolo layer: applies logistic to tx, ty, objectness and classes, and `scale_x_y`.
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
    /// The map of a region layer: keeps tx, ty, tw and th, applies logistic to objectness and softmax (or
    /// logistic) to classes.
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

    /// True if a box of the output needs only a box of each input, or (Darknet's reorg) one whose rows go on at the
    /// map's other end. Only such nodes can be tiled.
    pub const fn is_local(&self) -> bool {
        !matches!(
            self,
            Self::AvgPool
                | Self::Connected { .. }
                | Self::Local { .. }
                | Self::Softmax { .. }
                | Self::Detection { .. }
        )
    }
}
