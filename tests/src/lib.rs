//! Helpers that the whole-system tests in `tests/` share.
#![forbid(unsafe_code)]

pub mod bundle;
pub mod compare;
pub mod cuts;
pub mod faulty_edge;
pub mod fuzz;
pub mod golden;
pub mod insider;
pub mod keys;
pub mod mini;
pub mod model;
pub mod precision;
pub mod random;
pub mod random_net;
pub mod ranges;
pub mod reference;
pub mod relay;
pub mod rig;
pub mod shipped;
pub mod turning;
