//! How objects store their values.

use serde::{Deserialize, Serialize};

/// How the values of an object are stored, in slots and on the wire. The object's producer rounds them once,
/// and every consumer reads the same bits, so placement never changes a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ElementType {
    /// Bytes: in frames, `b` stands for `b / 255`, as pictures have it; in other tensors for what the tensor's scales
    /// say, a step and a zero per channel.
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
