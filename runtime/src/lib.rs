//! What emitted drivers link: the ABI that they fill, and what a running task sees.
//!
//! It knows tasks and regions of tensors. It decides nothing by layers or grids, moves nothing between boards,
//! and depends on neither planner nor codegen.

#[cfg(not(target_endian = "little"))]
compile_error!("weights and objects are little-endian");

pub mod arena;
pub mod element;
pub mod io;
pub mod order;
pub mod profile;
pub mod program;
pub mod scales;
pub mod strip;
pub mod team;
pub mod weights;
