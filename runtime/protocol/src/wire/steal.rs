//! Bodies between thieves, victims and owners. An owner leases only its own frames' tasks, so a
//! frame's number and one of the two nodes name it.

use tessera_plan::limits::PIECES_MAX;
use zerocopy::little_endian::{U16, U32, U64};

use super::{
    LeaseRef, LostObject, PeerAddress, Reject,
    list::{Reader, key_from_wire, piece},
    number::{FrameField, RequestField, TaskField},
    writer::Writer,
};
use crate::{FrameNumber, ProgramInfo, RequestId, TaskId};

/// The right to run a task for a while, and where its inputs lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseGrant<'a> {
    /// Number of the request that it answers.
    pub request: RequestId,
    /// Frame number at the sender, who owns it.
    pub number: FrameNumber,
    /// The task.
    pub task: TaskId,
    /// How long it holds without being renewed, in microseconds.
    pub lease_us: u32,
    /// Nodes that hold inputs.
    pub holders: &'a [PeerAddress],
    /// Per [`tessera_plan::dataflow::TaskInfo::needs`] an index into `holders`.
    pub needs: &'a [u8],
}

/// A thief is still at work on these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renew<'a> {
    /// Counts a thief's renewals.
    pub seq: u32,
    /// Leases of the receiver's frames.
    pub leases: &'a [LeaseRef],
}

/// What became of a leased task, at its thief.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Frame number at the receiver, who owns it.
    pub number: FrameNumber,
    /// The task.
    pub task: TaskId,
    /// Number of the request that the lease answered.
    pub request: RequestId,
}

/// A leased task will not be finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed<'a> {
    /// The leased task.
    pub report: Report,
    /// What kept the thief from finishing it.
    pub why: FailureReason,
    /// Inputs that could not be had.
    pub lost: &'a [LostObject],
}

/// Why a leased task will not be finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureReason {
    /// The thief wants it no more, or has no room.
    Declined,
    /// Inputs could not be had.
    Lost,
    /// Its worker died or refused.
    Worker,
}

/// The owner has heard a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportAck {
    /// The leased task.
    pub report: Report,
    /// Whether the outputs are to be kept for others.
    pub keep: bool,
}

piece! {
    /// Body of [`LeaseGrant`].
    RawLease {
        request: RequestField,
        number: FrameField,
        task: TaskField,
        lease_us: U32,
        needs: U16,
        holders: u8,
        pad: u8,
    }
}

piece! {
    /// Body of [`Renew`].
    RawRenew {
        seq: U32,
        leases: u8,
        pad: [u8; 3],
    }
}

piece! {
    /// Body of the answer to [`Renew`].
    RawRenewed {
        seq: U32,
        wanted: U64,
    }
}

piece! {
    /// Body of reports and their answer.
    RawReport {
        number: FrameField,
        task: TaskField,
        request: RequestField,
        detail: u8,
        lost: u8,
        pad: U16,
    }
}

impl<'a> LeaseGrant<'a> {
    /// Most nodes that hold inputs of one leased task.
    pub const HOLDERS_MAX: usize = 32;

    pub(super) fn read(mut r: Reader<'a>, info: &ProgramInfo) -> Result<Self, Reject> {
        let raw = r.piece::<RawLease>()?;
        let holders: &[PeerAddress] = r.list(raw.holders.into(), Self::HOLDERS_MAX)?;
        let needs: &[u8] = r.list(raw.needs.get().into(), PIECES_MAX)?;
        r.end()?;
        let task = info.tasks.get(raw.task.get().index()).ok_or(Reject::Id)?;
        if needs.len() != task.needs.len() {
            return Err(Reject::Count);
        }
        if needs.iter().any(|&n| usize::from(n) >= holders.len()) {
            return Err(Reject::Id);
        }
        if raw.lease_us.get() == 0 {
            return Err(Reject::Value);
        }
        Ok(Self {
            request: raw.request.get(),
            number: raw.number.get(),
            task: raw.task.get(),
            lease_us: raw.lease_us.get(),
            holders,
            needs,
        })
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.piece(&RawLease {
            request: self.request.into(),
            number: self.number.into(),
            task: self.task.into(),
            lease_us: self.lease_us.into(),
            needs: (self.needs.len() as u16).into(),
            holders: self.holders.len() as u8,
            pad: 0,
        });
        w.list(self.holders, Self::HOLDERS_MAX);
        w.list(self.needs, PIECES_MAX);
    }
}

impl<'a> Renew<'a> {
    /// Most leases at once: the answer has a bit for each.
    pub const LEASES_MAX: usize = u64::BITS as usize;

    pub(super) fn read(mut r: Reader<'a>, info: &ProgramInfo) -> Result<Self, Reject> {
        let raw = r.piece::<RawRenew>()?;
        let leases: &[LeaseRef] = r.list(raw.leases.into(), Self::LEASES_MAX)?;
        r.end()?;
        if leases
            .iter()
            .any(|l| l.task.get().index() >= info.tasks.len())
        {
            return Err(Reject::Id);
        }
        Ok(Self {
            seq: raw.seq.get(),
            leases,
        })
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.piece(&RawRenew {
            seq: self.seq.into(),
            leases: self.leases.len() as u8,
            pad: [0; 3],
        });
        w.list(self.leases, Self::LEASES_MAX);
    }
}

pub(super) fn read_renewed(mut r: Reader<'_>) -> Result<(u32, u64), Reject> {
    let raw = r.piece::<RawRenewed>()?;
    r.end()?;
    Ok((raw.seq.get(), raw.wanted.get()))
}

pub(super) fn write_renewed(seq: u32, wanted: u64, w: &mut Writer<'_>) {
    w.piece(&RawRenewed {
        seq: seq.into(),
        wanted: wanted.into(),
    });
}

impl Report {
    fn open(raw: &RawReport, info: &ProgramInfo) -> Result<Self, Reject> {
        if raw.task.get().index() >= info.tasks.len() {
            return Err(Reject::Id);
        }
        Ok(Self {
            number: raw.number.get(),
            task: raw.task.get(),
            request: raw.request.get(),
        })
    }

    fn raw(self, detail: u8, lost: usize) -> RawReport {
        RawReport {
            number: self.number.into(),
            task: self.task.into(),
            request: self.request.into(),
            detail,
            lost: lost as u8,
            pad: 0.into(),
        }
    }

    pub(super) fn read(mut r: Reader<'_>, info: &ProgramInfo) -> Result<Self, Reject> {
        let raw = r.piece::<RawReport>()?;
        r.end()?;
        Self::open(raw, info)
    }

    pub(super) fn write(self, w: &mut Writer<'_>) {
        w.piece(&self.raw(0, 0));
    }
}

impl<'a> Failed<'a> {
    /// Most lost parts at once.
    pub const LOST_MAX: usize = 64;

    pub(super) fn read(mut r: Reader<'a>, info: &ProgramInfo) -> Result<Self, Reject> {
        let raw = r.piece::<RawReport>()?;
        let lost: &[LostObject] = r.list(raw.lost.into(), Self::LOST_MAX)?;
        r.end()?;
        let report = Report::open(raw, info)?;
        for l in lost {
            key_from_wire(l.task.get(), l.output.get(), info)?;
        }
        let why = match raw.detail {
            0 => FailureReason::Declined,
            1 => FailureReason::Lost,
            2 => FailureReason::Worker,
            _ => return Err(Reject::Value),
        };
        Ok(Self { report, why, lost })
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        let why = match self.why {
            FailureReason::Declined => 0,
            FailureReason::Lost => 1,
            FailureReason::Worker => 2,
        };
        w.piece(&self.report.raw(why, self.lost.len()));
        w.list(self.lost, Self::LOST_MAX);
    }
}

impl ReportAck {
    pub(super) fn read(mut r: Reader<'_>, info: &ProgramInfo) -> Result<Self, Reject> {
        let raw = r.piece::<RawReport>()?;
        r.end()?;
        if raw.detail > 1 {
            return Err(Reject::Value);
        }
        Ok(Self {
            report: Report::open(raw, info)?,
            keep: raw.detail == 1,
        })
    }

    pub(super) fn write(self, w: &mut Writer<'_>) {
        w.piece(&self.report.raw(self.keep.into(), 0));
    }
}
