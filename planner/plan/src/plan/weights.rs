//! Where weights lie in `weights.bin`, and in which form.

use serde::{Deserialize, Serialize};

use crate::{graph::NodeIx, region::Span};

/// How the weights of convolutions are stored. Biases are always float32.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum WeightFormat {
    /// IEEE 754 single precision.
    #[default]
    F32,
    /// IEEE 754 half precision, two in the place of a float32: the first one in its lower bits.
    F16,
    /// float32, as Winograd kernels of these sizes multiply them: `U` of every part of the input channels,
    /// see [`crate::kernel::winograd`].
    Transformed {
        /// Side of a tile.
        m: usize,
        /// Input channels of a part.
        depth: usize,
    },
}

impl WeightFormat {
    /// True for [`Self::F32`].
    pub const fn is_f32(&self) -> bool {
        matches!(self, Self::F32)
    }

    /// True for [`Self::F16`].
    pub const fn is_f16(&self) -> bool {
        matches!(self, Self::F16)
    }
}

/// How the weights of one node are stored.
///
/// Convolution: per group, per block of `nr` output channels (the last one padded with zeros):
/// `[nr]` bias, then `[ky][kx][cin][nr]`, the latter in half the places if they are halves; or,
/// transformed, `[part of cin][point][depth of the part * nr + GAP]`, see
/// [`crate::kernel::winograd`]. Depthwise: per block of `nr` channels: `[nr]` bias, then
/// `[ky][kx][nr]`. Everything else: `weights` then `bias` in the order of
/// [`crate::graph::NodeWeights`], except Connected, stored input-major in H, W, C order:
/// `[out]` bias, then `[h][w][c][out]`, and Local, `[oh][ow][cout]` bias, then `[oh][ow][ky][kx][cin][cout]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Packing {
    /// The node of the network whose weights these are.
    pub node: NodeIx,
    /// The node's name: `l02_conv`.
    pub name: String,
    /// Index of the section that the weights lie in.
    pub section: usize,
    /// First value (float32), counted from the end of the file's header page(s); a multiple of 16.
    pub offset: usize,
    /// Number of values (float32).
    pub floats: usize,
    /// Output channels per block (convolutions), 0 elsewhere.
    pub nr: usize,
    /// How the weights are stored. Biases are always float32.
    #[serde(default, skip_serializing_if = "WeightFormat::is_f32")]
    pub weights: WeightFormat,
    /// Ends of the parts of a convolution's input channels, ascending, if partial sums are made of them. Each part is
    /// packed as a convolution of its own, from a page on; the biases of all but the first are zero.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<usize>,
}

impl Packing {
    /// The input channels of every part; none if the node is packed as a whole.
    pub fn spans(&self) -> impl Iterator<Item = Span> {
        let firsts = std::iter::once(0).chain(self.parts.iter().copied());
        firsts.zip(&self.parts).map(|(lo, hi)| Span::new(lo, *hi))
    }
}

/// A section of `weights.bin`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// `s0`, `s1`, ..., `tail`.
    pub name: String,
    /// First value (float32) behind the header; a multiple of 1024 (a page).
    pub offset: usize,
    /// Number of values, a multiple of 1024.
    pub floats: usize,
}
