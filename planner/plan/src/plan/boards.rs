//! The boards that a plan was made for.

use serde::{Deserialize, Serialize};

use super::defaults::{is_nil, is_one, is_whole, one, whole};

/// A board that a plan was made for, as the planner took it to be. Nodes do not read it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// The board's name.
    pub name: String,
    /// The `--id` that its node is started with; 0 for the gateway, which is listed last.
    pub id: usize,
    /// Host name or address; empty if unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// Name of the target that its node is compiled for.
    pub target: String,
    /// The core whose speed the planner assumed.
    pub core: String,
    /// Tasks that it computes at a time: worker processes.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub workers: usize,
    /// Threads of each worker, which share its task.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub threads: usize,
    /// The part of a core's time that its processes get.
    #[serde(default = "whole", skip_serializing_if = "is_whole")]
    pub share: f64,
    /// Most bytes that the plan may need on it; 0 for no limit.
    #[serde(default, skip_serializing_if = "is_nil")]
    pub memory_bytes: u64,
    /// Bits per second of its link.
    pub link_bits_per_s: u64,
    /// Microseconds of a message on its link.
    pub link_delay_us: u64,
    /// True if it may bring frames.
    pub source: bool,
}
