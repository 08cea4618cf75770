//! Bodies of transfers. The receiver leads: every request names the object, the box, and the wanted
//! chunks, so a holder need not remember anything.

use zerocopy::little_endian::{U16, U32};

use super::{
    ChunkRange, RawRegion, Reject,
    list::{Reader, key_from_wire, key_to_wire, piece},
    number::{FrameField, IncarnationField, NodeField, PullField, TaskField},
    writer::Writer,
};
use crate::{FrameId, ObjectId, ProgramInfo, PullId, TransferConfig};
use tessera_plan::{element::ElementType, region::Region};

/// A request for chunks of a box. A box travels packed, row by row, in chunks of `chunk_bytes` bytes;
/// the last chunk may be shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The receiver's number of the transfer; every chunk carries the number.
    pub pull: PullId,
    /// The wanted object.
    pub object: ObjectId,
    /// The wanted box, not empty and inside the object's box.
    pub region: Region,
    /// The object's element type. Both sides take the type from the plan; the datagram does not contain it.
    pub element: ElementType,
    /// The run of which the sender has chunks; [`NO_RUN`] while it has none, or none of a run that went on.
    pub run: u32,
    /// Bytes per chunk: a multiple of 4, at most [`TransferConfig::CHUNK_BYTES_MAX`].
    pub chunk_bytes: u16,
    /// Chunks that the holder may send now: no more than the box has.
    pub ranges: &'a [ChunkRange],
}

/// The number of no run. A run is one computation of a task by one process.
pub const NO_RUN: u32 = 0;

/// How far an object has come that is being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Later {
    /// The receiver's number of the transfer.
    pub pull: PullId,
    /// The run that makes the object; [`NO_RUN`] while nothing is made.
    pub run: u32,
    /// Number of chunks of the box that are made, with all chunks before them; 0 without a run.
    pub chunks: u32,
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
        run: U32,
        region: RawRegion,
    }
}

piece! {
    /// Body of [`Later`].
    RawLater {
        pull: PullField,
        run: U32,
        chunks: U32,
    }
}

/// Number of chunks of a packed box.
pub(crate) fn chunks_of(region: Region, element: ElementType, chunk_bytes: usize) -> u32 {
    // A region holds at most 2^26 values.
    (region.len() * element.bytes()).div_ceil(chunk_bytes) as u32
}

impl<'a> Request<'a> {
    /// Most ranges in one request.
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
        // A request asks for each chunk once: what it costs the holder is at most the box.
        let wanted = ranges.iter().map(|r| u64::from(r.count.get()));
        if !ranges.iter().all(inside) || wanted.sum::<u64>() > u64::from(chunks) {
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
            run: raw.run.get(),
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
            run: self.run.into(),
            region: RawRegion::new(self.region),
        });
        w.list(self.ranges, Self::RANGES_MAX);
    }
}

impl Later {
    pub(super) fn read(mut r: Reader<'_>) -> Result<Self, Reject> {
        let raw = r.piece::<RawLater>()?;
        r.end()?;
        let (run, chunks) = (raw.run.get(), raw.chunks.get());
        if (run == NO_RUN) != (chunks == 0) {
            return Err(Reject::Value);
        }
        Ok(Self {
            pull: raw.pull.get(),
            run,
            chunks,
        })
    }

    pub(super) fn write(self, w: &mut Writer<'_>) {
        w.piece(&RawLater {
            pull: self.pull.into(),
            run: self.run.into(),
            chunks: self.chunks.into(),
        });
    }
}
