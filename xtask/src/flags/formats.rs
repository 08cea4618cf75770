//! How values travel, and how tiles get their halos, as flags name it.

use clap::ValueEnum;
use serde::Serialize;

/// How values are stored that boards send each other.
#[derive(Clone, Copy, Debug, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum WireFlag {
    /// Half precision: every value rounded once, to 11 bits, by the task that makes it
    F16,
    /// As they are computed
    F32,
    /// Bytes, with a scale per channel from --calibrate-on: half of f16's bytes. What the network hands over is f16
    U8,
}

/// How tiles get what they need beyond their own shares of a stage's maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum BorderFlag {
    /// Every tile computes its halo itself
    Recompute,
    /// A stage ends where the next layer needs a halo, which tiles then fetch: nothing is computed twice
    Exchange,
    /// Tiles of one colour hand their borders of every layer to those of the other, as DeepThings has it; what does not
    /// come in time is computed again
    Reuse,
}

/// How frames are stored.
#[derive(Clone, Copy, Debug, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum FrameFlag {
    /// Bytes: values between 0 and 1, as pictures have, rounded to multiples of 1/255
    U8,
    /// Any values
    F32,
}
