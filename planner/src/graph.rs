//! The network as a DAG of operations with resolved shapes: what the rest of Tessera works on.
//!
//! The front end ([`crate::cfg`]) turns a Darknet cfg into a [`Graph`]. One cfg layer becomes no
//! node (dropout, cost, a route to one layer: they are other names of an existing tensor), one
//! node (nearly all), or two (an antialiased convolution: the convolution, then the blur).
//! Shapes, paddings and strides are resolved; nothing here needs the cfg again.

use serde::{Deserialize, Serialize};

use crate::region::{Shape, Span};

/// A tensor of the graph: the network's input, or the output of a node.
///
/// Serialised as an integer: -1 is the input, `k >= 0` the output of node `k`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TensorIx(pub i32);

impl TensorIx {
    /// The network's input.
    pub const INPUT: Self = Self(-1);

    /// Output of node `node`.
    pub fn node(node: usize) -> Self {
        Self(i32::try_from(node).expect("node counts are bounded by the front end"))
    }

    /// The producing node; `None` for the network's input.
    pub fn producer(self) -> Option<usize> {
        usize::try_from(self.0).ok()
    }
}

/// Which Darknet is followed where the forks differ (`--darknet`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Darknet {
    /// AlexeyAB's fork: `sqrt(variance + 1e-5)`, objectness 1 for region boxes before NMS.
    #[default]
    Alexey,
    /// The original: `sqrt(variance) + 1e-6`, shortcuts that change size.
    Pjreddie,
}

/// A network: nodes in topological order, what each cfg layer became, and its detection heads.
#[derive(Clone, Debug)]
pub struct Graph {
    /// Name of the model: the cfg's file stem.
    pub name: String,
    /// Whose semantics were applied.
    pub darknet: Darknet,
    /// Shape of the network's input.
    pub input: Shape,
    /// `letter_box=1` in `[net]`.
    pub letterbox: bool,
    /// Operations; a node reads only tensors of earlier nodes.
    pub nodes: Vec<Node>,
    /// One entry per cfg section after `[net]`, in order.
    pub layers: Vec<Layer>,
    /// Detection layers in cfg order.
    pub heads: Vec<Head>,
    /// What the network computes: the detection maps, else the last layer's tensor.
    pub outputs: Vec<TensorIx>,
}

impl Graph {
    /// Number of values of the first output: the classes of a classifier.
    pub fn outputs_len(&self) -> usize {
        self.outputs.first().map_or(0, |t| self.shape(*t).len())
    }

    /// Shape of a tensor.
    pub fn shape(&self, t: TensorIx) -> Shape {
        t.producer().map_or(self.input, |n| self.nodes[n].shape)
    }
}

/// A section of the cfg, and what became of it.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Darknet's name of the section, without brackets: `convolutional`.
    pub kind: String,
    /// Line of the section header in the cfg, from 1.
    pub line: usize,
    /// The tensor that a reference to this layer means. `None`: nothing (cost after softmax).
    pub tensor: Option<TensorIx>,
    /// Output shape as Darknet reports it.
    pub shape: Shape,
    /// float32 values that the weights file holds for this layer.
    pub weights: usize,
    /// The arrays that those values are.
    pub stored: Stored,
    /// Multiply-adds of the whole layer (convolution, connected, local; 0 elsewhere).
    pub macs: u64,
}

/// The arrays of one layer in the weights file (semantics section 3), in file order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Stored {
    /// The file holds nothing for this layer.
    #[default]
    Nothing,
    /// `biases[n]`, with batch norm `scales[n] mean[n] variance[n]`, then `weights[n * k]`.
    Conv {
        /// Filters.
        n: usize,
        /// Weights per filter: channels of its group times window.
        k: usize,
        /// Whether batch norm follows.
        batch_norm: bool,
        /// The three batch-norm arrays are not in the file (`dontloadscales`).
        no_scales: bool,
        /// The matrix is stored transposed (`flipped`).
        flipped: bool,
    },
    /// `biases[out] weights[out * in]`, with batch norm `scales[out] mean[out] variance[out]` behind.
    Connected {
        /// Inputs.
        inputs: usize,
        /// Outputs.
        outputs: usize,
        /// Whether batch norm follows.
        batch_norm: bool,
    },
    /// `biases[c] scales[c] mean[c] variance[c]`.
    BatchNorm {
        /// Channels.
        c: usize,
    },
    /// `biases[n * positions] weights[positions * n * k]`.
    Local {
        /// Output positions.
        positions: usize,
        /// Filters.
        n: usize,
        /// Weights per filter and position.
        k: usize,
    },
    /// `weights[inputs * c]` (`per_channel`) or `weights[inputs]`, to be normalised.
    Shortcut {
        /// Number of summed layers.
        inputs: usize,
        /// Channels of the output.
        c: usize,
        /// One weight per channel instead of one per input.
        per_channel: bool,
        /// `weights_normalization`.
        normalization: Normalization,
    },
}

/// How the weights of a weighted shortcut are normalised over its inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Normalization {
    /// Not at all.
    #[default]
    None,
    /// `max(w, 0) / (0.0001 + sum)`.
    Relu,
    /// `exp(w - max) / (0.0001 + sum)`.
    Softmax,
}

impl Stored {
    /// float32 values in the file; `None` when the count overflows.
    pub fn floats(&self) -> Option<usize> {
        match *self {
            Self::Nothing => Some(0),
            Self::Conv {
                n,
                k,
                batch_norm,
                no_scales,
                ..
            } => {
                let arrays = if batch_norm && !no_scales { 4 } else { 1 };
                n.checked_mul(k)?.checked_add(n.checked_mul(arrays)?)
            }
            Self::Connected {
                inputs,
                outputs,
                batch_norm,
            } => {
                let arrays = if batch_norm { 4 } else { 1 };
                inputs
                    .checked_mul(outputs)?
                    .checked_add(outputs.checked_mul(arrays)?)
            }
            Self::BatchNorm { c } => c.checked_mul(4),
            Self::Local { positions, n, k } => {
                let each = n.checked_mul(positions)?;
                each.checked_mul(k)?.checked_add(each)
            }
            Self::Shortcut {
                inputs,
                c,
                per_channel,
                ..
            } => inputs.checked_mul(if per_channel { c } else { 1 }),
        }
    }
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Node {
    /// Index of the cfg layer it comes from.
    pub layer: usize,
    /// Name in emitted code: `l02_conv`. Unique.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// What it reads.
    pub inputs: Vec<TensorIx>,
    /// Shape of its output.
    pub shape: Shape,
}

/// Activation functions, with the formulas of Darknet's `activations.h`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[expect(
    missing_docs,
    reason = "Darknet's own names; formulas stand in the kernel generator"
)]
pub enum Activation {
    #[default]
    Linear,
    Logistic,
    Loggy,
    Relu,
    Relu6,
    Leaky,
    Relie,
    Ramp,
    Elu,
    Selu,
    Gelu,
    Tanh,
    Plse,
    Stair,
    Hardtan,
    Lhtan,
    Swish,
    Mish,
    HardMish,
    NormalizeChannels,
    NormalizeChannelsSoftmax,
    NormalizeChannelsSoftmaxMaxval,
}

impl Activation {
    /// The name used in kernel names and in cfg files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Logistic => "logistic",
            Self::Loggy => "loggy",
            Self::Relu => "relu",
            Self::Relu6 => "relu6",
            Self::Leaky => "leaky",
            Self::Relie => "relie",
            Self::Ramp => "ramp",
            Self::Elu => "elu",
            Self::Selu => "selu",
            Self::Gelu => "gelu",
            Self::Tanh => "tanh",
            Self::Plse => "plse",
            Self::Stair => "stair",
            Self::Hardtan => "hardtan",
            Self::Lhtan => "lhtan",
            Self::Swish => "swish",
            Self::Mish => "mish",
            Self::HardMish => "hard_mish",
            Self::NormalizeChannels => "normalize_channels",
            Self::NormalizeChannelsSoftmax => "normalize_channels_softmax",
            Self::NormalizeChannelsSoftmaxMaxval => "normalize_channels_softmax_maxval",
        }
    }

    /// Whether convolution kernels apply it to their accumulators; the others are a pass over the
    /// finished rows.
    pub const fn is_inline(self) -> bool {
        matches!(
            self,
            Self::Linear | Self::Relu | Self::Relu6 | Self::Leaky | Self::Relie | Self::Ramp
        )
    }
}

/// A convolution (Darknet `convolutional_layer.c`), batch norm already folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conv {
    /// Kernel side: windows are `size x size`.
    pub size: usize,
    /// Rows between windows.
    pub stride_y: usize,
    /// Columns between windows.
    pub stride_x: usize,
    /// Zero pixels before the map on each side, already multiplied by the dilation.
    pub pad: usize,
    /// Distance between taps.
    pub dilation: usize,
    /// Groups; channels and filters divide by it.
    pub groups: usize,
    /// Applied to the sum.
    pub activation: Activation,
    /// Where the weights come from.
    pub source: WeightSource,
}

/// Where a convolution's weights come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightSource {
    /// The weights file, under this cfg layer (another one with `share_index`).
    Layer(usize),
    /// The constant binomial kernel of `antialiasing`, one filter per channel.
    Blur,
}

/// Geometry of a pool (Darknet `maxpool_layer.c`): cells outside the map are ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Window side.
    pub size: usize,
    /// Rows between windows.
    pub stride_y: usize,
    /// Columns between windows.
    pub stride_x: usize,
    /// Rows and columns that the first window begins before the map: `padding / 2`.
    pub pad_before: usize,
}

/// How a shortcut combines its inputs. Input 0 is the previous layer, the others the from-layers.
#[derive(Clone, Debug, PartialEq)]
pub enum ShortcutKind {
    /// Sum; channel `c` of input `i` is added while it exists.
    Add,
    /// Weighted sum; the folded weights are `[inputs][c]`.
    Weighted,
    /// The original fork's size-changing shortcut (semantics 4.6):
    /// `y[j*up][i*up] = alpha*y + beta*from[j*down][i*down]` for the channels both have.
    Resized {
        /// Sampling step in the from-layer.
        down: usize,
        /// Sampling step in the output.
        up: usize,
        /// Factor of the previous layer at the sampled places.
        alpha: f32,
        /// Factor of the from-layer.
        beta: f32,
    },
}

/// Channels `c` of input number `input` of a concatenation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which of the node's inputs.
    pub input: usize,
    /// Which of its channels.
    pub c: Span,
}

/// What a node computes. Local operations can be tiled; the others need whole maps and live in
/// the tail (see [`Op::is_local`]).
#[derive(Clone, Debug, PartialEq)]
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
    Upsample { stride: usize, scale: f32 },
    /// `scale` times the sum of each `stride x stride` block.
    Downsample { stride: usize, scale: f32 },
    /// Darknet's scrambled reorg (semantics 4.5).
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
        alpha: f32,
        beta: f32,
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
    Softmax { groups: usize, temperature: f32 },
    /// The map of a yolo layer: logistic on tx, ty, objectness and classes, `scale_x_y`.
    Yolo {
        masks: usize,
        classes: usize,
        scale_x_y: f32,
        new_coords: bool,
    },
    /// The map of a Gaussian_yolo layer.
    GaussianYolo {
        masks: usize,
        classes: usize,
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
    /// Whether a box of the output needs only a box of each input: such nodes can be tiled.
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

/// How NMS compares boxes (semantics 5.5).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum NmsKind {
    /// Plain IoU.
    #[default]
    Default,
    /// IoU minus a centre-distance term with exponent 0.6.
    Greedy,
    /// The same with exponent `beta`.
    Diou {
        /// The exponent, `beta_nms`.
        beta: f32,
    },
}

/// A detection layer's decoding parameters: data for the runtime.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// cfg layer.
    pub layer: usize,
    /// Its map, `[h, w, slots * entries]`.
    pub tensor: TensorIx,
    /// Shape of the map.
    pub shape: Shape,
    /// Number of classes.
    pub classes: usize,
    /// Width and height of the anchor of every slot: pixels of the network's input (yolo), grid
    /// cells (region), empty (detection). Masks are applied.
    pub anchors: Vec<(f32, f32)>,
    /// How boxes are read off the map.
    pub kind: HeadKind,
    /// NMS asked for by this layer; the last head's counts.
    pub nms: NmsKind,
}

/// How boxes are read off a detection map.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "fields carry Darknet's key names")]
pub enum HeadKind {
    /// `[yolo]`, semantics 5.1.
    Yolo { new_coords: bool },
    /// `[Gaussian_yolo]`, semantics 5.2; `point`: -1 right_bottom, 0 center, 1 left_top.
    Gaussian { point: i8 },
    /// `[region]`, semantics 5.3.
    Region,
    /// `[detection]`, semantics 5.4.
    Detection { side: usize, num: usize, sqrt: bool },
}
