//! Inputs and outputs of the two state machines.

use std::net::SocketAddr;

use serde::Serialize;

use super::{
    Micros,
    condition::Condition,
    ids::{FrameId, JobId, NodeId},
    notice::Notice,
    refusal::Refusal,
    to::To,
};
use crate::store::SlotId;
use crate::{FrameName, FrameNumber, TaskId};
pub use tessera_plan::files::records::DropReason;
use tessera_plan::region::Region;

/// A source's description of a frame, apart from the pixels. The gateway receives the description and does
/// not interpret the fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FrameMeta {
    /// The source's own number for the frame, for example an index into a list of files.
    pub tag: u64,
    /// A name of the frame for people, for example the file name.
    pub name: FrameName,
    /// Width of the original picture in pixels.
    pub image_w: u32,
    /// Height of the original picture in pixels.
    pub image_h: u32,
    /// Time of capture on the source's clock, in microseconds.
    pub captured_us: u64,
}

/// How a frame ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum FrameOutcome {
    /// The gateway published the frame's detections.
    Detections,
    /// The gateway published a drop record with this reason.
    Dropped(DropReason),
}

/// A task to run on a worker of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The job's name in [`EdgeInput::Done`] and [`EdgeInput::Failed`].
    pub id: JobId,
    /// Index into [`tessera_plan::dataflow::TaskGraph::tasks`].
    pub task: TaskId,
    /// The frame that the task belongs to.
    pub frame: FrameId,
    /// True when another node owns the frame.
    pub stolen: bool,
    /// For each input of the task: packed boxes that together cover the input's box. The boxes may be larger
    /// (a whole frame, a neighbour's whole tile) and may overlap; equal positions hold equal bits.
    /// The worker only reads the boxes.
    pub inputs: Vec<Vec<(SlotId, Region)>>,
    /// For each output of the task: the slot of the packed output box. No other job writes this slot.
    pub outputs: Vec<SlotId>,
    /// Slots of inputs whose last rows are still on their way, each with the number of rows that are here. No other
    /// job reads these slots. More rows follow in [`EdgeOutput::Arrived`]; until then the worker reads none of them.
    pub arriving: Vec<(SlotId, usize)>,
}

/// What a shell tells an edge's machine.
#[derive(Clone, Copy, Debug)]
pub enum EdgeInput<'a> {
    /// A datagram arrived.
    Datagram {
        /// The sender's address.
        from: SocketAddr,
        /// The datagram's payload.
        bytes: &'a [u8],
    },
    /// The time of the last [`EdgeOutput::WaitUntil`] has come. An early tick is harmless.
    Tick,
    /// A complete new frame of this source, in a slot that now belongs to the machine. Allowed only while
    /// [`super::Edge::wants_frame`] is true. The frame's number is the count of earlier frames.
    Frame {
        /// The slot that holds all of tensor 0.
        slot: SlotId,
        /// The source's description of the frame.
        meta: FrameMeta,
    },
    /// A worker finished a job; the job's outputs are complete.
    Done {
        /// The job's id from [`EdgeOutput::Run`].
        job: JobId,
    },
    /// A job failed: the worker died or refused the job. Nobody reads or writes the job's slots any more.
    Failed {
        /// The job's id from [`EdgeOutput::Run`].
        job: JobId,
    },
    /// This source will bring no more frames.
    NoMoreFrames,
    /// How this node's board is now. The gateway hears the latest with a heartbeat, once after this node has joined and from then
    /// on at most every ten seconds.
    Condition(Condition),
    /// This node is about to leave: drain the machine once more, then exit. The frames in flight of this
    /// source are dropped.
    Leave,
}

/// What an edge's machine asks the shell to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EdgeOutput<'a> {
    /// Send a datagram of at most [`super::TransferConfig::DATAGRAM_BYTES_MAX`] bytes.
    Send {
        /// The receiver.
        to: To,
        /// The payload, valid until the next call.
        bytes: &'a [u8],
    },
    /// Run a job on a worker; at most [`super::EdgeConfig::jobs_max`] jobs are out at a time.
    Run(Job),
    /// More rows of an input of a job are here: the worker may read so many, from the box's first row on.
    Arrived {
        /// The job's id.
        job: JobId,
        /// One of the job's [`Job::arriving`] slots.
        slot: SlotId,
        /// Number of rows.
        rows: usize,
    },
    /// The inputs of a job that are still on their way will not come, or nobody wants its outputs. The worker goes on
    /// with whatever its slots hold, so that it is soon free. The shell answers with [`EdgeInput::Done`] or
    /// [`EdgeInput::Failed`] as always; the machine makes no use of the outputs.
    Abandon {
        /// The job's id.
        job: JobId,
    },
    /// A frame of this source has ended. The gateway writes the record of the frame.
    FrameEnded {
        /// The frame's number.
        number: FrameNumber,
        /// The frame's meta, as the shell gave it.
        meta: FrameMeta,
        /// How the frame ended.
        outcome: FrameOutcome,
    },
    /// The gateway refuses this node. The machine keeps asking at long intervals.
    Refused(Refusal),
    /// A message for the operator of the cluster.
    Notice(Notice),
    /// The gateway has ended the run: the shell should leave.
    Stopped,
    /// The machine has nothing to do before this time or the next input.
    WaitUntil(Micros),
}

/// What a shell tells the gateway's machine.
#[derive(Clone, Copy, Debug)]
pub enum GatewayInput<'a> {
    /// A datagram arrived.
    Datagram {
        /// The sender's address.
        from: SocketAddr,
        /// The datagram's payload.
        bytes: &'a [u8],
    },
    /// The time of the last [`GatewayOutput::WaitUntil`] has come. An early tick is harmless.
    Tick,
    /// The tail ran and the shell wrote the frame's record.
    TailDone {
        /// The frame whose tail ran.
        frame: FrameId,
    },
    /// The tail could not run. A [`GatewayOutput::Drop`] follows.
    TailFailed {
        /// The frame whose tail failed.
        frame: FrameId,
    },
    /// People are to see a frame whose tail ran: fetch it whole from its source, which has it until the gateway ends it. A
    /// [`GatewayOutput::Fetched`] follows unless [`GatewayInput::TailDone`] or [`GatewayInput::TailFailed`] comes before.
    Fetch {
        /// The frame.
        frame: FrameId,
    },
    /// A node may not take part any more: it counts as gone at once.
    Removed {
        /// The node's id.
        node: NodeId,
    },
    /// End the run: the gateway tells every node to leave.
    Stop,
}

/// What the gateway's machine asks the shell to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GatewayOutput<'a> {
    /// Send a datagram.
    Send {
        /// The receiver.
        to: To,
        /// The payload, valid until the next call.
        bytes: &'a [u8],
    },
    /// All inputs of the tail are merged: run the tail, write the record, then answer with
    /// [`GatewayInput::TailDone`] or [`GatewayInput::TailFailed`]. Several frames may be out at a time.
    RunTail {
        /// The frame to run the tail for.
        frame: FrameId,
        /// The meta that the frame's source gave.
        meta: FrameMeta,
        /// Time since the frame's source captured the frame, in microseconds.
        age_us: Micros,
        /// A board that computed a part of the frame wrong, so that the frame was begun anew without it.
        wrong: Option<NodeId>,
        /// The whole tensor for each of [`tessera_plan::dataflow::TaskGraph::tail_inputs`].
        inputs: Vec<SlotId>,
    },
    /// Write a drop record: the frame will have no detections. `Drop` never follows the frame's
    /// `RunTail`, unless the shell answered `TailFailed`.
    Drop {
        /// The frame to drop.
        frame: FrameId,
        /// The meta that the frame's source gave.
        meta: FrameMeta,
        /// Time since the frame's source captured the frame, in microseconds.
        age_us: Micros,
        /// A board that computed a part of the frame wrong, so that the frame was begun anew without it.
        wrong: Option<NodeId>,
        /// Why the frame has no detections.
        reason: DropReason,
    },
    /// The outcome of [`GatewayInput::Fetch`].
    Fetched {
        /// The frame.
        frame: FrameId,
        /// The meta that the frame's source gave.
        meta: FrameMeta,
        /// The slot of all of tensor 0, until the frame's end; `None` when its source is gone or there is no slot.
        picture: Option<SlotId>,
    },
    /// A message for the operator of the cluster.
    Notice(Notice),
    /// The machine has nothing to do before this time or the next input.
    WaitUntil(Micros),
}

/// The gateway's view of how far the run is from its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Number of nodes alive.
    pub alive: usize,
    /// Number of nodes that have ever brought a frame.
    pub sources: usize,
    /// Number of nodes alive that said [`EdgeInput::NoMoreFrames`] and whose frames have all ended.
    pub finished: usize,
    /// Number of frames in flight.
    pub frames: usize,
}
