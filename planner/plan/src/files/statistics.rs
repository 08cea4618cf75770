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
    /// What its state machine counts.
    pub counters: EdgeCounters<T, N>,
    /// Frames that it brought.
    pub frames: SourceFrames,
    /// Its slots for objects.
    pub slots: SlotUsage,
    /// Its socket.
    pub socket: Socket,
    /// Its worker processes.
    pub workers: Vec<Worker>,
}

/// A gateway's statistics. `T`: see [`super::counters`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayStatistics<T = Traffic> {
    /// The process.
    #[serde(flatten)]
    pub process: Process,
    /// What its state machine counts.
    pub counters: GatewayCounters<T>,
    /// Frames that it ended.
    pub frames: GatewayFrames,
    /// Its slots for objects.
    pub slots: SlotUsage,
    /// Its socket.
    pub socket: Socket,
}

/// Statistics of a process that does everything itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoloStatistics {
    /// What it does.
    pub role: Role,
    /// Process id.
    pub pid: u32,
    /// Its memory.
    pub memory: Memory,
    /// Frames computed.
    pub frames: u64,
}

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Matches nodes, merges, computes the tail.
    Gateway,
    /// Computes tasks, may bring frames.
    Edge,
    /// Everything in one process.
    Solo,
}

/// Which process of a cluster speaks, and how much memory it takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// What it does.
    pub role: Role,
    /// Number of the node; 0 is the gateway.
    pub id: u16,
    /// Name of the compiled program.
    pub program: String,
    /// Process id.
    pub pid: u32,
    /// Its memory.
    pub memory: Memory,
}

/// Resident memory as Linux counts it, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Peak resident set (`VmHWM`), shared pages included.
    pub peak_bytes: u64,
    /// Now resident, private (`RssAnon`).
    pub anonymous_bytes: u64,
    /// Now resident, mapped files (`RssFile`).
    pub file_bytes: u64,
    /// Now resident, shared memory (`RssShmem`).
    pub shared_bytes: u64,
}

/// What became of a source's inputs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFrames {
    /// Frames that entered.
    pub accepted: u64,
    /// Frames that ended with detections.
    pub detections: u64,
    /// Frames that ended without.
    pub dropped: u64,
    /// Inputs that could not be read.
    pub skipped: u64,
    /// From a frame's entry to the news of its record, over all frames with detections.
    pub latency_us: u64,
    /// The last frames, one by one, in the order of their ends.
    pub each: Vec<EndedFrame>,
}

/// How one frame of a source went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedFrame {
    /// Counts the source's accepted frames from 0.
    pub frame: u32,
    /// Counts the source's inputs from 0.
    pub tag: u32,
    /// From its entry to the news of its record.
    pub latency_us: u64,
    /// Whether it ended without detections.
    pub dropped: bool,
}

/// Frames that a gateway ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayFrames {
    /// Records with detections.
    pub detections: u64,
    /// Drop records.
    pub dropped: u64,
    /// Time spent in the tail.
    pub tail_us: u64,
}

/// How full a store of objects is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotUsage {
    /// Slots there are.
    pub slots: usize,
    /// Slots taken, now.
    pub taken: usize,
    /// Bytes of what lies in them, now.
    pub bytes: usize,
    /// Most bytes at any time.
    pub peak_bytes: usize,
    /// Times that no slot was free.
    pub full: u64,
}

/// A node's socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Socket {
    /// What it has done.
    #[serde(flatten)]
    pub counters: SocketCounters,
    /// Datagrams that the kernel dropped because the receive buffer was full; none where it does not tell.
    pub kernel_drops: Option<u64>,
    /// Size of the receive buffer, in bytes.
    pub receive_buffer: usize,
    /// Size of the send buffer, in bytes.
    pub send_buffer: usize,
}

/// What a socket has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketCounters {
    /// Datagrams received.
    pub datagrams_received: u64,
    /// Their bytes.
    pub bytes_received: u64,
    /// `recvmmsg` calls.
    pub receive_calls: u64,
    /// Datagrams longer than any of ours; dropped.
    pub truncated: u64,
    /// Failed `recvmmsg` calls.
    pub receive_errors: u64,
    /// Datagrams sent.
    pub datagrams_sent: u64,
    /// Their bytes.
    pub bytes_sent: u64,
    /// `sendmmsg` calls.
    pub send_calls: u64,
    /// Datagrams that nobody listened for (`ECONNREFUSED`).
    pub refused: u64,
    /// Datagrams without a way (`ENETUNREACH`, `EHOSTUNREACH`, `ENETDOWN`).
    pub unreachable: u64,
    /// Datagrams not sent because the send buffer stayed full.
    pub no_room: u64,
    /// Datagrams that the system would not send for another reason.
    pub send_errors: u64,
}

/// A worker's process, past and present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// Its number.
    pub worker: usize,
    /// Process id; none while there is no process.
    pub pid: Option<u32>,
    /// Processes started in its place.
    pub starts: u32,
    /// Jobs done.
    pub jobs: u64,
    /// Time spent in them.
    pub busy_us: u64,
    /// Peak resident memory (`VmHWM`, shared pages included) of any of its processes, when last noted: up to
    /// 50 ms ago, or at its end.
    pub peak_bytes: u64,
}
