//! Counters of the machines, for people and for tests. Counters only grow, unless stated otherwise.

use serde::{Serialize, Serializer, ser::SerializeMap};
pub use tessera_plan::files::counters::{Count, Drops, TransferStats};
use tessera_plan::{
    dataflow::{Need, TaskGraph},
    files::counters,
};

use super::{
    NodeId,
    wire::{MessageKind, Reject},
};

/// Counts a piece that was fetched whole, by the kind of its object.
pub(super) fn count_fetched(bytes: &mut Vec<u64>, graph: &TaskGraph, need: &Need) {
    bytes.resize(graph.object_kinds(), 0);
    bytes[graph.kind(need.key)] += graph.need_bytes(need) as u64;
}

/// Datagrams that a machine sent, received and rejected.
pub type Traffic = counters::Traffic<PerKind, PerReject>;
/// An edge's counters.
pub type EdgeStats = counters::EdgeCounters<Traffic, NodeId>;
/// The gateway's counters.
pub type GatewayStats = counters::GatewayCounters<Traffic>;

/// A count per kind of datagram; serialised as a map from kind to count, without zeroes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerKind([Count; MessageKind::COUNT]);

/// A count of ignored datagrams per reason; serialised as a map from reason to count, without zeroes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerReject([u64; Reject::ALL.len()]);

impl Default for PerKind {
    fn default() -> Self {
        Self([Count::default(); MessageKind::COUNT])
    }
}

impl PerKind {
    /// The count of one kind.
    pub const fn get(&self, kind: MessageKind) -> Count {
        self.0[kind.index()]
    }

    /// The sum over all kinds.
    pub fn total(&self) -> Count {
        self.0.iter().fold(Count::default(), |a, b| Count {
            datagrams: a.datagrams + b.datagrams,
            bytes: a.bytes + b.bytes,
        })
    }

    pub(super) const fn add(&mut self, kind: MessageKind, bytes: usize) {
        let c = &mut self.0[kind.index()];
        c.datagrams += 1;
        c.bytes += bytes as u64;
    }
}

impl PerReject {
    /// The count for one reason.
    pub const fn get(&self, why: Reject) -> u64 {
        self.0[why.index()]
    }

    /// The sum over all reasons.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    pub(super) const fn add(&mut self, why: Reject) {
        self.0[why.index()] += 1;
    }
}

impl Serialize for PerKind {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        for (kind, count) in MessageKind::ALL.iter().zip(&self.0) {
            if count.datagrams > 0 {
                map.serialize_entry(kind.name(), count)?;
            }
        }
        map.end()
    }
}

impl Serialize for PerReject {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        for (why, &count) in Reject::ALL.iter().zip(&self.0) {
            if count > 0 {
                map.serialize_entry(why.name(), &count)?;
            }
        }
        map.end()
    }
}
