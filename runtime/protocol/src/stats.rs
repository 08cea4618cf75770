//! Counters of the machines, for people and for tests. They only ever grow, unless said otherwise.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{
    DropReason, NodeId,
    wire::{MessageKind, Reject},
};

/// Datagrams and their payload bytes, without IP and UDP headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// How many datagrams.
    pub datagrams: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
}

/// A count per kind of datagram; serialised as a map by name, zeroes left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerKind([Count; MessageKind::COUNT]);

/// Ignored datagrams per reason; serialised as a map by name, zeroes left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerReject([u64; Reject::ALL.len()]);

/// What went through a machine's hands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Sent, by kind.
    pub sent: PerKind,
    /// Received and acted on, by kind.
    pub received: PerKind,
    /// Received and ignored, by reason.
    pub rejected: PerReject,
}

/// Transfers, both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TransferStats {
    /// Pulls begun.
    pub pulls: u64,
    /// Pulls that got everything.
    pub pulled: u64,
    /// Pulls ended because the holder had no such object.
    pub absent: u64,
    /// Pulls ended because the holder did not answer.
    pub unreachable: u64,
    /// Chunks received for the first time.
    pub chunks_received: u64,
    /// Bytes in them.
    pub bytes_received: u64,
    /// Chunks received again, while their pull lasted.
    pub chunks_duplicate: u64,
    /// Chunks received after their pull had ended.
    pub chunks_late: u64,
    /// Chunks asked for again.
    pub chunks_rerequested: u64,
    /// Times that later chunks overtook one for too long.
    pub gaps: u64,
    /// Times that a holder was silent for too long.
    pub timeouts: u64,
    /// Chunks sent.
    pub chunks_sent: u64,
    /// Bytes in them.
    pub bytes_sent: u64,
    /// Requests not taken because too many wait.
    pub requests_refused: u64,
}

/// Frames that ended without detections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Drops {
    /// [`DropReason::SourceLost`].
    pub source_lost: u64,
    /// [`DropReason::TaskFailed`].
    pub task_failed: u64,
    /// [`DropReason::TailFailed`].
    pub tail_failed: u64,
}

/// An edge's counters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EdgeStats {
    /// Datagrams sent, received and rejected.
    pub traffic: Traffic,
    /// Transfers of objects.
    pub transfer: TransferStats,
    /// Own frames taken up.
    pub frames_accepted: u64,
    /// Own frames that ended with detections.
    pub frames_detected: u64,
    /// Own frames that ended without.
    pub frames_dropped: Drops,
    /// Tasks of own frames finished here.
    pub tasks_own: u64,
    /// Tasks of others' frames finished here.
    pub tasks_stolen: u64,
    /// Tasks of own frames, by who finished them first.
    pub tasks_by_node: BTreeMap<NodeId, u64>,
    /// Who finished the last ended frame's tasks first, by task; 0 for nobody.
    pub last_frame: Vec<NodeId>,
    /// As a thief: requests for a hint.
    pub hints_asked: u64,
    /// As a thief: hints that named a victim.
    pub hints_found: u64,
    /// As a thief: requests for a task, repeats left out.
    pub steals_asked: u64,
    /// As a thief: tasks got.
    pub steals_taken: u64,
    /// As a thief: answers that there is none.
    pub steals_empty: u64,
    /// As a thief: victims that did not answer.
    pub steals_unanswered: u64,
    /// As a thief: leases given back at once.
    pub steals_declined: u64,
    /// As an owner: leases given.
    pub leases_issued: u64,
    /// As an owner: leases extended by renewals.
    pub leases_renewed: u64,
    /// As an owner: leases that ran out.
    pub leases_expired: u64,
    /// As an owner: leases ended because their thief died.
    pub leases_orphaned: u64,
    /// As an owner: tasks that were run or leased again after a lease had ended without a result.
    pub tasks_reissued: u64,
    /// As an owner: finished tasks whose outputs were lost with their holder.
    pub tasks_unmade: u64,
    /// As an owner: own runs of tasks that were leased to somebody.
    pub backups: u64,
    /// Jobs that workers failed.
    pub jobs_failed: u64,
    /// Jobs that ended because their inputs could not be had.
    pub jobs_starved: u64,
    /// Slots in use, now.
    pub slots: u64,
    /// Most slots in use.
    pub slots_peak: u64,
    /// Bytes of slots in use, now.
    pub bytes: u64,
    /// Most bytes of slots in use.
    pub bytes_peak: u64,
}

/// The gateway's counters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GatewayStats {
    /// Datagrams sent, received and rejected.
    pub traffic: Traffic,
    /// Transfers of objects.
    pub transfer: TransferStats,
    /// Incarnations of nodes registered.
    pub nodes_joined: u64,
    /// Incarnations of nodes that ended: silent, restarted or told.
    pub nodes_lost: u64,
    /// Heartbeats of nodes that do not belong.
    pub nodes_refused: u64,
    /// Frames noted.
    pub frames_accepted: u64,
    /// Frames that ended with detections.
    pub frames_detected: u64,
    /// Frames that ended without.
    pub frames_dropped: Drops,
    /// Hints that named a victim.
    pub hints_given: u64,
    /// Requests for a hint when nobody had work.
    pub hints_empty: u64,
    /// Parts merged.
    pub parts_merged: u64,
    /// Parts that did not lie where their owner had said.
    pub parts_lost: u64,
    /// Slots in use, now.
    pub slots: u64,
    /// Most slots in use.
    pub slots_peak: u64,
}

impl Default for PerKind {
    fn default() -> Self {
        Self([Count::default(); MessageKind::COUNT])
    }
}

impl PerKind {
    /// Of one kind.
    pub const fn get(&self, kind: MessageKind) -> Count {
        self.0[kind.index()]
    }

    /// Over all kinds.
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
    /// For one reason.
    pub const fn get(&self, why: Reject) -> u64 {
        self.0[why.index()]
    }

    /// For all reasons.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    pub(super) const fn add(&mut self, why: Reject) {
        self.0[why.index()] += 1;
    }
}

impl Drops {
    /// For all reasons.
    pub const fn total(&self) -> u64 {
        self.source_lost + self.task_failed + self.tail_failed
    }

    pub(super) const fn add(&mut self, why: DropReason) {
        match why {
            DropReason::SourceLost => self.source_lost += 1,
            DropReason::TaskFailed => self.task_failed += 1,
            DropReason::TailFailed => self.tail_failed += 1,
        }
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
