//! Bodies between an observer and the gateway: records and metrics, as streams of bytes.
//!
//! An observer asks for bytes from an offset on, and gets some of them. It keeps what it has and asks for what follows, so
//! that nothing need be acknowledged. Both bodies are for shells: the state machines take no part.

use zerocopy::little_endian::{U32, U64};

use super::{
    Reject,
    header::HEADER_BYTES,
    list::{Reader, piece},
    writer::Writer,
};
use crate::TransferConfig;

/// What an observer may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watched {
    /// Records of frames, one JSON line each: the last ones of the gateway's process, and all that follow.
    Records,
    /// What the gateway counts: one JSON line, as it was at one time.
    Metrics,
}

/// A question of an observer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Of what.
    pub what: Watched,
    /// Number of the text that the offset is in, as the gateway said; 0 for none yet.
    pub serial: u32,
    /// Offset of the first byte that the observer lacks.
    pub from: u64,
}

/// A part of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown<'a> {
    /// Of what.
    pub what: Watched,
    /// Number of the text. Metrics of another time are another text.
    pub serial: u32,
    /// Offset of the first byte that is kept.
    pub first: u64,
    /// Offset of these bytes.
    pub from: u64,
    /// Offset behind the last byte that there is.
    pub end: u64,
    /// The bytes.
    pub bytes: &'a [u8],
}

piece! {
    /// Body of [`Watch`].
    RawWatch {
        what: u8,
        pad: [u8; 3],
        serial: U32,
        from: U64,
    }
}

piece! {
    /// Body of [`Shown`], before its bytes.
    RawShown {
        what: u8,
        pad: [u8; 3],
        serial: U32,
        first: U64,
        from: U64,
        end: U64,
    }
}

impl Watched {
    const fn to_wire(self) -> u8 {
        match self {
            Self::Records => 0,
            Self::Metrics => 1,
        }
    }

    const fn from_wire(v: u8) -> Result<Self, Reject> {
        match v {
            0 => Ok(Self::Records),
            1 => Ok(Self::Metrics),
            _ => Err(Reject::Value),
        }
    }
}

impl Watch {
    pub(super) fn read(mut r: Reader<'_>) -> Result<Self, Reject> {
        let raw = r.piece::<RawWatch>()?;
        r.end()?;
        Ok(Self {
            what: Watched::from_wire(raw.what)?,
            serial: raw.serial.get(),
            from: raw.from.get(),
        })
    }

    pub(super) fn write(self, w: &mut Writer<'_>) {
        w.piece(&RawWatch {
            what: self.what.to_wire(),
            pad: [0; 3],
            serial: self.serial.into(),
            from: self.from.into(),
        });
    }
}

impl<'a> Shown<'a> {
    /// Most bytes of one part.
    pub const BYTES_MAX: usize =
        TransferConfig::DATAGRAM_BYTES_MAX - HEADER_BYTES - size_of::<RawShown>();

    pub(super) fn read(mut r: Reader<'a>) -> Result<Self, Reject> {
        let raw = r.piece::<RawShown>()?;
        let (from, end) = (raw.from.get(), raw.end.get());
        let bytes = r.rest();
        let fits = from
            .checked_add(bytes.len() as u64)
            .is_some_and(|to| to <= end);
        if !fits || raw.first.get() > from {
            return Err(Reject::Range);
        }
        Ok(Self {
            what: Watched::from_wire(raw.what)?,
            serial: raw.serial.get(),
            first: raw.first.get(),
            from,
            end,
            bytes,
        })
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.piece(&RawShown {
            what: self.what.to_wire(),
            pad: [0; 3],
            serial: self.serial.into(),
            first: self.first.into(),
            from: self.from.into(),
            end: self.end.into(),
        });
        w.list(self.bytes, Self::BYTES_MAX);
    }
}
