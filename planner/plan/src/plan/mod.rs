//! **The seam** between planner and codegen: plain data, no methods that decide anything.
//!
//! | part | says | covered by the hash |
//! |---|---|---|
//! | `network`: [`Graph`] | what is computed: operations, heads, NMS, letterbox; what the weights file stores | what it computes |
//! | [`Dataflow`] | what is computed where, and what travels | yes |
//! | [`TargetPlan`] | how one instruction set computes it: buffers, kernels, packing | no |
//! | [`Board`] | whom the plan was made for | no |
//! | [`Estimates`] | what the planner expects | no |
//!
//! Nodes that agree on the hash can work together whatever their processors.
//!
//! Geometry is final here. Codegen prints it; it recomputes nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::graph::Graph;

mod boards;
mod chain;
mod dataflow;
pub(crate) mod defaults;
mod estimates;
mod kernel;
mod scales;
mod target;
mod weights;

pub use crate::{element::ElementType, placement::Placement};
pub use boards::Board;
pub use chain::{ALIGN_FLOATS, Buffer, BufferIx, Chain, Firing, Order, Place, Step, View};
pub use dataflow::{Border, Dataflow, Split, Stage, Tail, Tensor, Tile};
pub use estimates::Estimates;
pub use kernel::{Algorithm, ConvKernel, Isa};
pub use scales::Scales;
pub use target::TargetPlan;
pub use weights::{Packing, Section, WeightFormat};

/// Version of the plan's schema. A change of meaning or layout raises it (see CHANGELOG).
pub const SCHEMA_VERSION: u32 = 4;

/// A complete plan, as written to `plan.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema: u32,
    /// Hex SHA-256 of `dataflow` and of what `network` computes; goes on the wire. See
    /// `Plan::content_hash`.
    pub hash: String,
    /// Name of the emitted crate: `<model>-<grid>-<target>`.
    pub name: String,
    /// The command that makes this plan again (no absolute paths).
    pub command: String,
    /// The network: its operations, and what its weights file stores.
    pub network: Graph,
    /// The stages, their tiles, and the tensors that travel.
    pub dataflow: Dataflow,
    /// How each target computes the dataflow, by the target's name.
    pub target: BTreeMap<String, TargetPlan>,
    /// The boards that the plan was made for: the edges by their ids, then the gateway.
    #[serde(default)]
    pub boards: Vec<Board>,
    /// Predictions. They are outside of both hashes.
    pub estimates: Estimates,
}
