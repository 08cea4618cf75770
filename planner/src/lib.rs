//! Tessera's planner: reads Darknet models, chooses stages, tiles and kernels, writes plans.
//!
//! The planner knows models, geometry and cost. Other crates emit code and talk to the network. The same model
//! and flags give the same plan: no clock, no hash-map order and no absolute path reaches the output.
#![forbid(unsafe_code)]

pub mod boards;
pub mod buffers;
pub mod cfg;
pub mod chain;
pub mod cluster;
pub mod cost;
mod error;
pub mod estimate;
pub mod ftp;
pub mod inspect;
pub mod kernel;
mod lower;
pub mod make;
pub mod memory;
pub mod model;
pub mod names;
pub mod options;
pub mod pace;
pub mod packing;
pub mod ranges;
pub mod refine;
pub mod report;
mod rows;
pub mod search;
pub mod stages;
pub mod target;
pub mod text;
pub mod units;
pub mod weights;
pub mod whole;
pub mod wire;
