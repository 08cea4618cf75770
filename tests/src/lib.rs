//! Whole-system tests live in `tests/`; this crate holds what they share.

pub mod relay;
pub mod rig;
