//! What the planner expects of a plan.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::defaults::is_zero;

/// The planner's predictions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimates {
    /// Number of edges that the plan was made for.
    pub edges: usize,
    /// Worker processes of each edge.
    pub workers: usize,
    /// Worker processes of the edge on the gateway's board, which counts beside `edges`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gateway_workers: usize,
    /// Multiply-adds of all tiles, relative to those of the untiled layers.
    pub redundancy: f64,
    /// Bytes per frame: `stage<N>.inputs`, what all tiles of a stage read together; `results`,
    /// what the gateway receives; `work_sharing`, picture, all tiles' inputs and results through
    /// the gateway, as without stealing; `expected.*`, what travels in the schedule of one frame, and of it
    /// `expected.stage<N>`, the outputs of stage N.
    pub traffic: BTreeMap<String, u64>,
    /// Memory per role in exact bytes; the keys are `role.what`.
    pub memory: BTreeMap<String, u64>,
    /// The cores and the channel between boards that `seconds` assumes.
    #[serde(default)]
    pub speed: String,
    /// Predicted seconds: `stages`, `tail`, `frame` (both), `period` (between frames that follow each other),
    /// `one_thread` (all tasks and the tail by one thread of the first board, nothing sent), `cores_busy` (all cores
    /// together), `channel_busy`, `stage<N>.end` (from the frame's arrival to the stage's last task).
    pub seconds: BTreeMap<String, f64>,
    /// Why the planner chose this plan, a line per reason.
    pub why: Vec<String>,
}
