//! Tessera's planner: reads Darknet models, chooses stages, tiles and kernels, writes plans.
//!
//! It knows models, geometry and cost; no network, no code. Same model and flags, same plan:
//! no clock, no hash-map order, no absolute path reaches the output.
#![forbid(unsafe_code)]

pub mod cfg;
pub mod graph;
pub mod inspect;
mod lower;
pub mod model;
pub mod names;
pub mod plan;
pub mod region;
pub mod weights;
