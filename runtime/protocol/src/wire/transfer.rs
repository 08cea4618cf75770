//! Bodies of transfers. The receiver leads: every request names the object, the box, and which
//! chunks of it are wanted, so a sender need not remember anything.

use zerocopy::little_endian::{U16, U32};

use super::{
    ChunkRange, RawRegion, Reject,
    list::{Reader, key_from_wire, key_to_wire, piece},
    number::{FrameField, IncarnationField, NodeField, PullField, TaskField},
    writer::Writer,
};
use crate::{FrameId, ObjectId, ProgramInfo, PullId, TransferConfig};
use tessera_plan::{plan::ElementType, region::Region};

/// Chunks of a box that are wanted. A box travels packed, row by row, in chunks of `chunk_bytes`
/// of which the last may be shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The receiver's number of the transfer; comes back with every chunk.
    pub pull: PullId,
    /// What is wanted.
    pub object: ObjectId,
    /// Which box of it; not empty, inside the object's.
    pub region: Region,
    /// How the object's values are stored. Both sides know it from the plan; it does not travel.
    pub element: ElementType,
    /// Size of a chunk: a multiple of 4, at most [`TransferConfig::CHUNK_BYTES_MAX`].
    pub chunk_bytes: u16,
    /// Chunks that may be sent now.
    pub ranges: &'a [ChunkRange],
}

/// A chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data<'a> {
    /// The transfer.
    pub pull: PullId,
    /// First byte in the packed box; a multiple of 4.
    pub offset: u32,
    /// Values as the object stores them, little-endian.
    pub bytes: &'a [u8],
}

piece! {
    /// Body of [`Request`].
    RawRequest {
        pull: PullField,
        number: FrameField,
        incarnation: IncarnationField,
        source: NodeField,
        output: U16,
        task: TaskField,
        chunk_bytes: U16,
        ranges: u8,
        pad: u8,
        region: RawRegion,
    }
}

piece! {
    /// Body of [`Data`].
    RawData {
        pull: PullField,
        offset: U32,
    }
}

/// Chunks of a packed box.
pub(crate) fn chunks_of(region: Region, element: ElementType, chunk_bytes: usize) -> u32 {
    // A region holds at most 2^26 values.
    (region.len() * element.bytes()).div_ceil(chunk_bytes) as u32
}

impl<'a> Request<'a> {
    /// Most ranges at once.
    pub const RANGES_MAX: usize = 64;

    pub(super) fn read(mut r: Reader<'a>, info: &ProgramInfo) -> Result<Self, Reject> {
        let raw = r.piece::<RawRequest>()?;
        let ranges: &[ChunkRange] = r.list(raw.ranges.into(), Self::RANGES_MAX)?;
        r.end()?;
        let key = key_from_wire(raw.task.get(), raw.output.get(), info)?;
        let region = raw.region.region();
        let port = info.port(key).ok_or(Reject::Id)?;
        let (whole, element) = (port.region, info.tensors[port.tensor as usize].element);
        if region.is_empty() || !whole.contains(region) {
            return Err(Reject::Range);
        }
        let chunk_bytes = raw.chunk_bytes.get();
        let size = usize::from(chunk_bytes);
        if size == 0 || !size.is_multiple_of(4) || size > TransferConfig::CHUNK_BYTES_MAX {
            return Err(Reject::Value);
        }
        let chunks = chunks_of(region, element, size);
        let inside = |r: &ChunkRange| {
            let end = r.start.get().checked_add(r.count.get());
            r.count.get() > 0 && end.is_some_and(|end| end <= chunks)
        };
        if !ranges.iter().all(inside) {
            return Err(Reject::Range);
        }
        Ok(Self {
            pull: raw.pull.get(),
            object: ObjectId {
                frame: FrameId {
                    source: raw.source.get(),
                    incarnation: raw.incarnation.get(),
                    number: raw.number.get(),
                },
                key,
            },
            region,
            element,
            chunk_bytes,
            ranges,
        })
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        let (task, output) = key_to_wire(self.object.key);
        let frame = self.object.frame;
        w.piece(&RawRequest {
            pull: self.pull.into(),
            number: frame.number.into(),
            incarnation: frame.incarnation.into(),
            source: frame.source.into(),
            output: output.into(),
            task: task.into(),
            chunk_bytes: self.chunk_bytes.into(),
            ranges: self.ranges.len() as u8,
            pad: 0,
            region: RawRegion::new(self.region),
        });
        w.list(self.ranges, Self::RANGES_MAX);
    }
}

impl<'a> Data<'a> {
    pub(super) fn read(mut r: Reader<'a>) -> Result<Self, Reject> {
        let raw = r.piece::<RawData>()?;
        let (pull, offset) = (raw.pull.get(), raw.offset.get());
        let bytes = r.rest();
        if bytes.is_empty() || bytes.len() > TransferConfig::CHUNK_BYTES_MAX {
            return Err(Reject::Length);
        }
        if !offset.is_multiple_of(4) {
            return Err(Reject::Value);
        }
        Ok(Self {
            pull,
            offset,
            bytes,
        })
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.piece(&RawData {
            pull: self.pull.into(),
            offset: self.offset.into(),
        });
        w.bytes(self.bytes);
    }
}
