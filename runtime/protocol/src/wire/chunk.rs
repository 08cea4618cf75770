//! Chunks of objects: the datagrams that nearly all bytes travel in, so their header is short.
//!
//! ```text
//!  0      1     2      4     8      12       16
//!  | mark | ver | from | sum | pull | offset | values ...
//! ```
//!
//! Both ends of a pull know the plan and each other's incarnations. These do not travel; they go into the checksum, as
//! addresses go into UDP's. So a chunk between other processes, or of another plan, has a wrong sum. Only the receiver's
//! state tells which processes a pull is between: [`Data::check`] is asked where that is known.

use zerocopy::little_endian::{U16, U32};

use super::{
    Envelope, Reject, VERSION,
    list::{Reader, piece},
    number::PullField,
    sum::Sum,
    writer::Writer,
};
use crate::{Incarnation, NodeId, PullId, TransferConfig};

/// The first byte of a chunk's datagram. All others begin with [`super::MAGIC`].
pub const CHUNK_MARK: u8 = 0xd5;

piece! {
    /// The header of a chunk's datagram.
    RawChunk {
        mark: u8,
        version: u8,
        from: U16,
        sum: U32,
        pull: PullField,
        offset: U32,
    }
}

const SUM: std::ops::Range<usize> = 4..8;

const _: () = assert!(size_of::<RawChunk>() == TransferConfig::CHUNK_HEAD_BYTES);

/// One chunk of a packed box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data<'a> {
    /// The receiver's number of the transfer.
    pub pull: PullId,
    /// Byte offset of the chunk in the packed box; a multiple of 4.
    pub offset: u32,
    /// Little-endian values of the object's element type.
    pub bytes: &'a [u8],
    /// The checksum, as it stands in the datagram.
    pub sum: u32,
}

impl<'a> Data<'a> {
    /// A chunk between these processes.
    pub fn new(envelope: &Envelope, pull: PullId, offset: u32, bytes: &'a [u8]) -> Self {
        let raw = RawChunk::new(envelope.from, pull, offset);
        let sum = raw.sum(envelope, bytes);
        Self {
            pull,
            offset,
            bytes,
            sum,
        }
    }

    /// Reads a datagram that begins with [`CHUNK_MARK`]. Of the envelope, only the sender's id is known; the plan is taken
    /// to be `plan`, until [`Data::check`].
    pub(super) fn read(datagram: &'a [u8], plan: u32) -> Result<(Envelope, Self), Reject> {
        let mut r = Reader::new(datagram);
        let raw = r.piece::<RawChunk>()?;
        if raw.version != VERSION {
            return Err(Reject::Version);
        }
        let bytes = r.rest();
        if bytes.is_empty() || bytes.len() > TransferConfig::CHUNK_BYTES_MAX {
            return Err(Reject::Length);
        }
        let offset = raw.offset.get();
        if !offset.is_multiple_of(4) {
            return Err(Reject::Value);
        }
        let envelope = Envelope {
            from: NodeId(raw.from.get()),
            incarnation: Incarnation(0),
            to_incarnation: None,
            plan,
        };
        let data = Self {
            pull: raw.pull.get(),
            offset,
            bytes,
            sum: raw.sum.get(),
        };
        Ok((envelope, data))
    }

    pub(super) fn write(&self, from: NodeId, w: &mut Writer<'_>) {
        let mut raw = RawChunk::new(from, self.pull, self.offset);
        raw.sum = self.sum.into();
        w.piece(&raw);
        w.bytes(self.bytes);
    }

    /// Checks that the chunk travelled between these processes of this plan, and arrived as it was sent.
    ///
    /// # Errors
    /// [`Reject::Sum`] if not.
    pub fn check(&self, envelope: &Envelope) -> Result<(), Reject> {
        let raw = RawChunk::new(envelope.from, self.pull, self.offset);
        let sound = raw.sum(envelope, self.bytes) == self.sum;
        sound.then_some(()).ok_or(Reject::Sum)
    }
}

impl RawChunk {
    fn new(from: NodeId, pull: PullId, offset: u32) -> Self {
        Self {
            mark: CHUNK_MARK,
            version: VERSION,
            from: from.0.into(),
            sum: 0.into(),
            pull: pull.into(),
            offset: offset.into(),
        }
    }

    fn sum(&self, envelope: &Envelope, bytes: &[u8]) -> u32 {
        let to = envelope.to_incarnation.map_or(0, |i| i.0);
        let ends = [envelope.incarnation.0, to, u64::from(envelope.plan)];
        let fields = [
            u64::from(self.from.get()) << 32 | u64::from(self.pull.get().0),
            u64::from(self.offset.get()) << 32 | bytes.len() as u64,
        ];
        let all = ends.into_iter().chain(fields);
        all.fold(Sum::default(), Sum::word).bytes(bytes).end()
    }
}

/// Begins a chunk's datagram in `out`, in place of what was there. The caller appends the values, and calls [`seal_chunk`].
pub(crate) fn open_chunk(from: NodeId, pull: PullId, offset: u32, out: &mut Vec<u8>) {
    out.clear();
    Writer::new(out).piece(&RawChunk::new(from, pull, offset));
}

/// Writes the checksum into a chunk's datagram, which travels as `envelope` says. A no-op for one that is too short.
pub fn seal_chunk(datagram: &mut [u8], envelope: &Envelope) {
    let Ok((_, data)) = Data::read(datagram, envelope.plan) else {
        return;
    };
    let sum = Data::new(envelope, data.pull, data.offset, data.bytes).sum;
    datagram[SUM].copy_from_slice(&sum.to_le_bytes());
}

/// The sender's id that a chunk's datagram says.
pub(super) fn chunk_sender(datagram: &[u8]) -> Option<NodeId> {
    let raw = Reader::new(datagram).piece::<RawChunk>().ok()?;
    (raw.mark == CHUNK_MARK).then(|| NodeId(raw.from.get()))
}
