//! What goes into the machines and what comes out.

use std::net::SocketAddr;

use serde::Serialize;

use super::{
    Micros,
    ids::{FrameId, JobId},
    notice::Notice,
    refusal::Refusal,
};
use crate::store::SlotId;
use crate::{FrameName, FrameNumber, TaskId};
pub use tessera_plan::files::records::DropReason;
use tessera_plan::region::Region;

/// What a source knows of a frame beside its pixels; travels to the gateway unread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FrameMeta {
    /// The source's own number for the frame (say, an index into its list of files).
    pub tag: u64,
    /// What people know the frame by (say, the file).
    pub name: FrameName,
    /// Width of the original picture in pixels.
    pub image_w: u32,
    /// Height of the original picture in pixels.
    pub image_h: u32,
    /// When the frame entered, on the source's clock, in microseconds.
    pub captured_us: u64,
}

/// How a frame ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum FrameOutcome {
    /// The gateway published its detections.
    Detections,
    /// The gateway published a drop record.
    Dropped(DropReason),
}

/// A task for a worker of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Names the job in [`EdgeInput::Done`] and [`EdgeInput::Failed`].
    pub id: JobId,
    /// Index into [`tessera_plan::dataflow::TaskGraph::tasks`].
    pub task: TaskId,
    /// The frame it belongs to.
    pub frame: FrameId,
    /// Whether another node owns the frame.
    pub stolen: bool,
    /// Per input of the task, packed boxes that together cover the input's box. They may be larger
    /// (a whole frame, a neighbour's whole tile) and may overlap; equal positions hold equal bits.
    /// Read only.
    pub inputs: Vec<Vec<(SlotId, Region)>>,
    /// Per output of the task the slot of its packed box; written by this job only.
    pub outputs: Vec<SlotId>,
}

/// What an edge's shell tells its machine.
#[derive(Clone, Copy, Debug)]
pub enum EdgeInput<'a> {
    /// A datagram arrived.
    Datagram {
        /// The sender's address.
        from: SocketAddr,
        /// Its payload.
        bytes: &'a [u8],
    },
    /// The time of the last [`EdgeOutput::WaitUntil`] has come (or may have).
    Tick,
    /// A new frame of this source, whole, in a slot that now belongs to the machine. Only while
    /// [`super::Edge::wants_frame`]; its number is the count of frames before it.
    Frame {
        /// All of tensor 0.
        slot: SlotId,
        /// Travels with it.
        meta: FrameMeta,
    },
    /// A worker finished a job; its outputs are complete.
    Done {
        /// The job, as [`EdgeOutput::Run`] named it.
        job: JobId,
    },
    /// A job was lost: its worker died or refused. Its slots are quiet again.
    Failed {
        /// The job, as [`EdgeOutput::Run`] named it.
        job: JobId,
    },
    /// This source will bring no more frames.
    NoMoreFrames,
    /// This node is about to leave: drain once more, then go. Own frames in flight are dropped.
    Leave,
}

/// What an edge's machine asks of its shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EdgeOutput<'a> {
    /// Send a datagram of at most [`super::TransferConfig::DATAGRAM_BYTES_MAX`] bytes.
    Send {
        /// The receiver's address.
        to: SocketAddr,
        /// Payload, valid until the next call.
        bytes: &'a [u8],
    },
    /// Run a job on a worker; at most [`super::EdgeConfig::jobs_max`] are out at a time.
    Run(Job),
    /// A frame of this source is over; its record is the gateway's.
    FrameEnded {
        /// Its number.
        number: FrameNumber,
        /// Its meta, as it was given.
        meta: FrameMeta,
        /// How it ended.
        outcome: FrameOutcome,
    },
    /// The gateway will not have this node. The machine keeps asking, seldom.
    Refused(Refusal),
    /// Something for whoever looks after the cluster.
    Notice(Notice),
    /// The gateway ends the run: leave.
    Stopped,
    /// Nothing more to do before this time or the next input.
    WaitUntil(Micros),
}

/// What a gateway's shell tells its machine.
#[derive(Clone, Copy, Debug)]
pub enum GatewayInput<'a> {
    /// A datagram arrived.
    Datagram {
        /// The sender's address.
        from: SocketAddr,
        /// Its payload.
        bytes: &'a [u8],
    },
    /// The time of the last [`GatewayOutput::WaitUntil`] has come (or may have).
    Tick,
    /// The tail ran and the frame's record is written.
    TailDone {
        /// The frame.
        frame: FrameId,
    },
    /// The tail could not run. A [`GatewayOutput::Drop`] follows.
    TailFailed {
        /// The frame.
        frame: FrameId,
    },
    /// End the run: every node is told to leave.
    Stop,
}

/// What a gateway's machine asks of its shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GatewayOutput<'a> {
    /// Send a datagram.
    Send {
        /// The receiver's address.
        to: SocketAddr,
        /// Payload, valid until the next call.
        bytes: &'a [u8],
    },
    /// All inputs of the tail are merged: run it, write the record, say
    /// [`GatewayInput::TailDone`]. Several frames may be out at a time.
    RunTail {
        /// The frame.
        frame: FrameId,
        /// As its source gave it.
        meta: FrameMeta,
        /// How long ago its source captured it.
        age_us: Micros,
        /// Per [`tessera_plan::dataflow::TaskGraph::tail_inputs`] the whole tensor.
        inputs: Vec<SlotId>,
    },
    /// Write a drop record: the frame will have no detections. Never after its `RunTail`, unless
    /// the shell said `TailFailed`.
    Drop {
        /// The frame.
        frame: FrameId,
        /// As its source gave it.
        meta: FrameMeta,
        /// How long ago its source captured it.
        age_us: Micros,
        /// Why the frame has no detections.
        reason: DropReason,
    },
    /// Something for whoever looks after the cluster.
    Notice(Notice),
    /// Nothing more to do before this time or the next input.
    WaitUntil(Micros),
}

/// Whether a run is over, as the gateway sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Nodes alive.
    pub alive: usize,
    /// Nodes that brought at least one frame, ever.
    pub sources: usize,
    /// Nodes alive that said [`EdgeInput::NoMoreFrames`] and whose frames have all ended.
    pub finished: usize,
    /// Frames in flight.
    pub frames: usize,
}
