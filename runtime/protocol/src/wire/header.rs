//! The header of every datagram, and the reasons for rejecting a datagram.

use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    little_endian::{U32, U64},
};

use super::{
    number::{IncarnationField, NodeField},
    sum::Sum,
};
use crate::{Incarnation, NodeId, ProgramInfo};

/// The first four bytes of every datagram.
pub const MAGIC: [u8; 4] = *b"tsra";

/// Version of the datagrams' layout; bumped by a change of meaning or layout.
pub const VERSION: u8 = 8;

/// The first 32 bytes of a datagram, in wire format; chunks have a shorter header ([`super::Data`]).
///
/// ```text
///  0        4   5    6      8            16           24     28     32
///  | magic  |ver|kind| from | from incn. | to incn.   | plan | sum  | body ...
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct RawHeader {
    pub magic: [u8; 4],
    pub version: u8,
    pub kind: u8,
    pub from: NodeField,
    pub incarnation: IncarnationField,
    pub to_incarnation: U64,
    pub plan: U32,
    pub sum: U32,
}

/// Bytes of the header.
pub(super) const HEADER_BYTES: usize = size_of::<RawHeader>();

/// The header's sender, receiver and plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The sender's id.
    pub from: NodeId,
    /// The sender's incarnation; 0 of a chunk, which does not say it.
    pub incarnation: Incarnation,
    /// The receiver's incarnation; `None` while the sender does not know the incarnation, and of a chunk. Any other incarnation
    /// must reject the datagram.
    pub to_incarnation: Option<Incarnation>,
    /// First four bytes of the plan's hash.
    pub plan: u32,
}

/// The four bytes of the plan's hash that every datagram carries.
pub fn plan_prefix(info: &ProgramInfo) -> u32 {
    let [a, b, c, d, ..] = info.plan_hash;
    u32::from_le_bytes([a, b, c, d])
}

/// Byte range of the checksum in a datagram.
const SUM: std::ops::Range<usize> = 28..32;

/// The checksum of a datagram, without the checksum field itself.
fn sum(datagram: &[u8]) -> u32 {
    let h = Sum::default().word(datagram.len() as u64);
    let h = h.bytes(&datagram[..SUM.start]);
    h.bytes(&datagram[SUM.end..]).end()
}

/// Writes the checksum into a complete datagram, other than a chunk's.
pub fn seal(datagram: &mut [u8]) {
    let sum = sum(datagram);
    datagram[SUM].copy_from_slice(&sum.to_le_bytes());
}

impl Envelope {
    pub(super) fn raw(self, kind: u8) -> RawHeader {
        RawHeader {
            magic: MAGIC,
            version: VERSION,
            kind,
            from: self.from.into(),
            incarnation: self.incarnation.into(),
            to_incarnation: self.to_incarnation.map_or(0, |e| e.0).into(),
            plan: self.plan.into(),
            sum: 0.into(),
        }
    }
}

impl RawHeader {
    /// Checks everything that does not depend on the kind.
    pub(super) fn open(&self, datagram: &[u8]) -> Result<Envelope, Reject> {
        if self.magic != MAGIC {
            return Err(Reject::Magic);
        }
        if self.version != VERSION {
            return Err(Reject::Version);
        }
        if self.sum.get() != sum(datagram) {
            return Err(Reject::Sum);
        }
        if self.incarnation.get().0 == 0 {
            return Err(Reject::Value);
        }
        Ok(Envelope {
            from: self.from.get(),
            incarnation: self.incarnation.get(),
            to_incarnation: Some(self.to_incarnation.get())
                .filter(|&e| e != 0)
                .map(Incarnation),
            plan: self.plan.get(),
        })
    }
}

/// Why a datagram was ignored. No reason is an error of this node: anybody can send anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reject {
    /// The datagram is shorter than its header and body, or longer than any valid datagram.
    Length,
    /// The magic bytes belong to another protocol.
    Magic,
    /// The datagram has another version of the layout.
    Version,
    /// The checksum is wrong: the datagram was damaged on the way.
    Sum,
    /// The kind does not exist.
    MessageKind,
    /// The sender runs another plan.
    Plan,
    /// A list is longer than its bound, or longer than the datagram.
    Count,
    /// A task, tensor, part or node does not exist.
    Id,
    /// A box, or a range of chunks, leaves the object or box that contains it.
    Range,
    /// A field has a value without a meaning.
    Value,
    /// The datagram is older than known state, or comes from a process that is not the node's present one.
    Stale,
    /// The datagram is meant for another incarnation of this node.
    OtherIncarnation,
    /// This role does not accept the kind, or the datagram answers no open request.
    Unexpected,
    /// The sender is not registered.
    Stranger,
    /// The sender's role does not allow it.
    Role,
}

impl Reject {
    /// All reasons, in the order of [`Reject::index`].
    pub const ALL: [Self; 15] = [
        Self::Length,
        Self::Magic,
        Self::Version,
        Self::Sum,
        Self::MessageKind,
        Self::Plan,
        Self::Count,
        Self::Id,
        Self::Range,
        Self::Value,
        Self::Stale,
        Self::OtherIncarnation,
        Self::Unexpected,
        Self::Stranger,
        Self::Role,
    ];

    /// The reason's index in [`Reject::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The reason's name in counters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::Magic => "magic",
            Self::Version => "version",
            Self::Sum => "sum",
            Self::MessageKind => "kind",
            Self::Plan => "plan",
            Self::Count => "count",
            Self::Id => "id",
            Self::Range => "range",
            Self::Value => "value",
            Self::Stale => "stale",
            Self::OtherIncarnation => "other_incarnation",
            Self::Unexpected => "unexpected",
            Self::Stranger => "stranger",
            Self::Role => "role",
        }
    }
}
