//! What a node says of itself, whenever it is asked: one JSON object, of another kind for every role.
//!
//! Counters only ever grow, unless said otherwise. Bytes of datagrams are payload, without IP and UDP headers.

use serde::{Deserialize, Serialize};

use super::counters::{EdgeCounters, GatewayCounters, Traffic};

/// An edge's statistics. `T` and `N`: see [`super::counters`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>, N: Deserialize<'de> + Ord"))]
pub struct EdgeStatistics<T = Traffic, N: Ord = u16> {
    /// The network process.
    #[serde(flatten)]
    pub process: Process,
    /// Counters of the state machine.
    pub counters: EdgeCounters<T, N>,
    /// Frames that the edge brought.
    pub frames: SourceFrames,
    /// The store of objects.
    pub slots: SlotUsage,
    /// The node's socket.
    pub socket: Socket,
    /// The node's sessions with others, if it has keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<Sessions>,
    /// The edge's worker processes.
    pub workers: Vec<Worker>,
    /// Tasks of the program that the workers computed, by task; those never computed are left out.
    #[serde(default)]
    pub tasks: Vec<TaskWork>,
    /// Proportional set size (`Pss`) of the network process and its workers together: pages that they share count
    /// once. The most of the looks at it, up to four a second.
    pub board_peak_bytes: u64,
}

/// A gateway's statistics. `T`: see [`super::counters`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayStatistics<T = Traffic> {
    /// The gateway's process.
    #[serde(flatten)]
    pub process: Process,
    /// Counters of the state machine.
    pub counters: GatewayCounters<T>,
    /// Frames that the gateway ended.
    pub frames: GatewayFrames,
    /// The store of objects.
    pub slots: SlotUsage,
    /// The node's socket.
    pub socket: Socket,
    /// The node's sessions with others, if it has keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<Sessions>,
    /// What observers asked, if the cluster has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<Observed>,
}

/// What observers asked of a gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Questions that got an answer.
    pub asked: u64,
    /// Datagrams of these answers.
    pub shown: u64,
    /// What observers may not say, and questions beyond the rate.
    pub refused: u64,
}

/// Statistics of a process that does everything itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoloStatistics {
    /// The role of the process.
    pub role: Role,
    /// Process id.
    pub pid: u32,
    /// Memory of the process.
    pub memory: Memory,
    /// Frames computed.
    pub frames: u64,
}

/// The role of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Matches thieves with victims, merges tiles, computes the tail.
    Gateway,
    /// Computes tasks, and may bring frames.
    Edge,
    /// Does everything in one process.
    Solo,
}

/// Which process of a cluster the statistics are of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// The role of the process.
    pub role: Role,
    /// Number of the node; 0 is the gateway.
    pub id: u16,
    /// Name of the compiled program.
    pub program: String,
    /// Process id.
    pub pid: u32,
    /// Memory of the process.
    pub memory: Memory,
}

/// Resident memory as Linux counts it, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Peak resident set (`VmHWM`), shared pages included.
    pub peak_bytes: u64,
    /// Resident private memory now (`RssAnon`).
    pub anonymous_bytes: u64,
    /// Resident pages of mapped files now (`RssFile`).
    pub file_bytes: u64,
    /// Resident shared memory now (`RssShmem`).
    pub shared_bytes: u64,
}

/// How a source's inputs ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFrames {
    /// Frames that entered.
    pub accepted: u64,
    /// Frames that ended with detections.
    pub detections: u64,
    /// Frames that ended without detections.
    pub dropped: u64,
    /// Inputs that could not be read.
    pub skipped: u64,
    /// Sum, over the frames with detections, of the time from a frame's entry to the news of its record.
    pub latency_us: u64,
    /// The last frames, one by one, in the order of their ends.
    pub each: Vec<EndedFrame>,
    /// The streams among the sources: cameras and videos.
    #[serde(default)]
    pub streams: Vec<StreamCounts>,
}

/// What a stream of frames brought.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamCounts {
    /// Name of the source.
    pub name: String,
    /// Frames that were decoded.
    pub brought: u64,
    /// Frames that were taken; those that could not enter for want of room are among them.
    pub taken: u64,
    /// Frames that a newer one replaced before they were taken.
    pub replaced: u64,
    /// How often the stream was begun anew.
    pub restarts: u64,
    /// How often it was begun anew because it stood still.
    pub stalls: u64,
}

/// How one frame of a source went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedFrame {
    /// Counts the source's accepted frames from 0.
    pub frame: u32,
    /// Counts the source's inputs from 0.
    pub tag: u32,
    /// Time from the frame's entry to the news of its record.
    pub latency_us: u64,
    /// True if the frame ended without detections.
    pub dropped: bool,
}

/// Frames that a gateway ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayFrames {
    /// Number of records with detections.
    pub detections: u64,
    /// Number of drop records.
    pub dropped: u64,
    /// Time spent in the tail.
    pub tail_us: u64,
}

/// How full a store of objects is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotUsage {
    /// Number of slots.
    pub slots: usize,
    /// Slots in use now.
    pub taken: usize,
    /// Bytes of the objects in these slots now.
    pub bytes: usize,
    /// Most bytes of objects at any time.
    pub peak_bytes: usize,
    /// How often no slot was free.
    pub full: u64,
}

/// A node's socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Socket {
    /// Counters of the socket.
    #[serde(flatten)]
    pub counters: SocketCounters,
    /// Datagrams that the kernel dropped because the receive buffer was full; `None` if the kernel does not
    /// tell.
    pub kernel_drops: Option<u64>,
    /// Size of the receive buffer, in bytes.
    pub receive_buffer: usize,
    /// Size of the send buffer, in bytes.
    pub send_buffer: usize,
}

/// Counters of a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketCounters {
    /// Datagrams received.
    pub datagrams_received: u64,
    /// Bytes of these datagrams.
    pub bytes_received: u64,
    /// `recvmmsg` calls.
    pub receive_calls: u64,
    /// Datagrams that were dropped because they are longer than any of the protocol's.
    pub truncated: u64,
    /// Failed `recvmmsg` calls.
    pub receive_errors: u64,
    /// Datagrams sent.
    pub datagrams_sent: u64,
    /// Bytes of these datagrams.
    pub bytes_sent: u64,
    /// `sendmmsg` calls.
    pub send_calls: u64,
    /// Datagrams that nobody listened for (`ECONNREFUSED`).
    pub refused: u64,
    /// Datagrams without a route (`ENETUNREACH`, `EHOSTUNREACH`, `ENETDOWN`).
    pub unreachable: u64,
    /// Datagrams not sent because the send buffer stayed full.
    pub no_room: u64,
    /// Datagrams that the system would not send for another reason.
    pub send_errors: u64,
}

/// A node's sessions with others (`docs/security.md`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sessions {
    /// Datagrams sealed.
    pub sealed: u64,
    /// Datagrams opened.
    pub opened: u64,
    /// Sessions that both sides have confirmed.
    pub established: u64,
    /// Handshakes that this node began, repeated ones too.
    pub initiations_sent: u64,
    /// Handshakes of others that were answered.
    pub initiations_answered: u64,
    /// Handshakes given up without an answer.
    pub given_up: u64,
    /// Cookies sent, which ask a sender under load to prove its address.
    pub cookies_sent: u64,
    /// Operations on the curve, which are what handshakes cost.
    pub curve_operations: u64,
    /// Changes of a peer's address.
    pub addresses_changed: u64,
    /// Payloads of an invited node in another node's name.
    pub impostors: u64,
    /// Payloads beyond what one node may send.
    pub floods: u64,
    /// How often a node was shut out for a while, since it sent far more than that.
    #[serde(default)]
    pub shut_out: u64,
    /// Datagrams of nodes that were shut out which the kernel kept away from the socket. Those that it did not are among `refused`.
    #[serde(default)]
    pub kept_away: u64,
    /// The names of nodes that are shut out now.
    #[serde(default)]
    pub shut_out_now: Vec<String>,
    /// Datagrams that gave way to later ones while a session was begun, or whose receiver is not invited.
    pub unsent: u64,
    /// Datagrams refused, by reason.
    pub refused: std::collections::BTreeMap<String, u64>,
}

/// A worker of an edge, over all processes that were started for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// Number of the worker.
    pub worker: usize,
    /// Process id; `None` while there is no process.
    pub pid: Option<u32>,
    /// Processes started for this worker.
    pub starts: u32,
    /// Jobs that the worker finished.
    pub jobs: u64,
    /// Time spent in these jobs.
    pub busy_us: u64,
    /// Peak resident memory (`VmHWM`, shared pages included) of any of the worker's processes, noted at the
    /// process's end or at most 50 ms ago.
    pub peak_bytes: u64,
}

/// How long an edge's workers computed a task, over all frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskWork {
    /// Number of the task.
    pub task: u32,
    /// How often it was computed.
    pub jobs: u64,
    /// Time that this took.
    pub busy_us: u64,
}
