//! Which tasks are checked.

use crate::{FrameNumber, TaskId, Verify};

/// True if a task of an own frame is checked when another board has computed it.
pub fn chosen(verify: Verify, (number, attempt): (FrameNumber, u8), task: TaskId) -> bool {
    let frame = u64::from(number.0) << 8 | u64::from(attempt);
    let word = mix(mix(verify.seed ^ frame) ^ verify.seed.rotate_left(32) ^ u64::from(task.0));
    word % u64::from(Verify::ALL_PPM) < u64::from(verify.ppm)
}

/// The finaliser of SplitMix64: every bit of the result depends on every bit of the word.
const fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
