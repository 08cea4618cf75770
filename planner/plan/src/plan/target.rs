//! How one instruction set computes a dataflow.

use serde::{Deserialize, Serialize};

use super::{Chain, Isa, Packing, Section};

/// How one instruction set computes the dataflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetPlan {
    /// Kernel generator.
    pub kernels: Isa,
    /// Rust target triple the crate is built for.
    pub triple: String,
    /// Per stage its chain classes.
    pub stages: Vec<Vec<Chain>>,
    /// The tail, as a chain over whole maps. Absent steps: a pure pass-through.
    pub tail: Chain,
    /// Packed weights, by node: once per node however many chains use it.
    pub packing: Vec<Packing>,
    /// Sections of `weights.bin`: one per stage, then the tail.
    pub sections: Vec<Section>,
}
