//! Fused Tile Partitioning on the DAG: stages, grids, regions traced back through branches.

pub mod axis;
mod balance;
pub mod cuts;
pub mod reuse;
pub mod stage;
pub mod work;

pub use axis::{Axis, Need};
pub use stage::{Bad, StageGraph, Trace, first_barrier};
