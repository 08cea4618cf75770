//! The content of one datagram, for reading and for writing.

use zerocopy::little_endian::U32;

use super::{
    CHUNK_MARK, ClusterState, Data, Envelope, Failed, Finished, Heartbeat, Later, LeaseGrant,
    LostResults, MessageKind, PeerAddress, Reject, Renew, ReportAck, Request, Results, ResultsAck,
    Shown, Want, Watch,
    header::{RawHeader, plan_prefix, seal},
    list::{Reader, piece},
    steal::{read_renewed, write_renewed},
    writer::Writer,
};
use crate::{
    Condition, GATEWAY, Incarnation, NodeId, ProgramInfo, PullId, RequestId, TransferConfig,
};

/// The decoded content of a datagram. The lists are borrowed from the datagram or from the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each variant is described by its kind and its body"
)]
pub enum Message<'a> {
    Heartbeat(Heartbeat<'a>),
    State(ClusterState<'a>),
    StealGateway {
        seq: u32,
    },
    Victim {
        seq: u32,
        victim: Option<PeerAddress>,
    },
    StealClient {
        request: RequestId,
    },
    Lease(LeaseGrant<'a>),
    NoWork {
        request: RequestId,
    },
    Renew(Renew<'a>),
    Renewed {
        seq: u32,
        wanted: u64,
    },
    Done(Finished),
    Failed(Failed<'a>),
    ReportAck(ReportAck),
    Results(Results<'a>),
    ResultsAck(ResultsAck<'a>),
    Lost(LostResults<'a>),
    Pull(Request<'a>),
    Grant(Request<'a>),
    Nack(Request<'a>),
    Data(Data<'a>),
    Absent {
        pull: PullId,
    },
    Stop,
    Bye,
    Offer,
    Want(Want<'a>),
    Later(Later),
    Watch(Watch),
    Shown(Shown<'a>),
    Condition {
        seq: u32,
        condition: Condition,
    },
}

piece! {
    /// Body of the kinds that carry one number.
    RawNumber {
        number: U32,
    }
}

/// Decodes a datagram and checks everything that needs no state. Heartbeats and states of other plans
/// pass: both sides must be able to report the mismatch. Of a chunk, the checksum is still to be checked ([`Data::check`]).
///
/// # Errors
/// The first [`Reject`] that applies; the caller counts the rejections.
pub fn parse<'a>(bytes: &'a [u8], info: &ProgramInfo) -> Result<(Envelope, Message<'a>), Reject> {
    if bytes.len() > TransferConfig::DATAGRAM_BYTES_MAX {
        return Err(Reject::Length);
    }
    if bytes.first() == Some(&CHUNK_MARK) {
        let (envelope, data) = Data::read(bytes, plan_prefix(info))?;
        return Ok((envelope, Message::Data(data)));
    }
    let mut r = Reader::new(bytes);
    let raw = r.piece::<RawHeader>()?;
    let envelope = raw.open(bytes)?;
    let kind = MessageKind::from_wire(raw.kind).ok_or(Reject::MessageKind)?;
    if envelope.plan != plan_prefix(info)
        && !matches!(kind, MessageKind::Heartbeat | MessageKind::State)
    {
        return Err(Reject::Plan);
    }
    let message = match kind {
        MessageKind::Heartbeat => Message::Heartbeat(Heartbeat::read(r)?),
        MessageKind::State => Message::State(ClusterState::read(r)?),
        MessageKind::StealGateway => Message::StealGateway { seq: number(r)? },
        MessageKind::Victim => {
            let seq = r.piece::<RawNumber>()?.number.get();
            let node = r.piece::<PeerAddress>()?;
            r.end()?;
            Message::Victim {
                seq,
                victim: Some(*node).filter(|n| n.id() != GATEWAY),
            }
        }
        MessageKind::StealClient => Message::StealClient {
            request: RequestId(number(r)?),
        },
        MessageKind::Lease => Message::Lease(LeaseGrant::read(r, info)?),
        MessageKind::NoWork => Message::NoWork {
            request: RequestId(number(r)?),
        },
        MessageKind::Renew => Message::Renew(Renew::read(r, info)?),
        MessageKind::Renewed => {
            let (seq, wanted) = read_renewed(r)?;
            Message::Renewed { seq, wanted }
        }
        MessageKind::Done => Message::Done(Finished::read(r, info)?),
        MessageKind::Failed => Message::Failed(Failed::read(r, info)?),
        MessageKind::ReportAck => Message::ReportAck(ReportAck::read(r, info)?),
        MessageKind::Results => Message::Results(Results::read(r, info)?),
        MessageKind::ResultsAck => Message::ResultsAck(ResultsAck::read(r, info)?),
        MessageKind::Lost => Message::Lost(LostResults::read(r, info)?),
        MessageKind::Pull => Message::Pull(Request::read(r, info)?),
        MessageKind::Grant => Message::Grant(Request::read(r, info)?),
        MessageKind::Nack => Message::Nack(Request::read(r, info)?),
        // A chunk has a header of its own.
        MessageKind::Data => return Err(Reject::MessageKind),
        MessageKind::Absent => Message::Absent {
            pull: PullId(number(r)?),
        },
        MessageKind::Stop => r.end().map(|()| Message::Stop)?,
        MessageKind::Bye => r.end().map(|()| Message::Bye)?,
        MessageKind::Offer => r.end().map(|()| Message::Offer)?,
        MessageKind::Want => Message::Want(Want::read(r)?),
        MessageKind::Later => Message::Later(Later::read(r)?),
        MessageKind::Watch => Message::Watch(Watch::read(r)?),
        MessageKind::Shown => Message::Shown(Shown::read(r)?),
        MessageKind::Condition => {
            let (seq, condition) = Condition::read(r)?;
            Message::Condition { seq, condition }
        }
    };
    Ok((envelope, message))
}

/// Decodes a datagram between an observer and the gateway: their plans need not be the same.
///
/// # Errors
/// The first [`Reject`] that applies.
pub fn parse_watch(bytes: &[u8]) -> Result<(Envelope, Message<'_>), Reject> {
    if bytes.len() > TransferConfig::DATAGRAM_BYTES_MAX {
        return Err(Reject::Length);
    }
    let mut r = Reader::new(bytes);
    let raw = r.piece::<RawHeader>()?;
    let envelope = raw.open(bytes)?;
    let message = match MessageKind::from_wire(raw.kind) {
        Some(MessageKind::Watch) => Message::Watch(Watch::read(r)?),
        Some(MessageKind::Shown) => Message::Shown(Shown::read(r)?),
        Some(_) => return Err(Reject::Role),
        None => return Err(Reject::MessageKind),
    };
    Ok((envelope, message))
}

fn raw_number(number: u32) -> RawNumber {
    RawNumber {
        number: number.into(),
    }
}

fn number(mut r: Reader<'_>) -> Result<u32, Reject> {
    let n = r.piece::<RawNumber>()?.number.get();
    r.end().map(|()| n)
}

impl Message<'_> {
    /// The message's kind.
    pub const fn kind(&self) -> MessageKind {
        match self {
            Self::Heartbeat(_) => MessageKind::Heartbeat,
            Self::State(_) => MessageKind::State,
            Self::StealGateway { .. } => MessageKind::StealGateway,
            Self::Victim { .. } => MessageKind::Victim,
            Self::StealClient { .. } => MessageKind::StealClient,
            Self::Lease(_) => MessageKind::Lease,
            Self::NoWork { .. } => MessageKind::NoWork,
            Self::Renew(_) => MessageKind::Renew,
            Self::Renewed { .. } => MessageKind::Renewed,
            Self::Done(_) => MessageKind::Done,
            Self::Failed(_) => MessageKind::Failed,
            Self::ReportAck(_) => MessageKind::ReportAck,
            Self::Results(_) => MessageKind::Results,
            Self::ResultsAck(_) => MessageKind::ResultsAck,
            Self::Lost(_) => MessageKind::Lost,
            Self::Pull(_) => MessageKind::Pull,
            Self::Grant(_) => MessageKind::Grant,
            Self::Nack(_) => MessageKind::Nack,
            Self::Data(_) => MessageKind::Data,
            Self::Absent { .. } => MessageKind::Absent,
            Self::Stop => MessageKind::Stop,
            Self::Bye => MessageKind::Bye,
            Self::Offer => MessageKind::Offer,
            Self::Want(_) => MessageKind::Want,
            Self::Later(_) => MessageKind::Later,
            Self::Watch(_) => MessageKind::Watch,
            Self::Shown(_) => MessageKind::Shown,
            Self::Condition { .. } => MessageKind::Condition,
        }
    }

    /// Writes the datagram to `out` and replaces the former content.
    ///
    /// # Panics
    /// When a list is longer than its bound: a programming error of the caller.
    pub fn encode(&self, envelope: Envelope, out: &mut Vec<u8>) {
        out.clear();
        let mut w = Writer::new(out);
        if let Self::Data(data) = self {
            data.write(envelope.from, &mut w);
            return;
        }
        w.piece(&envelope.raw(self.kind() as u8));
        match self {
            Self::Heartbeat(m) => m.write(&mut w),
            Self::State(m) => m.write(&mut w),
            Self::Victim { seq, victim } => {
                w.piece(&raw_number(*seq));
                w.piece(&victim.unwrap_or(PeerAddress {
                    id: NodeId(0).into(),
                    port: 0.into(),
                    incarnation: Incarnation(0).into(),
                    ip: [0; 16],
                }));
            }
            Self::StealGateway { seq } => w.piece(&raw_number(*seq)),
            Self::StealClient { request } | Self::NoWork { request } => {
                w.piece(&raw_number(request.0))
            }
            Self::Absent { pull } => w.piece(&raw_number(pull.0)),
            Self::Later(m) => m.write(&mut w),
            Self::Lease(m) => m.write(&mut w),
            Self::Renew(m) => m.write(&mut w),
            Self::Renewed { seq, wanted } => write_renewed(*seq, *wanted, &mut w),
            Self::Done(m) => m.write(&mut w),
            Self::Failed(m) => m.write(&mut w),
            Self::ReportAck(m) => m.write(&mut w),
            Self::Results(m) => m.write(&mut w),
            Self::ResultsAck(m) => m.write(&mut w),
            Self::Lost(m) => m.write(&mut w),
            Self::Pull(m) | Self::Grant(m) | Self::Nack(m) => m.write(&mut w),
            Self::Want(m) => m.write(&mut w),
            Self::Watch(m) => m.write(&mut w),
            Self::Shown(m) => m.write(&mut w),
            Self::Condition { seq, condition } => condition.write(*seq, &mut w),
            Self::Stop | Self::Bye | Self::Offer | Self::Data(_) => {}
        }
        seal(out);
        debug_assert!(out.len() <= TransferConfig::DATAGRAM_BYTES_MAX);
    }
}
