//! What the bytes of a tensor's objects stand for.

use serde::{Deserialize, Serialize};

use crate::exact;

/// What bytes stand for, channel by channel: byte `b` of channel `c` is `(b - zeros[c]) * steps[c]`. So 0 is always one
/// of the values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scales {
    /// The difference between the values of neighbouring bytes, per channel; above 0.
    #[serde(with = "exact::list")]
    pub steps: Vec<f32>,
    /// The byte that stands for 0, per channel.
    pub zeros: Vec<u8>,
}

impl Scales {
    /// Whether there is a step above 0 and a zero for each of `channels`, and no value is infinite.
    pub fn fit(&self, channels: usize) -> bool {
        let counts = self.steps.len() == channels && self.zeros.len() == channels;
        // Steps have inverses that are normal numbers too.
        let usable = |s: &f32| (1e-30..=1e30).contains(s);
        counts && self.steps.iter().all(usable)
    }
}
