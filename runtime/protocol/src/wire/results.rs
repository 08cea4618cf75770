//! Bodies about finished tasks, between owners and the gateway.

use super::{
    LostResult, NO_TASK, PeerAddress, Reject, ResultEntry, ResultNote,
    header::HEADER_BYTES,
    list::{Reader, piece},
    number::{FrameField, NodeField},
    writer::Writer,
};
use crate::{FrameNumber, GATEWAY, NodeId, ProgramInfo, TaskId, TransferConfig};

/// Finished tasks that the tail needs, and the nodes that hold the outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Results<'a> {
    /// Number of the frame at the sender, who owns the frame.
    pub number: FrameNumber,
    /// How often the frame was begun anew.
    pub attempt: u8,
    /// The board without which it was begun anew last, because what it had computed was wrong; [`GATEWAY`] for none.
    pub wrong: NodeId,
    /// Nodes that hold the tasks' outputs.
    pub nodes: &'a [PeerAddress],
    /// Finished tasks, each with an index into `nodes`. With work sharing, [`NO_TASK`] asks whether the gateway has the
    /// frame.
    pub tasks: &'a [ResultEntry],
}

/// The gateway's acknowledgement of reported tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResultsAck<'a> {
    /// Number of the frame at the receiver, who owns the frame.
    pub number: FrameNumber,
    /// How often the frame was begun anew, as far as the gateway knows.
    pub attempt: u8,
    /// Tasks, each with a mark for merged outputs.
    pub tasks: &'a [ResultNote],
}

/// Outputs that the gateway could not get from the named holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostResults<'a> {
    /// Number of the frame at the receiver, who owns the frame.
    pub number: FrameNumber,
    /// How often the frame was begun anew, as far as the gateway knows.
    pub attempt: u8,
    /// Tasks, each with the holder that was asked for the outputs.
    pub tasks: &'a [LostResult],
}

piece! {
    /// Shared body of the three messages about results: a frame number and two counts.
    RawResults {
        number: FrameField,
        nodes: u8,
        tasks: u8,
        attempt: u8,
        pad: u8,
        wrong: NodeField,
    }
}

impl<'a> Results<'a> {
    /// Bytes available to lists in a datagram that fits every path.
    pub const LISTS_BYTES: usize =
        TransferConfig::CONTROL_BYTES - HEADER_BYTES - size_of::<RawResults>();
    /// Most nodes in one datagram.
    pub const NODES_MAX: usize = 16;
    /// Most tasks in one datagram.
    pub const TASKS_MAX: usize = 100;

    pub(super) fn read(mut r: Reader<'a>, info: &ProgramInfo) -> Result<Self, Reject> {
        let raw = r.piece::<RawResults>()?;
        let nodes: &[PeerAddress] = r.list(raw.nodes.into(), Self::NODES_MAX)?;
        let tasks: &[ResultEntry] = r.list(raw.tasks.into(), Self::TASKS_MAX)?;
        r.end()?;
        let exists =
            |t: &ResultEntry| exists(t.task.get(), info) && usize::from(t.holder) < nodes.len();
        if !tasks.iter().all(exists) {
            return Err(Reject::Id);
        }
        Ok(Self {
            number: raw.number.get(),
            attempt: raw.attempt,
            wrong: raw.wrong.get(),
            nodes,
            tasks,
        })
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        let frame = (self.number, self.attempt);
        w.piece(&RawResults {
            wrong: self.wrong.into(),
            ..RawResults::new(frame, self.nodes.len(), self.tasks.len())
        });
        w.list(self.nodes, Self::NODES_MAX);
        w.list(self.tasks, Self::TASKS_MAX);
    }
}

impl<'a> ResultsAck<'a> {
    pub(super) fn read(mut r: Reader<'a>, info: &ProgramInfo) -> Result<Self, Reject> {
        let raw = r.piece::<RawResults>()?;
        let tasks: &[ResultNote] = r.list(raw.tasks.into(), Results::TASKS_MAX)?;
        r.end()?;
        if !tasks.iter().all(|t| exists(t.task.get(), info)) {
            return Err(Reject::Id);
        }
        Ok(Self {
            number: raw.number.get(),
            attempt: raw.attempt,
            tasks,
        })
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        let frame = (self.number, self.attempt);
        w.piece(&RawResults::new(frame, 0, self.tasks.len()));
        w.list(self.tasks, Results::TASKS_MAX);
    }
}

impl<'a> LostResults<'a> {
    /// Most tasks in one datagram.
    pub const TASKS_MAX: usize = 64;

    pub(super) fn read(mut r: Reader<'a>, info: &ProgramInfo) -> Result<Self, Reject> {
        let raw = r.piece::<RawResults>()?;
        let tasks: &[LostResult] = r.list(raw.tasks.into(), Self::TASKS_MAX)?;
        r.end()?;
        if !tasks.iter().all(|t| exists(t.task.get(), info)) {
            return Err(Reject::Id);
        }
        Ok(Self {
            number: raw.number.get(),
            attempt: raw.attempt,
            tasks,
        })
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        let frame = (self.number, self.attempt);
        w.piece(&RawResults::new(frame, 0, self.tasks.len()));
        w.list(self.tasks, Self::TASKS_MAX);
    }
}

/// True for a task of the program, and for [`NO_TASK`], which stands for the frame.
fn exists(task: TaskId, info: &ProgramInfo) -> bool {
    task == NO_TASK || task.index() < info.tasks.len()
}

impl RawResults {
    fn new((number, attempt): (FrameNumber, u8), nodes: usize, tasks: usize) -> Self {
        Self {
            number: number.into(),
            nodes: nodes as u8,
            tasks: tasks as u8,
            attempt,
            pad: 0,
            wrong: GATEWAY.into(),
        }
    }
}
