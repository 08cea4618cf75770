//! Whole-system tests live in `tests/`; this crate holds what they share.
#![forbid(unsafe_code)]

pub mod relay;
pub mod rig;
