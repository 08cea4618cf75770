//! Bodies that speak of finished tasks, between owners and the gateway.

use zerocopy::little_endian::U16;

use super::{
    LostResult, NO_TASK, PeerAddress, Reject, ResultEntry, ResultNote,
    header::HEADER_BYTES,
    list::{Reader, piece},
    number::FrameField,
    writer::Writer,
};
use crate::{FrameNumber, ProgramInfo, TaskId, TransferConfig};

/// Finished tasks that the tail needs, and where their outputs lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Results<'a> {
    /// The frame's number; the sender owns it.
    pub number: FrameNumber,
    /// Nodes that hold outputs.
    pub nodes: &'a [PeerAddress],
    /// Finished tasks, and which of the nodes holds their outputs.
    pub tasks: &'a [ResultEntry],
}

/// What the gateway has of tasks that it was told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResultsAck<'a> {
    /// The frame's number; the receiver owns it.
    pub number: FrameNumber,
    /// Tasks, and whether their outputs are merged.
    pub tasks: &'a [ResultNote],
}

/// Outputs that the gateway could not get where it was told that they lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostResults<'a> {
    /// The frame's number; the receiver owns it.
    pub number: FrameNumber,
    /// Tasks, and who was asked for their outputs.
    pub tasks: &'a [LostResult],
}

piece! {
    /// Body of the three that speak of results: a frame and two counts.
    RawResults {
        number: FrameField,
        nodes: u8,
        tasks: u8,
        pad: U16,
    }
}

impl<'a> Results<'a> {
    /// Bytes of lists in a datagram that passes every path.
    pub const LISTS_BYTES: usize =
        TransferConfig::CONTROL_BYTES - HEADER_BYTES - size_of::<RawResults>();
    /// Most nodes at once.
    pub const NODES_MAX: usize = 16;
    /// Most tasks at once.
    pub const TASKS_MAX: usize = 100;

    pub(super) fn read(mut r: Reader<'a>, info: &ProgramInfo) -> Result<Self, Reject> {
        let raw = r.piece::<RawResults>()?;
        let nodes: &[PeerAddress] = r.list(raw.nodes.into(), Self::NODES_MAX)?;
        let tasks: &[ResultEntry] = r.list(raw.tasks.into(), Self::TASKS_MAX)?;
        r.end()?;
        let exists = |t: &ResultEntry| {
            t.task.get().index() < info.tasks.len() && usize::from(t.holder) < nodes.len()
        };
        if !tasks.iter().all(exists) {
            return Err(Reject::Id);
        }
        Ok(Self {
            number: raw.number.get(),
            nodes,
            tasks,
        })
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.piece(&RawResults::new(
            self.number,
            self.nodes.len(),
            self.tasks.len(),
        ));
        w.list(self.nodes, Self::NODES_MAX);
        w.list(self.tasks, Self::TASKS_MAX);
    }
}

impl<'a> ResultsAck<'a> {
    pub(super) fn read(mut r: Reader<'a>, info: &ProgramInfo) -> Result<Self, Reject> {
        let raw = r.piece::<RawResults>()?;
        let tasks: &[ResultNote] = r.list(raw.tasks.into(), Results::TASKS_MAX)?;
        r.end()?;
        if !tasks
            .iter()
            .all(|t| t.task.get().index() < info.tasks.len())
        {
            return Err(Reject::Id);
        }
        Ok(Self {
            number: raw.number.get(),
            tasks,
        })
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.piece(&RawResults::new(self.number, 0, self.tasks.len()));
        w.list(self.tasks, Results::TASKS_MAX);
    }
}

impl<'a> LostResults<'a> {
    /// Most tasks at once.
    pub const TASKS_MAX: usize = 64;

    pub(super) fn read(mut r: Reader<'a>, info: &ProgramInfo) -> Result<Self, Reject> {
        let raw = r.piece::<RawResults>()?;
        let tasks: &[LostResult] = r.list(raw.tasks.into(), Self::TASKS_MAX)?;
        r.end()?;
        let exists = |t: TaskId| t == NO_TASK || t.index() < info.tasks.len();
        if !tasks.iter().all(|t| exists(t.task.get())) {
            return Err(Reject::Id);
        }
        Ok(Self {
            number: raw.number.get(),
            tasks,
        })
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.piece(&RawResults::new(self.number, 0, self.tasks.len()));
        w.list(self.tasks, Self::TASKS_MAX);
    }
}

impl RawResults {
    fn new(number: FrameNumber, nodes: usize, tasks: usize) -> Self {
        Self {
            number: number.into(),
            nodes: nodes as u8,
            tasks: tasks as u8,
            pad: 0.into(),
        }
    }
}
