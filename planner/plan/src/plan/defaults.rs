//! Values that a plan's text leaves out.

use crate::limits::SOURCE_FRAMES;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
pub const fn is_zero(n: &usize) -> bool {
    *n == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
pub const fn is_false(b: &bool) -> bool {
    !*b
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
pub const fn is_nil(n: &u64) -> bool {
    *n == 0
}

pub const fn one() -> usize {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
pub const fn is_one(n: &usize) -> bool {
    *n == 1
}

pub const fn whole() -> f64 {
    1.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
pub const fn is_whole(n: &f64) -> bool {
    *n == 1.0
}

pub const fn usual_flight() -> usize {
    SOURCE_FRAMES
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
pub const fn is_usual_flight(n: &usize) -> bool {
    *n == SOURCE_FRAMES
}
