//! What every datagram begins with, and why one is turned away.

use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    little_endian::{U32, U64},
};

use super::number::{IncarnationField, NodeField};
use crate::{Incarnation, NodeId, ProgramInfo};

/// First bytes of every datagram.
pub const MAGIC: [u8; 4] = *b"tsra";

/// Version of the datagrams' layout; a change of meaning or layout bumps it.
pub const VERSION: u8 = 2;

/// The first 32 bytes, as they travel.
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

/// Who speaks, to whom, about which plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The sender.
    pub from: NodeId,
    /// Which incarnation of the sender.
    pub incarnation: Incarnation,
    /// The incarnation of the receiver that is meant; `None` while the sender does not know it. Others
    /// must not take it for theirs.
    pub to_incarnation: Option<Incarnation>,
    /// First four bytes of the plan's hash.
    pub plan: u32,
}

/// The part of the plan's hash that every datagram carries.
pub fn plan_prefix(info: &ProgramInfo) -> u32 {
    let [a, b, c, d, ..] = info.plan_hash;
    u32::from_le_bytes([a, b, c, d])
}

/// Where the sum lies in a datagram.
const SUM: std::ops::Range<usize> = 28..32;

/// The sum of a datagram, its own field left out. UDP's has 16 bits, and not every adapter checks
/// it; a chunk with a wrong bit would be merged for good. This one is no secret and stops no liar.
fn sum(datagram: &[u8]) -> u32 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    // One-to-one in both arguments: a single changed word always changes the result.
    let step = |h: u64, word: u64| {
        let h = (h ^ word).wrapping_mul(ODD);
        h ^ h >> 29
    };
    let take = |h: u64, bytes: &[u8]| {
        let (words, rest) = bytes.as_chunks::<8>();
        let h = (words.iter()).fold(h, |h, w| step(h, u64::from_le_bytes(*w)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        step(h, u64::from_le_bytes(last))
    };
    let h = take(datagram.len() as u64, &datagram[..SUM.start]);
    let h = take(h, &datagram[SUM.end..]);
    (h ^ h >> 32) as u32
}

/// Writes the sum into a complete datagram.
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
    /// Checks what does not depend on the kind.
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

/// Why a datagram was ignored. None of these is an error: anybody can send anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reject {
    /// Shorter than its header and body, or longer than any datagram.
    Length,
    /// Another protocol's.
    Magic,
    /// Another version's.
    Version,
    /// Damaged on the way.
    Sum,
    /// A kind that does not exist.
    MessageKind,
    /// Another plan's.
    Plan,
    /// A list is longer than its bound, or than the datagram.
    Count,
    /// A task, tensor, part or node that does not exist.
    Id,
    /// A box, or a range of chunks, that leaves what it is a part of.
    Range,
    /// A field has a value without a meaning.
    Value,
    /// From before what is known already, or from a process that is not the node's present one.
    Stale,
    /// Meant for another incarnation of this node.
    OtherIncarnation,
    /// A kind that this role does not take, or an answer to nothing that was asked.
    Unexpected,
    /// From a node that is not registered.
    Stranger,
}

impl Reject {
    /// All of them, in the order of [`Reject::index`].
    pub const ALL: [Self; 14] = [
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
    ];

    /// Place in [`Reject::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// As counters name it.
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
        }
    }
}
