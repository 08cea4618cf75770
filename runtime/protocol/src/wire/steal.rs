//! Bodies between thieves, victims and owners. An owner leases only tasks of its own frames, so a
//! frame number together with the owner identifies a frame.

use tessera_plan::limits::PIECES_MAX;
use zerocopy::little_endian::{U16, U32, U64};

use super::{
    LeaseRef, LostObject, PeerAddress, Reject,
    list::{Reader, key_from_wire, piece},
    number::{FrameField, RequestField, TaskField},
    writer::Writer,
};
use crate::{FrameNumber, ProgramInfo, RequestId, TaskId};

/// The right to run a task for a while, and the nodes that hold the inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseGrant<'a> {
    /// Number of the answered request.
    pub request: RequestId,
    /// Number of the frame at the sender, who owns the frame.
    pub number: FrameNumber,
    /// How often the frame was begun anew: what the receiver has of earlier attempts is void.
    pub attempt: u8,
    /// The leased task.
    pub task: TaskId,
    /// Duration of the lease without a renewal, in microseconds.
    pub lease_us: u32,
    /// Nodes that hold inputs of the task.
    pub holders: &'a [PeerAddress],
    /// For each of [`tessera_plan::dataflow::TaskInfo::needs`], an index into `holders`; with [`Self::EARLY`] where
    /// the holder is still making the object.
    pub needs: &'a [u8],
}

/// The leases that a thief still works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renew<'a> {
    /// The thief's sequence number of the renewal.
    pub seq: u32,
    /// Leases of tasks of the receiver's frames.
    pub leases: &'a [LeaseRef],
}

/// Names a leased task in a thief's report to the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Number of the frame at the receiver, who owns the frame.
    pub number: FrameNumber,
    /// The leased task.
    pub task: TaskId,
    /// Number of the request that the lease answered.
    pub request: RequestId,
}

/// A thief's report of a task that it has finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The leased task.
    pub report: Report,
    /// The instruction set with which the thief computes, as in [`crate::EdgeConfig::arithmetic`].
    pub arithmetic: u16,
}

/// A thief's report that it will not finish a leased task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed<'a> {
    /// The leased task.
    pub report: Report,
    /// The reason of the failure.
    pub why: FailureReason,
    /// Inputs that the thief could not get.
    pub lost: &'a [LostObject],
}

/// Why a thief will not finish a leased task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureReason {
    /// The thief no longer wants the task, or has other tasks to run.
    Declined,
    /// The thief could not get inputs.
    Lost,
    /// The worker died or refused the task.
    Worker,
    /// The thief has no memory for the task's inputs and outputs.
    Full,
}

/// The owner's acknowledgement of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportAck {
    /// The leased task.
    pub report: Report,
    /// True when the thief should keep the outputs for other nodes.
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
        attempt: u8,
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
    /// Body of reports and of their acknowledgement.
    RawReport {
        number: FrameField,
        task: TaskField,
        request: RequestField,
        detail: u8,
        lost: u8,
        arithmetic: U16,
    }
}

impl<'a> LeaseGrant<'a> {
    /// Most nodes that hold inputs of one leased task.
    pub const HOLDERS_MAX: usize = 31;
    /// Marks a need whose object is being made.
    pub const EARLY: u8 = 0x80;

    pub(super) fn read(mut r: Reader<'a>, info: &ProgramInfo) -> Result<Self, Reject> {
        let raw = r.piece::<RawLease>()?;
        let holders: &[PeerAddress] = r.list(raw.holders.into(), Self::HOLDERS_MAX)?;
        let needs: &[u8] = r.list(raw.needs.get().into(), PIECES_MAX)?;
        r.end()?;
        let task = info.tasks.get(raw.task.get().index()).ok_or(Reject::Id)?;
        if needs.len() != task.needs.len() {
            return Err(Reject::Count);
        }
        if (needs.iter()).any(|&n| usize::from(n & !Self::EARLY) >= holders.len()) {
            return Err(Reject::Id);
        }
        if raw.lease_us.get() == 0 {
            return Err(Reject::Value);
        }
        Ok(Self {
            request: raw.request.get(),
            number: raw.number.get(),
            attempt: raw.attempt,
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
            attempt: self.attempt,
        });
        w.list(self.holders, Self::HOLDERS_MAX);
        w.list(self.needs, PIECES_MAX);
    }
}

impl<'a> Renew<'a> {
    /// Most leases in one renewal: the answer has a bit for each lease.
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
            arithmetic: 0.into(),
        }
    }
}

impl Finished {
    pub(super) fn read(mut r: Reader<'_>, info: &ProgramInfo) -> Result<Self, Reject> {
        let raw = r.piece::<RawReport>()?;
        r.end()?;
        Ok(Self {
            report: Report::open(raw, info)?,
            arithmetic: raw.arithmetic.get(),
        })
    }

    pub(super) fn write(self, w: &mut Writer<'_>) {
        w.piece(&RawReport {
            arithmetic: self.arithmetic.into(),
            ..self.report.raw(0, 0)
        });
    }
}

impl<'a> Failed<'a> {
    /// Most lost parts in one report.
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
            3 => FailureReason::Full,
            _ => return Err(Reject::Value),
        };
        Ok(Self { report, why, lost })
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        let why = match self.why {
            FailureReason::Declined => 0,
            FailureReason::Lost => 1,
            FailureReason::Worker => 2,
            FailureReason::Full => 3,
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
