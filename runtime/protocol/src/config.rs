//! Bounds and periods. Times are microseconds.

use std::net::SocketAddr;

use tessera_plan::{
    dataflow::{SlotCount, edge_slots, gateway_slots},
    limits::{GATEWAY_FRAMES, SOURCE_FRAMES},
};

use super::{
    edge::Placement,
    ids::{Epoch, NodeId},
    info::ProgramInfo,
};

/// How objects are pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferConfig {
    /// Bytes of an object per datagram; a multiple of 4, at most [`Self::MAX_CHUNK`].
    pub chunk_bytes: usize,
    /// Bytes that may be under way to this node: no more than its socket buffer holds, counting
    /// the kernel's overhead.
    pub receive_budget: usize,
    /// Chunks asked of one holder before it has shown what it can do.
    pub first_window: u32,
    /// Before the first round trip is measured.
    pub first_rto: u64,
    /// Shortest time after which silence counts as loss.
    pub min_rto: u64,
    /// Longest.
    pub max_rto: u64,
    /// Silent timeouts in a row after which a holder counts as unreachable.
    pub max_timeouts: u32,
}

impl TransferConfig {
    /// Largest datagram ever sent: an Ethernet frame without IP fragments.
    pub const MAX_DATAGRAM: usize = 1472;
    /// Largest payload of a chunk.
    pub const MAX_CHUNK: usize = 1408;
}

impl Default for TransferConfig {
    fn default() -> Self {
        Self {
            chunk_bytes: 1200,
            receive_budget: 96 * 1200,
            first_window: 16,
            first_rto: 50_000,
            min_rto: 5_000,
            max_rto: 400_000,
            max_timeouts: 12,
        }
    }
}

/// Configuration of an edge.
#[derive(Clone, Copy, Debug)]
pub struct EdgeConfig {
    /// This node; not 0.
    pub id: NodeId,
    /// This life of it.
    pub epoch: Epoch,
    /// Where the gateway listens.
    pub gateway: SocketAddr,
    /// Jobs that run at the same time.
    pub workers: usize,
    /// Jobs handed out at a time: `workers` and those whose inputs travel meanwhile.
    pub max_jobs: usize,
    /// Own frames in flight; 0 for a node that is no source. At most [`Self::MAX_FRAMES`].
    pub max_frames: usize,
    /// Bytes of objects kept for others. When they are exceeded the node stops stealing
    /// until frames end.
    pub steal_bytes: usize,
    /// Between two beats to the gateway.
    pub beat: u64,
    /// Silence after which a node counts as dead.
    pub dead_after: u64,
    /// First and longest time before a control message is repeated.
    pub retry: [u64; 2],
    /// A lease that its thief has not renewed for so long is void.
    pub lease: u64,
    /// A lease is void after so long whatever its thief says.
    pub lease_cap: u64,
    /// First and longest pause of a thief that found no work.
    pub backoff: [u64; 2],
    /// Attempts at a task after which its frame is dropped.
    pub max_failures: u8,
    /// An idle owner runs a backup copy of a task leased for so long; `u64::MAX` for never.
    pub backup_after: u64,
    /// Which tasks this node runs, gives away and asks for.
    pub placement: Placement,
    /// How objects are pulled.
    pub transfer: TransferConfig,
}

impl EdgeConfig {
    /// Most frames of one source in flight.
    pub const MAX_FRAMES: usize = 32;

    /// An edge with the usual periods, two frames in flight and `workers + 1` jobs.
    pub fn new(id: NodeId, epoch: Epoch, gateway: SocketAddr, workers: usize) -> Self {
        Self {
            id,
            epoch,
            gateway,
            workers,
            max_jobs: workers + 1,
            max_frames: SOURCE_FRAMES,
            steal_bytes: usize::MAX,
            beat: 250_000,
            dead_after: 1_500_000,
            retry: [40_000, 320_000],
            lease: 1_500_000,
            lease_cap: 120_000_000,
            backoff: [2_000, 100_000],
            max_failures: 8,
            backup_after: 3_000_000,
            placement: Placement::default(),
            transfer: TransferConfig::default(),
        }
    }

    /// Slots that let this node never wait for itself, one entry per distinct size. Own frames with all they produce, the copies that running jobs need, and as many
    /// frames' worth of stolen outputs as `steal_frames`.
    pub fn slots(&self, info: &ProgramInfo, steal_frames: usize) -> Vec<SlotCount> {
        edge_slots(info, self.max_frames, self.max_jobs, steal_frames)
    }
}

/// Configuration of the gateway.
#[derive(Clone, Copy, Debug)]
pub struct GatewayConfig {
    /// This life of it.
    pub epoch: Epoch,
    /// Frames in flight over all sources; each takes the tail's whole inputs.
    pub max_frames: usize,
    /// Pulls at the same time.
    pub max_pulls: usize,
    /// Between two beats to every node.
    pub beat: u64,
    /// Silence after which a node counts as dead.
    pub dead_after: u64,
    /// First and longest time before a control message is repeated.
    pub retry: [u64; 2],
    /// How objects are pulled.
    pub transfer: TransferConfig,
}

impl GatewayConfig {
    /// A gateway with the usual periods and eight frames in flight.
    pub fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            max_frames: GATEWAY_FRAMES,
            max_pulls: 32,
            beat: 250_000,
            dead_after: 1_500_000,
            retry: [40_000, 320_000],
            transfer: TransferConfig::default(),
        }
    }

    /// Slots that hold `max_frames` frames, one entry per distinct size.
    pub fn slots(&self, info: &ProgramInfo) -> Vec<SlotCount> {
        gateway_slots(info, self.max_frames)
    }
}
