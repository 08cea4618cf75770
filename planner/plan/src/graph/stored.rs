//! Which arrays of a layer the weights file holds.

use serde::{Deserialize, Serialize};

use crate::plan::defaults::is_false;

/// The arrays of one layer in the weights file (`docs/darknet.md#weights-order`), in file order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stored {
    /// The file holds nothing for this layer.
    #[default]
    Nothing,
    /// `biases[n]`, with batch norm `scales[n] mean[n] variance[n]`, then `weights[n * k]`.
    Conv {
        /// Filters.
        n: usize,
        /// Weights per filter: channels of the filter's group times taps of the window.
        k: usize,
        /// True if the layer has batch norm.
        #[serde(default, skip_serializing_if = "is_false")]
        batch_norm: bool,
        /// True if the matrix is stored transposed (`flipped`).
        #[serde(default, skip_serializing_if = "is_false")]
        flipped: bool,
    },
    /// `biases[out] weights[out * in]`, with batch norm `scales[out] mean[out] variance[out]` behind.
    Connected {
        /// Inputs.
        inputs: usize,
        /// Outputs.
        outputs: usize,
        /// True if the layer has batch norm.
        #[serde(default, skip_serializing_if = "is_false")]
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
        /// True if each channel has a weight; false if each input has one.
        per_channel: bool,
        /// `weights_normalization`.
        normalization: Normalization,
    },
}

/// How the weights of a weighted shortcut are normalised over its inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalization {
    /// Weights are used as they are.
    #[default]
    None,
    /// `max(w, 0) / (0.0001 + sum)`.
    Relu,
    /// `exp(w - max) / (0.0001 + sum)`.
    Softmax,
}

impl Stored {
    /// True for [`Self::Nothing`].
    pub const fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    /// Number of float32 values in the file; `None` if the count overflows.
    pub fn floats(&self) -> Option<usize> {
        match *self {
            Self::Nothing => Some(0),
            Self::Conv {
                n, k, batch_norm, ..
            } => {
                let arrays = if batch_norm { 4 } else { 1 };
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
