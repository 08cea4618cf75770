//! One datagram, read or to be written.

use zerocopy::{Immutable, IntoBytes, little_endian::U32};

use super::{
    Beat, Data, Envelope, Failed, Kind, Lease, LostResults, Node, Reject, Renew, Report, Reported,
    Request, Results, ResultsAck, State,
    header::{RawHeader, plan_prefix, seal},
    list::{Reader, piece},
    steal::{read_renewed, write_renewed},
};
use crate::{ProgramInfo, TransferConfig};

/// What a datagram says. Lists are borrowed from it, or from whoever sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each variant is described by its kind and its body"
)]
pub enum Message<'a> {
    Beat(Beat<'a>),
    State(State<'a>),
    HintAsk { seq: u32 },
    Hint { seq: u32, victim: Option<Node> },
    StealAsk { ask: u32 },
    Lease(Lease<'a>),
    NoWork { ask: u32 },
    Renew(Renew<'a>),
    Renewed { seq: u32, wanted: u64 },
    Done(Report),
    Failed(Failed<'a>),
    Reported(Reported),
    Results(Results<'a>),
    ResultsAck(ResultsAck<'a>),
    Lost(LostResults<'a>),
    Pull(Request<'a>),
    Grant(Request<'a>),
    Nack(Request<'a>),
    Data(Data<'a>),
    Absent { pull: u32 },
    Stop,
    Bye,
}

piece! {
    /// Body of the kinds that are one number.
    RawNumber {
        number: U32,
    }
}

/// Reads a datagram and checks everything that can be checked without a state. Beats and states
/// of other plans pass: both sides must be able to say that they do not belong together.
///
/// # Errors
/// [`Reject`], to be counted.
pub fn parse<'a>(bytes: &'a [u8], info: &ProgramInfo) -> Result<(Envelope, Message<'a>), Reject> {
    if bytes.len() > TransferConfig::MAX_DATAGRAM {
        return Err(Reject::Length);
    }
    let mut r = Reader::new(bytes);
    let raw = r.piece::<RawHeader>()?;
    let envelope = raw.open(bytes)?;
    let kind = Kind::from_wire(raw.kind).ok_or(Reject::Kind)?;
    if envelope.plan != plan_prefix(info) && !matches!(kind, Kind::Beat | Kind::State) {
        return Err(Reject::Plan);
    }
    let message = match kind {
        Kind::Beat => Message::Beat(Beat::read(r)?),
        Kind::State => Message::State(State::read(r)?),
        Kind::HintAsk => Message::HintAsk { seq: number(r)? },
        Kind::Hint => {
            let seq = r.piece::<RawNumber>()?.number.get();
            let node = r.piece::<Node>()?;
            r.end()?;
            Message::Hint {
                seq,
                victim: Some(*node).filter(|n| n.id.get() != 0),
            }
        }
        Kind::StealAsk => Message::StealAsk { ask: number(r)? },
        Kind::Lease => Message::Lease(Lease::read(r, info)?),
        Kind::NoWork => Message::NoWork { ask: number(r)? },
        Kind::Renew => Message::Renew(Renew::read(r, info)?),
        Kind::Renewed => {
            let (seq, wanted) = read_renewed(r)?;
            Message::Renewed { seq, wanted }
        }
        Kind::Done => Message::Done(Report::read(r, info)?),
        Kind::Failed => Message::Failed(Failed::read(r, info)?),
        Kind::Reported => Message::Reported(Reported::read(r, info)?),
        Kind::Results => Message::Results(Results::read(r, info)?),
        Kind::ResultsAck => Message::ResultsAck(ResultsAck::read(r, info)?),
        Kind::Lost => Message::Lost(LostResults::read(r, info)?),
        Kind::Pull => Message::Pull(Request::read(r, info)?),
        Kind::Grant => Message::Grant(Request::read(r, info)?),
        Kind::Nack => Message::Nack(Request::read(r, info)?),
        Kind::Data => Message::Data(Data::read(r)?),
        Kind::Absent => Message::Absent { pull: number(r)? },
        Kind::Stop => r.end().map(|()| Message::Stop)?,
        Kind::Bye => r.end().map(|()| Message::Bye)?,
    };
    Ok((envelope, message))
}

fn number(mut r: Reader<'_>) -> Result<u32, Reject> {
    let n = r.piece::<RawNumber>()?.number.get();
    r.end().map(|()| n)
}

impl Message<'_> {
    /// Which kind it is.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Beat(_) => Kind::Beat,
            Self::State(_) => Kind::State,
            Self::HintAsk { .. } => Kind::HintAsk,
            Self::Hint { .. } => Kind::Hint,
            Self::StealAsk { .. } => Kind::StealAsk,
            Self::Lease(_) => Kind::Lease,
            Self::NoWork { .. } => Kind::NoWork,
            Self::Renew(_) => Kind::Renew,
            Self::Renewed { .. } => Kind::Renewed,
            Self::Done(_) => Kind::Done,
            Self::Failed(_) => Kind::Failed,
            Self::Reported(_) => Kind::Reported,
            Self::Results(_) => Kind::Results,
            Self::ResultsAck(_) => Kind::ResultsAck,
            Self::Lost(_) => Kind::Lost,
            Self::Pull(_) => Kind::Pull,
            Self::Grant(_) => Kind::Grant,
            Self::Nack(_) => Kind::Nack,
            Self::Data(_) => Kind::Data,
            Self::Absent { .. } => Kind::Absent,
            Self::Stop => Kind::Stop,
            Self::Bye => Kind::Bye,
        }
    }

    /// Writes the datagram over what `out` held.
    ///
    /// # Panics
    /// When a list is longer than its bound: an error of the caller.
    pub fn encode(&self, envelope: Envelope, out: &mut Vec<u8>) {
        self.encode_open(envelope, out);
        seal(out);
    }

    /// The same without the sum: bytes are appended, then [`seal`] completes it.
    pub(crate) fn encode_open(&self, envelope: Envelope, out: &mut Vec<u8>) {
        out.clear();
        let mut w = Writer { out };
        w.piece(&envelope.raw(self.kind() as u8));
        match self {
            Self::Beat(m) => m.write(&mut w),
            Self::State(m) => m.write(&mut w),
            Self::Hint { seq, victim } => {
                w.number(*seq);
                w.piece(&victim.unwrap_or(Node {
                    id: 0.into(),
                    port: 0.into(),
                    epoch: 0.into(),
                    ip: [0; 16],
                }));
            }
            Self::HintAsk { seq: n }
            | Self::StealAsk { ask: n }
            | Self::NoWork { ask: n }
            | Self::Absent { pull: n } => w.number(*n),
            Self::Lease(m) => m.write(&mut w),
            Self::Renew(m) => m.write(&mut w),
            Self::Renewed { seq, wanted } => write_renewed(*seq, *wanted, &mut w),
            Self::Done(m) => m.write(&mut w),
            Self::Failed(m) => m.write(&mut w),
            Self::Reported(m) => m.write(&mut w),
            Self::Results(m) => m.write(&mut w),
            Self::ResultsAck(m) => m.write(&mut w),
            Self::Lost(m) => m.write(&mut w),
            Self::Pull(m) | Self::Grant(m) | Self::Nack(m) => m.write(&mut w),
            Self::Data(m) => m.write(&mut w),
            Self::Stop | Self::Bye => {}
        }
        debug_assert!(out.len() <= TransferConfig::MAX_DATAGRAM);
    }
}

/// Appends pieces to a datagram.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl Writer<'_> {
    pub fn piece<T: IntoBytes + Immutable>(&mut self, piece: &T) {
        self.out.extend_from_slice(piece.as_bytes());
    }

    pub fn list<T: IntoBytes + Immutable>(&mut self, list: &[T], most: usize) {
        assert!(
            list.len() <= most,
            "{} elements, at most {most}",
            list.len()
        );
        self.out.extend_from_slice(list.as_bytes());
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    fn number(&mut self, number: u32) {
        self.piece(&RawNumber {
            number: number.into(),
        });
    }
}
