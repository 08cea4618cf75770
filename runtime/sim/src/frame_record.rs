//! How one frame stands, as an outside observer knows it.

use std::collections::BTreeMap;

use tessera_protocol::{FrameMeta, FrameOutcome, Incarnation};

/// State of a frame's tail in one incarnation of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// Handed out.
    Runs,
    /// Failed; a drop must follow.
    Failed,
    /// A record was written.
    Written(FrameOutcome),
}

/// What the outside world knows of a frame.
#[derive(Clone, Debug)]
pub struct FrameRecord {
    /// As the source gave it.
    pub meta: FrameMeta,
    /// Virtual time at which its source took it in.
    pub accepted_us: u64,
    /// Virtual time of its last record at a gateway.
    pub written_us: Option<u64>,
    /// What its source heard.
    pub heard: Option<FrameOutcome>,
    /// Virtual time at which its source was killed with the frame in datagram.
    pub source_died_us: Option<u64>,
    /// Tail per incarnation of the gateway.
    pub tails: BTreeMap<Incarnation, Tail>,
}

impl FrameRecord {
    /// Whether the outside world waits for it no longer.
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
