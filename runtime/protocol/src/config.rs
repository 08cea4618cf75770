//! Bounds and periods. Times are microseconds.

use std::net::SocketAddr;

use tessera_plan::{
    dataflow::{SlotCount, edge_slots, gateway_slots},
    limits::{GATEWAY_FRAMES, SOURCE_FRAMES},
};

use super::{
    ids::{Incarnation, NodeId},
    info::ProgramInfo,
};

/// How objects are pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferConfig {
    /// Bytes of an object per datagram; a multiple of 4, at most [`Self::CHUNK_BYTES_MAX`].
    pub chunk_bytes: usize,
    /// Bytes that may be under way to this node: no more than its socket buffer holds, counting
    /// the kernel's overhead.
    pub receive_budget_bytes: usize,
    /// Chunks asked of one holder before it has shown what it can do.
    pub first_window_chunks: u32,
    /// Silence that counts as loss before the first round trip is measured, in microseconds.
    pub first_rto_us: u64,
    /// Shortest time after which silence counts as loss, in microseconds.
    pub rto_us_min: u64,
    /// Longest time after which silence counts as loss, in microseconds.
    pub rto_us_max: u64,
    /// Silent timeouts in a row after which a holder counts as unreachable.
    pub timeouts_max: u32,
}

impl TransferConfig {
    /// Largest datagram ever sent: an Ethernet frame without IP fragments.
    pub const DATAGRAM_BYTES_MAX: usize = 1472;
    /// Largest payload of a chunk.
    pub const CHUNK_BYTES_MAX: usize = 1408;
    /// Payload of a chunk on a path where larger datagrams get lost: with all headers less than the 576
    /// bytes that every host takes (RFC 1122, section 3.3.2).
    pub const NARROW_CHUNK_BYTES: usize = 480;
    /// Largest datagram without a chunk that this node writes where it can choose how many elements it lists.
    pub const CONTROL_BYTES: usize = 548;
    /// Microseconds after which larger chunks are tried again.
    pub const NARROW_FOR_US: u64 = 600_000_000;
    /// Losses of large chunks, before any of them has come, after which smaller ones are tried.
    pub const NARROW_AFTER: u32 = 6;
}

impl Default for TransferConfig {
    fn default() -> Self {
        Self {
            chunk_bytes: 1200,
            receive_budget_bytes: 96 * 1200,
            first_window_chunks: 16,
            first_rto_us: 50_000,
            rto_us_min: 5_000,
            rto_us_max: 400_000,
            timeouts_max: 12,
        }
    }
}

/// Which node runs which task: a policy. What each one decides is in `edge/placement`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// Work stealing, DeepThings' WST: the owner takes its tasks from the front, thieves get them
    /// from the back, and whoever runs dry asks for more. With several stages, a node prefers the
    /// tasks whose inputs it holds.
    #[default]
    Steal,
}

/// Configuration of an edge.
#[derive(Clone, Copy, Debug)]
pub struct EdgeConfig {
    /// This node; not 0.
    pub id: NodeId,
    /// The process that runs the machine.
    pub incarnation: Incarnation,
    /// Where the gateway listens.
    pub gateway: SocketAddr,
    /// Jobs that run at the same time.
    pub workers: usize,
    /// Jobs handed out at a time: `workers` and those whose inputs travel meanwhile.
    pub jobs_max: usize,
    /// Own frames in flight; 0 for a node that is no source. At most [`Self::FRAMES_MAX`].
    pub frames_max: usize,
    /// Bytes of objects kept for others. When they are exceeded the node stops stealing
    /// until frames end.
    pub foreign_bytes_max: usize,
    /// Microseconds between two heartbeats to the gateway.
    pub heartbeat_us: u64,
    /// Microseconds of silence after which a node counts as dead.
    pub dead_after_us: u64,
    /// First and longest pause before a control message is sent again, in microseconds.
    pub retry_us: [u64; 2],
    /// Microseconds after which a lease is void that its thief has not renewed.
    pub lease_us: u64,
    /// Microseconds after which a lease is void whatever its thief says.
    pub lease_us_max: u64,
    /// First and longest pause of a thief that found no work, in microseconds.
    pub backoff_us: [u64; 2],
    /// Attempts at a task after which its frame is dropped.
    pub failures_max: u8,
    /// An idle owner runs a backup copy of a task leased for so long; `u64::MAX` for never.
    pub backup_after_us: u64,
    /// Which tasks this node runs, gives away and asks for.
    pub placement: Placement,
    /// How objects are pulled.
    pub transfer: TransferConfig,
}

impl EdgeConfig {
    /// Most frames of one source in flight: all stand in every heartbeat, with their names.
    pub const FRAMES_MAX: usize = 8;

    /// An edge with the usual periods, two frames in flight and `workers + 1` jobs.
    pub fn new(id: NodeId, incarnation: Incarnation, gateway: SocketAddr, workers: usize) -> Self {
        Self {
            id,
            incarnation,
            gateway,
            workers,
            jobs_max: workers + 1,
            frames_max: SOURCE_FRAMES,
            foreign_bytes_max: usize::MAX,
            heartbeat_us: 250_000,
            dead_after_us: 1_500_000,
            retry_us: [40_000, 320_000],
            lease_us: 1_500_000,
            lease_us_max: 120_000_000,
            backoff_us: [2_000, 100_000],
            failures_max: 8,
            backup_after_us: 3_000_000,
            placement: Placement::default(),
            transfer: TransferConfig::default(),
        }
    }

    /// Slots that let this node never wait for itself, one entry per distinct size. Own frames with all they produce, the copies that running jobs need, and as many
    /// frames' worth of stolen outputs as `steal_frames`.
    pub fn slots(&self, info: &ProgramInfo, steal_frames: usize) -> Vec<SlotCount> {
        edge_slots(info, self.frames_max, self.jobs_max, steal_frames)
    }
}

/// Configuration of the gateway.
#[derive(Clone, Copy, Debug)]
pub struct GatewayConfig {
    /// The process that runs the machine.
    pub incarnation: Incarnation,
    /// Frames in flight over all sources; each takes the tail's whole inputs.
    pub frames_max: usize,
    /// Pulls at the same time.
    pub pulls_max: usize,
    /// Longest time between two calls of the machine, in microseconds; as long as the edges' heartbeat.
    pub heartbeat_us: u64,
    /// Microseconds of silence after which a node counts as dead.
    pub dead_after_us: u64,
    /// Microseconds without progress after which a frame gives its room to one that waits.
    pub stall_us: u64,
    /// First and longest pause before a control message is sent again, in microseconds.
    pub retry_us: [u64; 2],
    /// How objects are pulled.
    pub transfer: TransferConfig,
}

impl GatewayConfig {
    /// A gateway with the usual periods and eight frames in flight.
    pub fn new(incarnation: Incarnation) -> Self {
        Self {
            incarnation,
            frames_max: GATEWAY_FRAMES,
            pulls_max: 32,
            heartbeat_us: 250_000,
            dead_after_us: 1_500_000,
            stall_us: 5_000_000,
            retry_us: [40_000, 320_000],
            transfer: TransferConfig::default(),
        }
    }

    /// Slots that hold `frames_max` frames, one entry per distinct size.
    pub fn slots(&self, info: &ProgramInfo) -> Vec<SlotCount> {
        gateway_slots(info, self.frames_max)
    }
}
