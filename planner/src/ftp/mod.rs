//! Fused Tile Partitioning on the DAG: stages, grids, regions traced back through branches.
//!
//! | module | is |
//! |---|---|
//! | [`stage`] | a run of layers as a sub-graph |
//! | [`halo`], [`trace`] | the part of its inputs that a layer needs; a tile's regions, layer by layer back |
//! | [`cyclic`] | ranges of rows that go on at the map's other end |
//! | [`phase`] | what of a tile's position matters |
//! | [`cuts`], `balance` | where a grid cuts an axis |
//! | [`work`], [`reuse`] | multiply-adds, with halos recomputed or reused |

pub mod axis;
mod balance;
pub mod cuts;
pub mod cyclic;
pub mod halo;
pub mod phase;
pub mod reuse;
pub mod stage;
pub mod trace;
pub mod work;

pub use axis::Axis;
pub use stage::{Bad, StageGraph, first_barrier};
pub use trace::Trace;
