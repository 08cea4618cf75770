//! How one instruction set computes a dataflow.

use serde::{Deserialize, Serialize};

use super::{Chain, Isa, Packing, Section};

/// How one instruction set computes the dataflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetPlan {
    /// The instruction set, which names a family of generated kernels.
    pub kernels: Isa,
    /// The Rust target triple that the crate is built for.
    pub triple: String,
    /// The chain classes of every stage.
    pub stages: Vec<Vec<Chain>>,
    /// The tail, as a chain over whole maps. Without steps, its inputs pass through.
    pub tail: Chain,
    /// Where packed weights lie, once per node, however many chains use it.
    pub packing: Vec<Packing>,
    /// Sections of `weights.bin`: one per stage, then the tail.
    pub sections: Vec<Section>,
}
