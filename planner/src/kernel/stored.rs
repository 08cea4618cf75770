//! In which form the weights of convolutions are stored.

use tessera_plan::{
    kernel::transformed,
    plan::{ConvKernel, WeightFormat},
};

/// How flags ask weights to be stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Storage {
    /// float32: transformed where a Winograd kernel finds them in a cache in every call, otherwise as
    /// trained. A memory limit may ask for the latter everywhere.
    #[default]
    Auto,
    /// float32, as trained.
    Trained,
    /// Half precision: half the memory, every weight rounded.
    Halves,
    /// float32, transformed for every Winograd kernel: up to seven times the memory.
    Transformed,
}

/// Transformed weights of a layer that calls find in a cache, in values: 256 KiB, half of the
/// second-level cache of a Raspberry Pi's cores. There, reading them takes less time than making them
/// (3 % of the instructions of a call, up to 10 % where maps are small); from memory it takes more:
/// YOLOv3-tiny took 1.5 times as long with all of them stored (EPYC, Zen 5, one thread, 2026-11).
const CACHED: usize = 64 << 10;

impl Storage {
    /// True if weights that take `floats` values when transformed are stored transformed.
    pub const fn transforms(self, floats: usize) -> bool {
        match self {
            Self::Auto => floats <= CACHED,
            Self::Trained | Self::Halves => false,
            Self::Transformed => true,
        }
    }

    /// The same choice without transformed weights.
    #[must_use]
    pub const fn plain(self) -> Self {
        match self {
            Self::Auto | Self::Transformed => Self::Trained,
            Self::Trained | Self::Halves => self,
        }
    }
}

/// How the weights of a step with kernel `k` are stored where `asked` is asked for: those of depthwise
/// kernels are few, those of other operations are read without a kernel. A kernel that wants them
/// transformed gets them so.
pub fn weights(k: Option<&ConvKernel>, asked: Storage) -> WeightFormat {
    let Some(k) = k else {
        return WeightFormat::F32;
    };
    transformed(k.algorithm).unwrap_or(match asked {
        Storage::Halves if !k.depthwise => WeightFormat::F16,
        _ => WeightFormat::F32,
    })
}
