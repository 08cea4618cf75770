//! What every datagram begins with, and why one is turned away.

use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    little_endian::{U16, U64},
};

use crate::proto::{Epoch, NodeId, ProgramInfo};

/// First bytes of every datagram.
pub const MAGIC: [u8; 4] = *b"tsra";

/// Version of the datagrams' layout; a change of meaning or layout bumps it.
pub const VERSION: u8 = 1;

/// The first 32 bytes, as they travel.
///
/// ```text
///  0        4   5    6      8            16           24           32
///  | magic  |ver|kind| from | from epoch | to epoch   | plan       | body ...
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct RawHeader {
    pub magic: [u8; 4],
    pub version: u8,
    pub kind: u8,
    pub from: U16,
    pub epoch: U64,
    pub to_epoch: U64,
    pub plan: U64,
}

/// Who speaks, to whom, about which plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The sender.
    pub from: NodeId,
    /// Which life of the sender.
    pub epoch: Epoch,
    /// The life of the receiver that is meant; `None` while the sender does not know it. Later
    /// lives must not take it for theirs.
    pub to_epoch: Option<Epoch>,
    /// First eight bytes of the plan's hash.
    pub plan: u64,
}

/// The part of the plan's hash that every datagram carries.
pub fn plan_prefix(info: &ProgramInfo) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&info.plan_hash[..8]);
    u64::from_le_bytes(first)
}

impl Envelope {
    pub(super) fn raw(self, kind: u8) -> RawHeader {
        RawHeader {
            magic: MAGIC,
            version: VERSION,
            kind,
            from: self.from.0.into(),
            epoch: self.epoch.0.into(),
            to_epoch: self.to_epoch.map_or(0, |e| e.0).into(),
            plan: self.plan.into(),
        }
    }
}

impl RawHeader {
    /// Checks what does not depend on the kind.
    pub(super) fn open(&self) -> Result<Envelope, Reject> {
        if self.magic != MAGIC {
            return Err(Reject::Magic);
        }
        if self.version != VERSION {
            return Err(Reject::Version);
        }
        if self.epoch.get() == 0 {
            return Err(Reject::Value);
        }
        Ok(Envelope {
            from: NodeId(self.from.get()),
            epoch: Epoch(self.epoch.get()),
            to_epoch: Some(self.to_epoch.get()).filter(|&e| e != 0).map(Epoch),
            plan: self.plan.get(),
        })
    }
}

/// Why a datagram was ignored. None of these is an error: anybody can send anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reject {
    /// Shorter than its header and body, or longer than any datagram.
    Length,
    /// Another protocol's.
    Magic,
    /// Another version's.
    Version,
    /// A kind that does not exist.
    Kind,
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
    /// An earlier life of the sender sent it.
    Stale,
    /// Meant for another life of this node.
    OtherLife,
    /// A kind that this role does not take, or an answer to nothing that was asked.
    Unexpected,
    /// From a node that is not registered.
    Stranger,
}

impl Reject {
    /// All of them, in the order of [`Reject::index`].
    pub const ALL: [Self; 13] = [
        Self::Length,
        Self::Magic,
        Self::Version,
        Self::Kind,
        Self::Plan,
        Self::Count,
        Self::Id,
        Self::Range,
        Self::Value,
        Self::Stale,
        Self::OtherLife,
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
            Self::Kind => "kind",
            Self::Plan => "plan",
            Self::Count => "count",
            Self::Id => "id",
            Self::Range => "range",
            Self::Value => "value",
            Self::Stale => "stale",
            Self::OtherLife => "other_life",
            Self::Unexpected => "unexpected",
            Self::Stranger => "stranger",
        }
    }
}
