//! The state of one frame, as an outside observer knows the frame.

use std::collections::BTreeMap;

use tessera_protocol::{FrameMeta, FrameOutcome, Incarnation};

/// State of a frame's tail in one incarnation of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// The gateway has handed out the tail.
    Runs,
    /// The tail has failed; a drop must follow.
    Failed,
    /// The gateway has written a record with this outcome.
    Written(FrameOutcome),
}

/// Everything that an outside observer knows of a frame.
#[derive(Clone, Debug)]
pub struct FrameRecord {
    /// The frame's meta data, as its source gave them.
    pub meta: FrameMeta,
    /// Virtual time at which the source accepted the frame, in microseconds.
    pub accepted_us: u64,
    /// Virtual time at which a gateway last had everything that the tail reads, in microseconds.
    pub merged_us: Option<u64>,
    /// Virtual time of the frame's last record at a gateway, in microseconds.
    pub written_us: Option<u64>,
    /// The outcome that the source has heard.
    pub heard: Option<FrameOutcome>,
    /// Virtual time at which the source was killed with the frame in flight, in microseconds.
    pub source_died_us: Option<u64>,
    /// State of the tail in each incarnation of the gateway.
    pub tails: BTreeMap<Incarnation, Tail>,
}

impl FrameRecord {
    /// Whether the frame is over: its source has heard of the end, or was killed.
    pub fn over(&self) -> bool {
        self.heard.is_some() || self.source_died_us.is_some()
    }

    /// Records written, over all incarnations of the gateway.
    pub fn records(&self) -> impl Iterator<Item = FrameOutcome> + '_ {
        self.tails.values().filter_map(|t| match t {
            Tail::Written(o) => Some(*o),
            _ => None,
        })
    }
}
