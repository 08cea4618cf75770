//! Bounds and periods of the two machines. Times are microseconds.

use std::net::SocketAddr;

use tessera_plan::{
    dataflow::{SlotCount, edge_slots, gateway_slots},
    limits::{GATEWAY_FRAMES, SOURCE_FRAMES, SOURCE_FRAMES_MAX},
    placement::Placement,
};

use super::{
    ids::{Incarnation, NodeId},
    info::ProgramInfo,
};

/// Bounds and timeouts for pulling objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferConfig {
    /// Object bytes per datagram; a multiple of 4, at most [`Self::CHUNK_BYTES_MAX`].
    pub chunk_bytes: usize,
    /// Bytes that may be under way to this node at a time. At most what the node's socket buffer holds,
    /// including the kernel's overhead.
    pub receive_budget_bytes: usize,
    /// Chunks requested from a new holder before the first round trip.
    pub first_window_chunks: u32,
    /// Silence that counts as loss until the first round trip has been measured, in microseconds.
    pub first_rto_us: u64,
    /// Lower bound of the silence that counts as loss, in microseconds: a holder may be without its core for a scheduler's period.
    pub rto_us_min: u64,
    /// Upper bound of the silence that counts as loss, in microseconds.
    pub rto_us_max: u64,
    /// Consecutive timeouts after which a holder counts as unreachable.
    pub timeouts_max: u32,
}

impl TransferConfig {
    /// Bytes that a session adds to a datagram: its head and its tag. Also nodes without sessions leave this room, so that all
    /// nodes send alike.
    pub const SESSION_BYTES: usize = 32;
    /// Largest datagram in bytes: sealed it fills an Ethernet frame without IP fragments.
    pub const DATAGRAM_BYTES_MAX: usize = 1472 - Self::SESSION_BYTES;
    /// Bytes of the header of a chunk.
    pub const CHUNK_HEAD_BYTES: usize = 16;
    /// Largest payload of a chunk, in bytes.
    pub const CHUNK_BYTES_MAX: usize = Self::DATAGRAM_BYTES_MAX - Self::CHUNK_HEAD_BYTES;
    /// Payload of a chunk on a path that loses larger datagrams, in bytes. Together with all headers the
    /// payload stays below the 576 bytes that every host accepts (RFC 1122, section 3.3.2).
    pub const NARROW_CHUNK_BYTES: usize = 528 - Self::CHUNK_HEAD_BYTES - Self::SESSION_BYTES;
    /// Payloads of chunks that a receiver tries on a path, in bytes, the largest first. The second fits through tunnels and
    /// through IPv6's smallest MTU of 1,280 bytes.
    pub const CHUNK_STEPS: [usize; 3] = [Self::CHUNK_BYTES_MAX, 1_184, Self::NARROW_CHUNK_BYTES];
    /// Size limit in bytes of datagrams without a chunk, where this node can choose how many elements a list has.
    pub const CONTROL_BYTES: usize = 548 - Self::SESSION_BYTES;
    /// Microseconds after which the receiver tries larger chunks again.
    pub const NARROW_FOR_US: u64 = 600_000_000;
    /// Losses of large chunks after which the receiver tries smaller ones, if no large chunk has arrived.
    pub const NARROW_AFTER: u32 = 6;
}

impl Default for TransferConfig {
    fn default() -> Self {
        Self {
            chunk_bytes: Self::CHUNK_BYTES_MAX,
            receive_budget_bytes: 96 * Self::CHUNK_BYTES_MAX,
            first_window_chunks: 16,
            first_rto_us: 50_000,
            rto_us_min: 25_000,
            rto_us_max: 400_000,
            timeouts_max: 12,
        }
    }
}

/// Which share of the tasks that other boards computed a source has computed again, to compare the outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verify {
    /// The share, in parts per million; 0 for none.
    pub ppm: u32,
    /// A random number that nobody else has: it decides which tasks, so that nobody can tell before.
    pub seed: u64,
}

impl Verify {
    /// All tasks.
    pub const ALL_PPM: u32 = 1_000_000;
}

/// Configuration of an edge's machine.
#[derive(Clone, Copy, Debug)]
pub struct EdgeConfig {
    /// This node's id; not 0.
    pub id: NodeId,
    /// The incarnation of the process that runs the machine.
    pub incarnation: Incarnation,
    /// The gateway's UDP address.
    pub gateway: SocketAddr,
    /// Number of jobs that run at the same time.
    pub workers: usize,
    /// Most jobs handed out at a time: `workers`, plus the jobs that are still loading inputs. The slots of
    /// [`Self::slots`] suffice for `workers + 1` of them; another one begins only where slots are free.
    pub jobs_max: usize,
    /// Most frames of this source in flight; 0 for a node without a source. At most [`Self::FRAMES_MAX`].
    pub frames_max: usize,
    /// Most bytes of objects kept for other nodes. Above this limit the node stops stealing
    /// until frames end.
    pub foreign_bytes_max: usize,
    /// Microseconds between two heartbeats to the gateway.
    pub heartbeat_us: u64,
    /// Microseconds of silence after which a node counts as dead.
    pub dead_after_us: u64,
    /// First and longest pause before a control message is sent again, in microseconds.
    pub retry_us: [u64; 2],
    /// Microseconds without a renewal after which a lease is void.
    pub lease_us: u64,
    /// Microseconds after which a lease is void even if the thief keeps renewing.
    pub lease_us_max: u64,
    /// First and longest pause of a thief that found no work, in microseconds.
    pub backoff_us: [u64; 2],
    /// Failed attempts at a task after which the task's frame is dropped.
    pub failures_max: u8,
    /// Microseconds after which an idle owner runs a backup copy of a leased task; `u64::MAX` for never.
    pub backup_after_us: u64,
    /// Which tasks of this source's frames are computed again.
    pub verify: Verify,
    /// Names the instruction set that this node computes with: nodes with one number make the same bits of the same task.
    pub arithmetic: u16,
    /// Bounds and timeouts for pulling objects.
    pub transfer: TransferConfig,
}

impl EdgeConfig {
    /// Most frames of one source in flight.
    pub const FRAMES_MAX: usize = SOURCE_FRAMES_MAX;

    /// Jobs of a home board beyond its workers: one whose inputs are fetched, and one whose inputs are still being made.
    pub const FETCHED_AT_HOME: usize = 2;

    /// A configuration with the usual periods, two frames in flight and `workers + 1` jobs; see also
    /// [`Self::placed`].
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
            verify: Verify::default(),
            arithmetic: 0,
            transfer: TransferConfig::default(),
        }
    }

    /// The same with the usual number of jobs for this placement. With stealing one task is fetched while others
    /// are computed, unless the tasks are a queue to the letter of DeepThings; a home board also fetches for a task whose inputs
    /// are still being made.
    #[must_use]
    pub const fn placed(mut self, placement: Placement) -> Self {
        let fetched = match placement {
            Placement::Home => Self::FETCHED_AT_HOME,
            Placement::Steal | Placement::StealIdle | Placement::Share => 1,
            Placement::Queue | Placement::QueueIdle => 0,
        };
        self.jobs_max = self.workers + fetched;
        self
    }

    /// Number of jobs for which slots are set aside. Comparisons of outputs take those of one more.
    pub fn slot_jobs(&self) -> usize {
        self.jobs_max.min(self.workers + 1) + usize::from(self.verify.ppm > 0)
    }

    /// Slots with which this node never deadlocks on its own store, one entry per distinct size. The slots hold
    /// own frames with all their outputs, the copies that running jobs need, and the stolen outputs of
    /// `steal_frames` frames.
    pub fn slots(&self, info: &ProgramInfo, steal_frames: usize) -> Vec<SlotCount> {
        edge_slots(info, self.frames_max, self.slot_jobs(), steal_frames)
    }
}

/// Configuration of the gateway's machine.
#[derive(Clone, Copy, Debug)]
pub struct GatewayConfig {
    /// The incarnation of the process that runs the machine.
    pub incarnation: Incarnation,
    /// Most frames in flight over all sources; each frame takes slots for all inputs of the tail.
    pub frames_max: usize,
    /// Most pulls at the same time.
    pub pulls_max: usize,
    /// Most frames that the gateway fetches whole at the same time, for people; each takes a slot for all of tensor 0.
    pub pictures_max: usize,
    /// Longest time between two calls of the machine, in microseconds; equal to the edges' heartbeat period.
    pub heartbeat_us: u64,
    /// Microseconds of silence after which a node counts as dead.
    pub dead_after_us: u64,
    /// Microseconds without progress after which a frame gives up its slots to a waiting frame.
    pub stall_us: u64,
    /// First and longest pause before a control message is sent again, in microseconds.
    pub retry_us: [u64; 2],
    /// Bounds and timeouts for pulling objects.
    pub transfer: TransferConfig,
}

impl GatewayConfig {
    /// A configuration with the usual periods and eight frames in flight.
    pub fn new(incarnation: Incarnation) -> Self {
        Self {
            incarnation,
            frames_max: GATEWAY_FRAMES,
            pulls_max: 32,
            pictures_max: 0,
            heartbeat_us: 250_000,
            dead_after_us: 1_500_000,
            stall_us: 5_000_000,
            retry_us: [40_000, 320_000],
            transfer: TransferConfig::default(),
        }
    }

    /// Slots that hold `frames_max` frames, and the whole frames for people, one entry per distinct size.
    pub fn slots(&self, info: &ProgramInfo) -> Vec<SlotCount> {
        let mut slots = gateway_slots(info, self.frames_max);
        let (bytes, count) = (
            info.tensors[0].bytes(info.tensors[0].region),
            self.pictures_max,
        );
        match slots.binary_search_by_key(&bytes, |s| s.bytes) {
            Ok(at) => slots[at].count += count,
            Err(at) if count > 0 => slots.insert(at, SlotCount { bytes, count }),
            Err(_) => {}
        }
        slots
    }
}
