//! Timing: one frame on boards whose task times and links are given.
//!
//! The machines are the real ones, with their real messages, requests and windows. Only the times of
//! tasks and datagrams are inputs. Nothing is random: the same inputs give the same
//! [`Timeline`].
//!
//! ```text
//!  board 0 (source) ─┐
//!  board 1 ──────────┼── switch, or one channel for all ── gateway
//!  board 2 ──────────┘
//! ```
//!
//! ```
//! use std::sync::Arc;
//! use tessera_sim::{program, timing::{self, BoardTiming, GatewayTiming, LinkTiming}};
//! use tessera_plan::{element::ElementType, placement::Placement};
//! use tessera_protocol::ProgramInfo;
//!
//! let graph = program::two_stages(3, [ElementType::F32; 3]);
//! let placement = Placement::Steal;
//! let info = ProgramInfo { plan_hash: [0; 32], model_digest: [0; 32], placement, boards: 1, graph };
//! let board = BoardTiming::new(vec![0.05; info.tasks.len()]);
//! let boards = [board.clone(), board];
//! let line = timing::run(&info, &boards, &GatewayTiming::default(), &LinkTiming::default()).unwrap();
//! assert_eq!(line.tasks.len(), 12);
//! // Twelve tasks of 50 ms take two boards 0.3 s and a little more.
//! assert!((0.3..0.4).contains(&line.merged_s));
//! ```

use std::sync::Arc;

use super::{
    core::JobSpan,
    edge_spec::EdgeSpec,
    frame_record::FrameRecord,
    gateway_node::GatewaySpec,
    link::{Attachment, NetConfig},
    violation::Failure,
    world::{World, WorldConfig},
};
use tessera_protocol::{FrameOutcome, ProgramInfo, TaskId};

/// A board that computes. The first of a list is the frame's source.
#[derive(Clone, Debug, PartialEq)]
pub struct BoardTiming {
    /// Seconds that each task takes on one worker of this board, by task id.
    pub task_s: Arc<[f64]>,
    /// Tasks that run at the same time; at least 1.
    pub workers: usize,
    /// Bits per second of the board's link, in each direction; 0 for no limit.
    pub bits_per_s: u64,
    /// The channel that the link is a part of; `None` for a link of the board's own.
    pub channel: Option<u8>,
    /// Seconds from the board to another one like it, if not those of all links.
    pub delay_s: Option<f64>,
    /// Bits per second that the board can send and that it can receive, whatever its link carries; 0 for no limit.
    pub handled_bits_per_s: u64,
    /// Seconds that a byte of a datagram takes of running tasks; 0 where another core handles datagrams.
    pub byte_s: f64,
    /// Whether the board is the gateway's: the two nodes on it reach each other without a link, and have one to others.
    pub is_gateway: bool,
}

/// The gateway's tail time and link.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GatewayTiming {
    /// Seconds that the tail takes.
    pub tail_s: f64,
    /// Bits per second of the gateway's link, in each direction; 0 for no limit.
    pub bits_per_s: u64,
    /// The channel that the link is a part of; `None` for a link of the gateway's own.
    pub channel: Option<u8>,
    /// Bits per second that the gateway can send and that it can receive, whatever its link carries; 0 for no limit.
    pub handled_bits_per_s: u64,
    /// Seconds from the gateway to another board like it, if not those of all links.
    pub delay_s: Option<f64>,
}

/// The network that all boards share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkTiming {
    /// Bits per second of a channel that carries one datagram at a time, like a radio's; 0 for no such channel.
    pub shared_bits_per_s: u64,
    /// Seconds from one node to another, in addition to the time that the bits take: half of them at each node.
    pub delay_s: f64,
    /// Bytes of headers, preamble and gap around every datagram.
    pub overhead_bytes: u64,
}

/// The span in which a board ran a task. Times are seconds since the frame entered at its source; in
/// [streams](super::stream), since the sources started.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TaskSpan {
    /// The task that ran.
    pub task: TaskId,
    /// Index of the board.
    pub board: usize,
    /// Time at which a worker began the task; rows of its inputs may have been on their way.
    pub start_s: f64,
    /// Time at which the worker finished the task.
    pub end_s: f64,
}

/// Bytes that a node sent and received while the frame was in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeBytes {
    /// Bytes of object values sent.
    pub objects_sent_bytes: u64,
    /// Bytes of object values received.
    pub objects_received_bytes: u64,
    /// Bytes of the payloads of all datagrams sent.
    pub sent_bytes: u64,
    /// Bytes of the payloads of all datagrams received.
    pub received_bytes: u64,
}

/// The course of a frame: when each task ran, when the frame ended, and what each node sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    /// Runs of tasks, ordered by their end. A task has several runs when a backup copy ran.
    pub tasks: Vec<TaskSpan>,
    /// Seconds until the gateway had everything that the tail reads.
    pub merged_s: f64,
    /// Seconds until the gateway wrote the frame's record.
    pub written_s: f64,
    /// Traffic of each board, by index.
    pub boards: Vec<NodeBytes>,
    /// Traffic of the gateway.
    pub gateway: NodeBytes,
}

/// Why a run gives no timeline.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TimingError {
    /// The list of boards is empty.
    #[error("give at least one board: the first brings the frame")]
    NoBoard,
    /// A board and the program differ in their number of tasks.
    #[error("board {board} has times of {found} tasks; the program has {expected}")]
    Tasks {
        /// Index of the board.
        board: usize,
        /// Times that the board gives.
        found: usize,
        /// Tasks that the program has.
        expected: usize,
    },
    /// A time is negative, not a number, or longer than [`SECONDS_MAX`].
    #[error("{seconds} s is no time that can be simulated; give 0 to {SECONDS_MAX} s")]
    Seconds {
        /// The time, in seconds.
        seconds: f64,
    },
    /// The frame did not end within [`SECONDS_MAX`].
    #[error("the frame does not end within {SECONDS_MAX} s; are the links too slow?")]
    TooLong,
    /// A machine broke a rule of the simulator.
    #[error(transparent)]
    Broken(#[from] Failure),
}

/// Longest frame, in virtual seconds.
pub const SECONDS_MAX: f64 = 3_600.0;

/// Virtual time at which the source starts: by then the other boards have joined and asked for work.
pub const SOURCE_START_US: u64 = 100_000;
/// Virtual time between the starts of two nodes.
const START_GAP_US: u64 = 100;

impl BoardTiming {
    /// A board with one worker and a link without limit.
    pub fn new(task_s: Vec<f64>) -> Self {
        Self {
            task_s: task_s.into(),
            workers: 1,
            bits_per_s: 0,
            channel: None,
            delay_s: None,
            handled_bits_per_s: 0,
            byte_s: 0.0,
            is_gateway: false,
        }
    }
}

impl Default for LinkTiming {
    /// No shared channel, a delay of 100 microseconds, Ethernet's overhead.
    fn default() -> Self {
        Self {
            shared_bits_per_s: 0,
            delay_s: 100e-6,
            overhead_bytes: NetConfig::ETHERNET_OVERHEAD,
        }
    }
}

/// Simulates one frame from its source to its record.
///
/// # Errors
/// [`TimingError`] when inputs are invalid, or the frame does not end.
pub fn run(
    info: &ProgramInfo,
    boards: &[BoardTiming],
    gateway: &GatewayTiming,
    links: &LinkTiming,
) -> Result<Timeline, TimingError> {
    let config = world(info, boards, gateway, links, &[1])?;
    let mut world = World::new(&config);
    world.run_until(SOURCE_START_US)?;
    let before: Vec<NodeBytes> = (0..=boards.len()).map(|k| bytes(&world, k)).collect();
    if !world.run_until_finished((SECONDS_MAX * 1e6) as u64)? {
        return Err(TimingError::TooLong);
    }
    let record = world.ledger().frames().values().next();
    let record = record.filter(|r| r.heard == Some(FrameOutcome::Detections));
    let times = |r: &FrameRecord| Some((r.accepted_us, r.merged_us?, r.written_us?));
    let Some((entered_us, merged_us, written_us)) = record.and_then(times) else {
        return Err(TimingError::TooLong);
    };
    let since_s = |us: u64| us.saturating_sub(entered_us) as f64 / 1e6;
    let spans = world.job_spans().iter();
    let spans = spans.map(|s| TaskSpan::new(s, since_s));
    let used = |k: usize| bytes(&world, k).minus(before[k]);
    Ok(Timeline {
        tasks: spans.collect(),
        merged_s: since_s(merged_us),
        written_s: since_s(written_us),
        boards: (1..=boards.len()).map(used).collect(),
        gateway: used(0),
    })
}

/// A world of these boards, of which the first bring so many `frames` each.
pub(super) fn world(
    info: &ProgramInfo,
    boards: &[BoardTiming],
    gateway: &GatewayTiming,
    links: &LinkTiming,
    frames: &[u32],
) -> Result<WorldConfig, TimingError> {
    if boards.is_empty() {
        return Err(TimingError::NoBoard);
    }
    let delay_us = |own: Option<f64>| micros(own.unwrap_or(links.delay_s));
    let attachment = |bits_per_s, channel, delay_us| Attachment {
        bits_per_s,
        channel,
        delay_us,
        ..Attachment::default()
    };
    let mut task_us: Vec<Arc<[u64]>> = Vec::with_capacity(boards.len());
    let mut edges = Vec::with_capacity(boards.len());
    for (k, board) in boards.iter().enumerate() {
        let (found, expected) = (board.task_s.len(), info.tasks.len());
        if found != expected {
            let board = k;
            return Err(TimingError::Tasks {
                board,
                found,
                expected,
            });
        }
        let equal = boards[..k]
            .iter()
            .position(|b| Arc::ptr_eq(&b.task_s, &board.task_s));
        let times = match equal {
            Some(equal) => Arc::clone(&task_us[equal]),
            None => board
                .task_s
                .iter()
                .map(|&s| micros(s))
                .collect::<Result<_, _>>()?,
        };
        task_us.push(times);
        let mut edge = EdgeSpec::new();
        edge.config.workers = board.workers.max(1);
        edge.byte_ns = micros(1e3 * board.byte_s)?;
        edge.config = edge.config.placed(info.placement);
        edge.attachment = attachment(
            board.bits_per_s,
            board.channel,
            delay_us(board.delay_s)? / 2,
        );
        edge.attachment.handled_bits_per_s = board.handled_bits_per_s;
        edge.on_gateway = board.is_gateway;
        edge.steal_frames = tessera_plan::limits::KEPT_FRAMES;
        edge.start_us = (k as u64 + 1) * START_GAP_US;
        if let Some(&frames) = frames.get(k) {
            edge = edge.source(frames);
            edge.start_us = SOURCE_START_US + (k as u64) * START_GAP_US;
        }
        edges.push(edge);
    }
    Ok(WorldConfig {
        edges,
        task_us,
        gateway: GatewaySpec {
            tail_us: micros(gateway.tail_s)?,
            attachment: Attachment {
                handled_bits_per_s: gateway.handled_bits_per_s,
                ..attachment(
                    gateway.bits_per_s,
                    gateway.channel,
                    delay_us(gateway.delay_s)?.div_ceil(2),
                )
            },
            ..GatewaySpec::default()
        },
        net: NetConfig {
            shared_bits_per_s: links.shared_bits_per_s,
            overhead_bytes: links.overhead_bytes,
            ..NetConfig::default()
        },
        record_jobs: true,
        ..WorldConfig::new(Arc::new(info.clone()))
    })
}

pub(super) fn micros(seconds: f64) -> Result<u64, TimingError> {
    if (0.0..=SECONDS_MAX).contains(&seconds) {
        Ok((seconds * 1e6).round() as u64)
    } else {
        Err(TimingError::Seconds { seconds })
    }
}

impl TaskSpan {
    /// The span of a job; `since_s` tells seconds of a virtual time in microseconds.
    fn new(job: &JobSpan, since_s: impl Fn(u64) -> f64) -> Self {
        Self {
            task: job.task,
            board: job.node - 1,
            start_s: since_s(job.start_us),
            end_s: since_s(job.end_us),
        }
    }
}

/// Bytes that a node has sent and received so far; node 0 is the gateway.
fn bytes(world: &World, node: usize) -> NodeBytes {
    let stats = match node {
        0 => world.gateway_stats().map(|s| (&s.traffic, &s.transfer)),
        _ => world.edge_stats(node).map(|s| (&s.traffic, &s.transfer)),
    };
    stats.map_or_else(NodeBytes::default, |(traffic, transfer)| NodeBytes {
        objects_sent_bytes: transfer.bytes_sent,
        objects_received_bytes: transfer.bytes_received,
        sent_bytes: traffic.sent.total().bytes,
        received_bytes: traffic.received.total().bytes,
    })
}

impl NodeBytes {
    const fn minus(self, before: Self) -> Self {
        Self {
            objects_sent_bytes: self.objects_sent_bytes - before.objects_sent_bytes,
            objects_received_bytes: self.objects_received_bytes - before.objects_received_bytes,
            sent_bytes: self.sent_bytes - before.sent_bytes,
            received_bytes: self.received_bytes - before.received_bytes,
        }
    }
}
