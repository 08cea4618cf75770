//! Darknet's activation functions.

use serde::{Deserialize, Serialize};

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

    /// True if the function returns its argument.
    pub const fn is_linear(self) -> bool {
        matches!(self, Self::Linear)
    }

    /// True if kernels apply the function to sums in registers, in one to three vector instructions. Kernels apply
    /// every other pointwise function to values that they just stored, in the first-level cache.
    pub const fn is_in_registers(self) -> bool {
        matches!(
            self,
            Self::Linear | Self::Relu | Self::Relu6 | Self::Leaky | Self::Relie | Self::Ramp
        )
    }

    /// True if the function maps every value on its own, so that kernels can fuse it. The other functions
    /// normalise the channels of a pixel: a pass over finished rows applies them.
    pub const fn is_pointwise(self) -> bool {
        !matches!(
            self,
            Self::NormalizeChannels
                | Self::NormalizeChannelsSoftmax
                | Self::NormalizeChannelsSoftmaxMaxval
        )
    }
}
