//! What the state machines of edges and gateways count. Counters only ever grow, unless said otherwise.
//!
//! The machines keep datagrams by kind in tables of their own; in a file these are maps by name. `T` is
//! whichever of the two, `N` the number of a node.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::records::DropReason;

/// Counts by name. Counts of zero are left out.
pub type ByName<V> = BTreeMap<String, V>;

/// Datagrams and their payload bytes, without IP and UDP headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Number of datagrams.
    pub datagrams: u64,
    /// Their payload bytes.
    pub bytes: u64,
}

/// Datagrams of a state machine. `K` holds a [`Count`] per kind of datagram, `R` a number per reason to ignore
/// one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic<K = ByName<Count>, R = ByName<u64>> {
    /// Datagrams sent.
    pub sent: K,
    /// Datagrams received and acted upon.
    pub received: K,
    /// Datagrams received and ignored.
    pub rejected: R,
}

/// Transfers of objects in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferStats {
    /// Pulls begun.
    pub pulls: u64,
    /// Pulls that received the whole object.
    pub pulled: u64,
    /// Pulls ended because the holder had no such object.
    pub absent: u64,
    /// Pulls ended because the holder did not answer.
    pub unreachable: u64,
    /// Chunks received for the first time.
    pub chunks_received: u64,
    /// Bytes in these.
    pub bytes_received: u64,
    /// Chunks received again, while their pull lasted.
    pub chunks_duplicate: u64,
    /// Chunks received after their pull had ended.
    pub chunks_late: u64,
    /// Chunks asked for again.
    pub chunks_rerequested: u64,
    /// How often a chunk was taken for lost, since later ones had arrived.
    pub gaps: u64,
    /// How often a holder was silent for too long.
    pub timeouts: u64,
    /// Chunks sent.
    pub chunks_sent: u64,
    /// Chunks among them of objects that were still being made.
    #[serde(default)]
    pub chunks_sent_early: u64,
    /// Bytes in these.
    pub bytes_sent: u64,
    /// Requests refused because too many were waiting.
    pub requests_refused: u64,
}

/// Frames that ended without detections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drops {
    /// [`DropReason::SourceLost`].
    pub source_lost: u64,
    /// [`DropReason::TaskFailed`].
    pub task_failed: u64,
    /// [`DropReason::TailFailed`].
    pub tail_failed: u64,
}

/// Frames that an edge remembers one by one.
pub const FRAME_RUNS_MAX: usize = 64;

/// Where and when the tasks of one frame were done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameRun<N = u16> {
    /// Counts the source's accepted frames from 0.
    pub frame: u32,
    /// For each task, the node that finished it first; 0 for none.
    pub makers: Vec<N>,
    /// For each stage, the time from the frame's capture to the news of its last task, by the source's clock.
    pub stage_us: Vec<u64>,
}

/// Checks of tasks that other boards computed, by a source that has a share of them computed again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(deserialize = "N: Deserialize<'de> + Ord"))]
pub struct Checks<N: Ord = u16> {
    /// Tasks that were to be computed again.
    pub begun: u64,
    /// Tasks whose outputs were the same, bit for bit.
    pub equal: u64,
    /// Tasks whose outputs were the same within the tolerance, by boards of different instruction sets.
    pub close: u64,
    /// Tasks whose outputs were not the same.
    pub differed: u64,
    /// How often a board was found to be wrong, by its number.
    pub wrong: BTreeMap<N, u64>,
    /// How often this source itself was.
    pub own_wrong: u64,
    /// How often three computations made three different outputs.
    pub undecided: u64,
    /// Outputs that could not be had for a comparison. What the source has computed counts.
    pub unanswered: u64,
    /// Comparisons left out for want of a slot.
    pub skipped: u64,
    /// Boards that get no more tasks.
    pub left_out: BTreeSet<N>,
    /// Frames that were begun anew without a board.
    pub frames_begun_anew: u64,
    /// Bytes fetched to be compared.
    pub bytes: u64,
}

// Not derived: a board's number need not have a default.
impl<N: Ord> Default for Checks<N> {
    fn default() -> Self {
        Self {
            begun: 0,
            equal: 0,
            close: 0,
            differed: 0,
            wrong: BTreeMap::new(),
            own_wrong: 0,
            undecided: 0,
            unanswered: 0,
            skipped: 0,
            left_out: BTreeSet::new(),
            frames_begun_anew: 0,
            bytes: 0,
        }
    }
}

/// An edge's counters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>, N: Deserialize<'de> + Ord"))]
pub struct EdgeCounters<T = Traffic, N: Ord = u16> {
    /// Datagrams sent and received.
    pub traffic: T,
    /// Objects pulled and served.
    pub transfer: TransferStats,
    /// Frames that the edge brought and accepted.
    pub frames_accepted: u64,
    /// Own frames that ended with detections.
    pub frames_detected: u64,
    /// Own frames that ended without detections.
    pub frames_dropped: Drops,
    /// Tasks of own frames that this edge finished.
    pub tasks_own: u64,
    /// Tasks of other edges' frames that this edge finished.
    pub tasks_stolen: u64,
    /// Tasks of own frames, by the node that finished them first.
    pub tasks_by_node: BTreeMap<N, u64>,
    /// The last ended frames of this edge, in the order of their ends; at most [`FRAME_RUNS_MAX`].
    pub last_frames: Vec<FrameRun<N>>,
    /// Bytes of objects fetched whole, by kind: the frame, then the outputs of every stage.
    pub fetched_bytes: Vec<u64>,
    /// As a thief: requests for a hint.
    pub hints_asked: u64,
    /// As a thief: hints that named a victim.
    pub hints_found: u64,
    /// As a thief: requests for a task, repeats left out.
    pub steals_asked: u64,
    /// As a thief: tasks received.
    pub steals_taken: u64,
    /// As a thief: answers that the victim had no task.
    pub steals_empty: u64,
    /// As a thief: victims that did not answer.
    pub steals_unanswered: u64,
    /// As a thief: leases given back at once.
    pub steals_declined: u64,
    /// As an owner: leases given.
    pub leases_issued: u64,
    /// As an owner: renewals received.
    pub leases_renewed: u64,
    /// As an owner: leases that ran out.
    pub leases_expired: u64,
    /// As an owner: leases ended because their thief died.
    pub leases_orphaned: u64,
    /// As an owner: tasks that were run or leased again after a lease had ended without a result.
    pub tasks_reissued: u64,
    /// As an owner: finished tasks whose outputs were lost with their holder.
    pub tasks_unmade: u64,
    /// As an owner: tasks that it ran itself while they were leased.
    pub backups: u64,
    /// As an owner: leases of tasks that were late at their home board.
    pub late_leases: u64,
    /// As an owner: strips of a pair of neighbours that did not come in time, so that they were to be computed again.
    #[serde(default)]
    pub strips_late: u64,
    /// Checks of tasks of own frames that others computed.
    #[serde(default)]
    pub checks: Checks<N>,
    /// Multiply-adds of the tasks that this edge finished, its own and others'.
    #[serde(default)]
    pub macs: u64,
    /// Jobs that failed in a worker.
    pub jobs_failed: u64,
    /// Jobs that ended because their inputs could not be fetched.
    pub jobs_starved: u64,
    /// Slots in use now.
    pub slots: u64,
    /// Most slots in use.
    pub slots_peak: u64,
    /// Bytes in used slots now.
    pub bytes: u64,
    /// Most bytes in used slots.
    pub bytes_peak: u64,
}

/// The gateway's counters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayCounters<T = Traffic> {
    /// Datagrams sent and received.
    pub traffic: T,
    /// Objects pulled and served.
    pub transfer: TransferStats,
    /// Incarnations of nodes that were registered.
    pub nodes_joined: u64,
    /// Incarnations of nodes that ended: they fell silent, restarted or said goodbye.
    pub nodes_lost: u64,
    /// Heartbeats of nodes that do not belong to the cluster.
    pub nodes_refused: u64,
    /// Frames that sources announced.
    pub frames_accepted: u64,
    /// Frames that stood still and gave their room at the gateway to others, to be merged anew.
    pub frames_closed: u64,
    /// Frames that their sources began anew, because a board was wrong.
    #[serde(default)]
    pub frames_begun_anew: u64,
    /// Frames that ended with detections.
    pub frames_detected: u64,
    /// Frames that ended without detections.
    pub frames_dropped: Drops,
    /// Hints that named a victim.
    pub hints_given: u64,
    /// Requests for a hint while no node had work.
    pub hints_empty: u64,
    /// Boxes merged into the tail's inputs.
    pub parts_merged: u64,
    /// Tasks whose outputs the gateway merged, by the node that had them; of frames that became whole.
    #[serde(default)]
    pub tasks_by_node: BTreeMap<u16, u64>,
    /// Boxes that did not lie where their owner had said.
    pub parts_lost: u64,
    /// Bytes of boxes fetched whole, by kind: the frame, then the outputs of every stage.
    pub fetched_bytes: Vec<u64>,
    /// Slots in use now.
    pub slots: u64,
    /// Most slots in use.
    pub slots_peak: u64,
}

impl Drops {
    /// The sum over all reasons.
    pub const fn total(&self) -> u64 {
        self.source_lost + self.task_failed + self.tail_failed
    }

    /// Counts one frame.
    pub const fn add(&mut self, why: DropReason) {
        match why {
            DropReason::SourceLost => self.source_lost += 1,
            DropReason::TaskFailed => self.task_failed += 1,
            DropReason::TailFailed => self.tail_failed += 1,
        }
    }
}
