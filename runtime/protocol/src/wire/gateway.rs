//! Bodies of heartbeats and of the gateway's answers.

use zerocopy::little_endian::U32;

use super::{
    FrameEntry, FrameStatusEntry, NodeStatusEntry, PeerAddress, Reject,
    list::{Reader, piece},
    number::{FrameField, NodeField, TicketField},
    writer::Writer,
};
use crate::{DropReason, EdgeConfig, FrameId, FrameNumber, FrameOutcome, NodeId, Refusal, Ticket};

/// The state of an edge, as far as the gateway needs to know. Every heartbeat registers the edge anew, so a
/// restarted gateway needs nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat<'a> {
    /// The heartbeat's sequence number.
    pub seq: u32,
    /// The latest ticket from the gateway.
    pub ticket: Ticket,
    /// True when the edge has tasks to steal.
    pub has_work: bool,
    /// True when the edge will bring no more frames.
    pub no_more: bool,
    /// First frame that may still be in flight: all earlier frames have ended.
    pub floor: FrameNumber,
    /// Number of the next frame, equal to the count of frames accepted so far.
    pub next: FrameNumber,
    /// Hash of the edge's plan.
    pub plan_hash: [u8; 32],
    /// Digest of the edge's model.
    pub model_digest: [u8; 32],
    /// Frames in flight, with numbers in `floor..next`.
    pub frames: &'a [FrameEntry],
    /// Nodes whose state the edge asks about.
    pub ask: &'a [NodeField],
}

/// The gateway's answer to a heartbeat. The gateway also sends a state unasked when a frame's state changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterState<'a> {
    /// The sequence number of the answered heartbeat; 0 when unasked.
    pub seq: u32,
    /// The gateway's decision on the receiver.
    pub verdict: Verdict,
    /// The ticket that the receiver's next heartbeat must show to register.
    pub ticket: Ticket,
    /// True when another living node asks to take part under the receiver's id.
    pub contested: bool,
    /// True when any node has tasks to steal.
    pub work: bool,
    /// States of the receiver's frames.
    pub frames: &'a [FrameStatusEntry],
    /// States of other nodes.
    pub nodes: &'a [NodeStatusEntry],
}

/// The gateway's decision on whether a node takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The node takes part.
    Welcome,
    /// The node is not registered: the next heartbeat should show the ticket.
    Register,
    /// Another process has the id and may be alive: the node should ask again.
    Wait,
    /// The node may not take part.
    Refused(Refusal),
}

/// The state of a frame at the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameStatus {
    /// The gateway has noted the frame and has no slots for the frame's results yet.
    Waiting,
    /// The gateway accepts results.
    Open,
    /// The frame has its record.
    Over(FrameOutcome),
}

/// The decoded content of a [`NodeStatusEntry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// The node's id, incarnation and last known address.
    pub node: PeerAddress,
    /// True when the node is alive.
    pub alive: bool,
    /// First frame of this incarnation that may still be in flight: all earlier frames have ended.
    pub floor: FrameNumber,
    /// Bit `i` is set when frame `floor + i` has ended.
    pub ended: u64,
}

piece! {
    /// Body of [`Heartbeat`].
    RawHeartbeat {
        seq: U32,
        ticket: TicketField,
        flags: u8,
        frames: u8,
        ask: u8,
        pad: u8,
        floor: FrameField,
        next: FrameField,
        plan_hash: [u8; 32],
        model_digest: [u8; 32],
    }
}

piece! {
    /// Body of [`ClusterState`].
    RawClusterState {
        seq: U32,
        ticket: TicketField,
        verdict: u8,
        frames: u8,
        nodes: u8,
        flags: u8,
    }
}

const HAS_WORK: u8 = 1;
const NO_MORE: u8 = 2;

const WORK: u8 = 1;
const CONTESTED: u8 = 2;

impl Verdict {
    const fn to_wire(self) -> u8 {
        match self {
            Self::Welcome => 0,
            Self::Refused(Refusal::Plan) => 1,
            Self::Refused(Refusal::Model) => 2,
            Self::Refused(Refusal::IdInUse) => 3,
            Self::Refused(Refusal::BadId) => 4,
            Self::Register => 5,
            Self::Wait => 6,
        }
    }

    const fn from_wire(v: u8) -> Option<Self> {
        Some(match v {
            0 => Self::Welcome,
            1 => Self::Refused(Refusal::Plan),
            2 => Self::Refused(Refusal::Model),
            3 => Self::Refused(Refusal::IdInUse),
            4 => Self::Refused(Refusal::BadId),
            5 => Self::Register,
            6 => Self::Wait,
            _ => return None,
        })
    }
}

impl FrameStatus {
    const fn to_wire(self) -> u8 {
        match self {
            Self::Waiting => 0,
            Self::Open => 1,
            Self::Over(FrameOutcome::Detections) => 2,
            Self::Over(FrameOutcome::Dropped(DropReason::SourceLost)) => 3,
            Self::Over(FrameOutcome::Dropped(DropReason::TaskFailed)) => 4,
            Self::Over(FrameOutcome::Dropped(DropReason::TailFailed)) => 5,
        }
    }

    const fn from_wire(v: u8) -> Option<Self> {
        Some(match v {
            0 => Self::Waiting,
            1 => Self::Open,
            2 => Self::Over(FrameOutcome::Detections),
            3 => Self::Over(FrameOutcome::Dropped(DropReason::SourceLost)),
            4 => Self::Over(FrameOutcome::Dropped(DropReason::TaskFailed)),
            5 => Self::Over(FrameOutcome::Dropped(DropReason::TailFailed)),
            _ => return None,
        })
    }
}

impl FrameStatusEntry {
    /// Encodes a frame's state.
    pub fn new(number: FrameNumber, stand: FrameStatus, opened: u16) -> Self {
        Self {
            number: number.into(),
            stand: stand.to_wire(),
            pad: 0,
            opened: opened.into(),
        }
    }

    /// Decodes the frame's state. [`super::parse`] rejects values without a meaning.
    pub fn status(&self) -> FrameStatus {
        FrameStatus::from_wire(self.stand).unwrap_or(FrameStatus::Waiting)
    }
}

impl NodeStatusEntry {
    /// Encodes a node's state.
    pub fn new(b: NodeStatus) -> Self {
        Self {
            node: b.node,
            alive: b.alive.into(),
            pad: [0; 3],
            floor: b.floor.into(),
            ended: b.ended.into(),
        }
    }

    /// Decodes the node's state.
    pub fn status(&self) -> NodeStatus {
        NodeStatus {
            node: self.node,
            alive: self.alive != 0,
            floor: self.floor.get(),
            ended: self.ended.get(),
        }
    }
}

impl NodeStatus {
    /// True when frame `id` belongs to this incarnation and is over: the frame has ended or the incarnation is dead.
    pub fn over(&self, id: FrameId) -> bool {
        if (self.node.id(), self.node.incarnation()) != (id.source, id.incarnation) {
            return false;
        }
        if !self.alive {
            return true;
        }
        match id.number.since(self.floor) {
            None => true,
            Some(i) => i < u64::BITS && self.ended >> i & 1 == 1,
        }
    }
}

impl<'a> Heartbeat<'a> {
    /// Most nodes asked about in one heartbeat.
    pub const ASKED_MAX: usize = 8;
    /// All frames in flight have numbers less than this many above the oldest.
    pub const WINDOW: u32 = u64::BITS;

    pub(super) fn read(mut r: Reader<'a>) -> Result<Self, Reject> {
        let raw = r.piece::<RawHeartbeat>()?;
        let frames: &[FrameEntry] = r.list(raw.frames.into(), EdgeConfig::FRAMES_MAX)?;
        let ask = r.list(raw.ask.into(), Self::ASKED_MAX)?;
        r.end()?;
        let (floor, next) = (raw.floor.get(), raw.next.get());
        let known = raw.flags & !(HAS_WORK | NO_MORE) == 0;
        if !known || next.since(floor).is_none_or(|n| n > Self::WINDOW) {
            return Err(Reject::Value);
        }
        if !frames
            .iter()
            .all(|f| (floor..next).contains(&f.number.get()))
        {
            return Err(Reject::Id);
        }
        if !frames.iter().all(FrameEntry::is_sound) {
            return Err(Reject::Value);
        }
        Ok(Self {
            seq: raw.seq.get(),
            ticket: raw.ticket.get(),
            has_work: raw.flags & HAS_WORK != 0,
            no_more: raw.flags & NO_MORE != 0,
            floor,
            next,
            plan_hash: raw.plan_hash,
            model_digest: raw.model_digest,
            frames,
            ask,
        })
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.piece(&RawHeartbeat {
            seq: self.seq.into(),
            ticket: self.ticket.into(),
            flags: u8::from(self.has_work) * HAS_WORK + u8::from(self.no_more) * NO_MORE,
            frames: self.frames.len() as u8,
            ask: self.ask.len() as u8,
            pad: 0,
            floor: self.floor.into(),
            next: self.next.into(),
            plan_hash: self.plan_hash,
            model_digest: self.model_digest,
        });
        w.list(self.frames, EdgeConfig::FRAMES_MAX);
        w.list(self.ask, Self::ASKED_MAX);
    }

    /// The ids of the nodes asked about.
    pub fn asked(&self) -> impl Iterator<Item = NodeId> + use<'a> {
        self.ask.iter().map(|id| id.get())
    }
}

impl<'a> ClusterState<'a> {
    /// Most nodes in one state.
    pub const NODES_MAX: usize = Heartbeat::ASKED_MAX;

    pub(super) fn read(mut r: Reader<'a>) -> Result<Self, Reject> {
        let raw = r.piece::<RawClusterState>()?;
        let frames: &[FrameStatusEntry] = r.list(raw.frames.into(), EdgeConfig::FRAMES_MAX)?;
        let nodes = r.list(raw.nodes.into(), Self::NODES_MAX)?;
        r.end()?;
        let known = raw.flags & !(WORK | CONTESTED) == 0;
        let stands = |f: &FrameStatusEntry| FrameStatus::from_wire(f.stand).is_some();
        if !known || !frames.iter().all(stands) {
            return Err(Reject::Value);
        }
        Ok(Self {
            seq: raw.seq.get(),
            verdict: Verdict::from_wire(raw.verdict).ok_or(Reject::Value)?,
            ticket: raw.ticket.get(),
            contested: raw.flags & CONTESTED != 0,
            work: raw.flags & WORK != 0,
            frames,
            nodes,
        })
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.piece(&RawClusterState {
            seq: self.seq.into(),
            ticket: self.ticket.into(),
            verdict: self.verdict.to_wire(),
            frames: self.frames.len() as u8,
            nodes: self.nodes.len() as u8,
            flags: u8::from(self.work) * WORK + u8::from(self.contested) * CONTESTED,
        });
        w.list(self.frames, EdgeConfig::FRAMES_MAX);
        w.list(self.nodes, Self::NODES_MAX);
    }
}
