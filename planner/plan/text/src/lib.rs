//! `plan.toml`: writing, reading, hashing.
//!
//! A crate of its own, for two reasons. Nodes do without it. And serde makes most of the code of a build that
//! plans from here; kept apart, `cargo xtask` compiles it without optimisation (`profile.xtask` of the workspace).
#![forbid(unsafe_code)]

mod lines;
mod network;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tessera_plan::{
    check::{self, CheckError},
    graph::{Darknet, Graph, Head, Node, Op, TensorIx},
    limits::PLAN_BYTES_MAX,
    plan::{Dataflow, Estimates, Plan, SCHEMA_VERSION, TargetPlan},
    region::Shape,
};

/// Why a text cannot be read as a plan.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormError {
    /// The text is longer than any plan.
    #[error("{found} bytes are too many for a plan; the limit is {limit}")]
    TooLong {
        /// Bytes of the text.
        found: usize,
        /// Most bytes of a plan.
        limit: usize,
    },
    /// The text is no TOML, or misses parts of a plan.
    #[error("this is no plan.toml: {0}")]
    Toml(#[from] toml::de::Error),
    /// The plan has another schema version.
    #[error(
        "plan schema {found}; this program reads {SCHEMA_VERSION}: make the plan again with the command it names"
    )]
    Schema {
        /// The plan's version.
        found: u32,
    },
    /// The plan's hash is not that of its dataflow and network.
    #[error(
        "the plan's hash does not fit its dataflow and network: the file was edited or damaged; make it again"
    )]
    Hash,
    /// The plan breaks a rule.
    #[error(transparent)]
    Check(#[from] CheckError),
}

/// A plan's schema, read before the rest: plans of another version may have other parts.
#[derive(Deserialize)]
struct Version {
    schema: u32,
}

/// The first lines of `plan.toml`.
#[derive(Serialize)]
struct Top<'a> {
    schema: u32,
    hash: &'a str,
    name: &'a str,
    command: &'a str,
}

/// The parts of `plan.toml` behind the network.
#[derive(Serialize)]
struct Parts<'a> {
    dataflow: &'a Dataflow,
    target: &'a std::collections::BTreeMap<String, TargetPlan>,
    estimates: &'a Estimates,
}

/// What a plan's hash covers.
#[derive(Serialize)]
struct Hashed<'a> {
    dataflow: &'a Dataflow,
    network: Computed<'a>,
}

/// What a network computes: all of it but names, and where weights stand in the weights file.
#[derive(Serialize)]
struct Computed<'a> {
    darknet: Darknet,
    input: Shape,
    letterbox: bool,
    nodes: Vec<Operation<'a>>,
    heads: &'a [Head],
    outputs: &'a [TensorIx],
}

/// What a node computes.
#[derive(Serialize)]
struct Operation<'a> {
    op: &'a Op,
    inputs: &'a [TensorIx],
    shape: Shape,
}

impl<'a> Computed<'a> {
    fn of(network: &'a Graph) -> Self {
        let operation = |n: &'a Node| Operation {
            op: &n.op,
            inputs: &n.inputs,
            shape: n.shape,
        };
        Self {
            darknet: network.darknet,
            input: network.input,
            letterbox: network.letterbox,
            nodes: network.nodes.iter().map(operation).collect(),
            heads: &network.heads,
            outputs: &network.outputs,
        }
    }
}

fn toml(part: &impl Serialize) -> String {
    toml::to_string(part).expect("plain data has a TOML form")
}

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// The text form of a [`Plan`].
pub trait PlanText: Sized {
    /// What [`Plan::hash`] should be: hex SHA-256 of the TOML of `dataflow` and of what `network` computes.
    ///
    /// Nodes that agree on it exchange tiles, so both must be in it: the dataflow names tensors by their
    /// numbers, and only the network's operations say what those tensors hold. The model digest inside the
    /// dataflow covers operations and weights too, but nothing can compute that digest again from a plan
    /// alone, and an edited network must not keep its hash. Names, cfg lines and the order of the weights file
    /// are left out: no value that a node computes depends on them, and weights are in the digest.
    ///
    /// # Panics
    /// Never: every field has a TOML form.
    fn content_hash(&self) -> String;

    /// Hex SHA-256 of the whole plan. Emitted crates of different plans differ in it.
    fn digest(&self) -> String;

    /// The plan as `plan.toml`: UTF-8, lines end with `\n`. The network has a line per node and layer.
    ///
    /// # Panics
    /// Never: every field has a TOML form.
    fn to_toml(&self) -> String;

    /// Reads and checks a `plan.toml`.
    ///
    /// # Errors
    /// When the text is no plan of this version, or breaks a rule of [`tessera_plan::check`].
    fn from_toml(text: &str) -> Result<Self, FormError>;
}

impl PlanText for Plan {
    fn content_hash(&self) -> String {
        digest(&toml(&Hashed {
            dataflow: &self.dataflow,
            network: Computed::of(&self.network),
        }))
    }

    fn digest(&self) -> String {
        digest(&self.to_toml())
    }

    fn to_toml(&self) -> String {
        let top = toml(&Top {
            schema: self.schema,
            hash: &self.hash,
            name: &self.name,
            command: &self.command,
        });
        let network = network::toml(&self.network);
        let boards = lines::list("boards", &self.boards);
        let parts = toml(&Parts {
            dataflow: &self.dataflow,
            target: &self.target,
            estimates: &self.estimates,
        });
        format!(
            "# A plan of Tessera. Made by: {}\n# Regions are half-open [lo, hi]; see planner/plan/src/plan/mod.rs.\n\n{top}{boards}\n{network}\n{parts}",
            self.command
        )
    }

    fn from_toml(text: &str) -> Result<Self, FormError> {
        if text.len() > PLAN_BYTES_MAX {
            return Err(FormError::TooLong {
                found: text.len(),
                limit: PLAN_BYTES_MAX,
            });
        }
        let Version { schema } = toml::from_str(text)?;
        if schema != SCHEMA_VERSION {
            return Err(FormError::Schema { found: schema });
        }
        let plan: Self = toml::from_str(text)?;
        check::check(&plan)?;
        if plan.content_hash() != plan.hash {
            return Err(FormError::Hash);
        }
        Ok(plan)
    }
}
