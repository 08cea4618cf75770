//! A gateway at one time, for those who look on.

use super::turned_away::TurnedAway;
use tessera_plan::files::statistics::GatewayStatistics;
use tessera_protocol::{
    Micros, NodeId, TaskId, Traffic,
    gateway::{FrameView, NodeView},
};

/// See the module.
#[derive(Debug)]
#[cfg_attr(not(feature = "service"), expect(dead_code, reason = "nobody looks"))]
pub struct Look {
    /// Microseconds since the process began.
    pub now: Micros,
    /// What it counts.
    pub statistics: GatewayStatistics<Traffic>,
    /// Registered nodes.
    pub nodes: Vec<NodeView>,
    /// Frames without a record.
    pub flights: Vec<FrameView>,
    /// Most of them.
    pub flights_max: usize,
    /// Of the last whole frame: tasks, and who computed them.
    pub last_makers: Vec<(TaskId, NodeId)>,
    /// Nodes that were turned away lately.
    pub turned_away: Vec<TurnedAway>,
    /// Records that wait to be written.
    pub records_waiting: usize,
    /// True while records cannot be written.
    pub records_stand: bool,
    /// True when the gateway is about to end.
    pub ends: bool,
}
