//! The evaluation of the DeepThings paper again: its figures, with the paper's values, ours by its method, and ours at
//! our best; and figures beyond it.
//!
//! ```text
//!   figures ── cases ──> case: plan, simulate ──> cells ──┐
//!   systems ─────┘        (pi3: the paper's seconds)      ├──> figures ──> Markdown, CSV, drawings
//!   memory: formulas and plans ───────────────────────────┤
//!   published: what the paper says ───────────────────────┘
//! ```
//!
//! A system is an entry of [`systems::SYSTEMS`]: how it plans, whose seconds its tasks take, and what the paper says of it.
//! A figure is an entry of [`figures::FIGURES`]: the cases that it needs, and how it shows their cells.
#![forbid(unsafe_code)]

pub mod case;
pub mod cell;
pub mod figures;
pub mod memory;
pub mod pi3;
pub mod place;
pub mod plot;
pub mod published;
pub mod systems;

use tessera_planner::{kernel::costs::CostError, make::PlanError};
use tessera_simulate::ClusterError;

/// Why a figure cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// A plan is impossible.
    #[error("no plan: {0}")]
    Plan(#[from] PlanError),
    /// The shipped cost table cannot be read.
    #[error("the costs of a Pi 3: {0}")]
    Costs(#[from] CostError),
    /// A plan cannot be simulated.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The network is not the paper's.
    #[error(
        "the network's first 16 layers are no chain of convolutions and pools, as YOLOv2's are"
    )]
    Network,
    /// The run cannot be described.
    #[error("run.json: {0}")]
    Run(#[from] serde_json::Error),
    /// No simulated frame ended.
    #[error("{name}: no frame ends")]
    Endless {
        /// The case.
        name: String,
    },
    /// A figure shows a case that it did not ask for.
    #[error("{name} was not simulated")]
    Missing {
        /// The case.
        name: String,
    },
}
