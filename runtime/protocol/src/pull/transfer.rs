//! The state of one transfer: arrived and wanted chunks.

use std::collections::VecDeque;

use super::{bitmap::Bitmap, path::Path};
use crate::{
    Micros, ObjectId, PullId,
    peer::Peer,
    store::SlotId,
    wire::{ChunkRange, NO_RUN, Request, chunks_of},
};
use tessera_plan::{element::ElementType, region::Region};

/// The place that a pulled box is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The slot that receives the box.
    pub slot: SlotId,
    /// The packed box in the slot, which contains the pulled box.
    pub region: Region,
    /// The element type of the values.
    pub element: ElementType,
}

/// A transfer of one box.
#[derive(Debug)]
pub struct Pull<T> {
    /// The caller's tag for the pull.
    pub tag: T,
    /// The node that is asked for chunks.
    pub holder: Peer,
    /// The object that contains the box.
    pub object: ObjectId,
    /// The pulled box.
    pub region: Region,
    /// The destination of the box.
    pub destination: Destination,
    /// Bytes per chunk.
    pub chunk_bytes: usize,
    /// The set of arrived chunks.
    pub got: Bitmap,
    /// First chunk that has not arrived.
    front: u32,
    chunks: u32,
    /// First chunk never requested.
    fresh: u32,
    /// Chunks to request again.
    again: VecDeque<u32>,
    /// Chunks to request once more, right behind a repeated request of them.
    copies: VecDeque<u32>,
    /// True when the pull stands in a path's queue of pulls with chunks to request.
    pub queued: bool,
    /// True when the pull has requested at least one chunk.
    pub begun: bool,
    /// Number of repeated chunks without a second copy so far.
    pub repeated: u32,
    /// Number of chunks that were requested twice at a time, and of which one has come.
    pub copied: u32,
    /// True when no core waits for the box: it is fetched ahead.
    pub ahead: bool,
    /// True when the object may not be made yet.
    pub early: bool,
    /// The run that makes the object, and of which chunks are here.
    pub run: u32,
    /// Of an early object: number of chunks that are known to be made, with all before them.
    pub made: u32,
    /// When to ask again for an object that the holder does not have yet.
    pub deferred_until_us: Option<Micros>,
    /// How often the holder knew nothing of an object that should be made there.
    pub unknown: u8,
}

impl<T> Pull<T> {
    /// A pull that has requested nothing yet.
    pub fn new(
        tag: T,
        holder: Peer,
        object: ObjectId,
        region: Region,
        destination: Destination,
        chunk_bytes: usize,
    ) -> Self {
        let chunks = chunks_of(region, destination.element, chunk_bytes);
        Self {
            tag,
            holder,
            object,
            region,
            destination,
            chunk_bytes,
            got: Bitmap::new(chunks),
            front: 0,
            chunks,
            fresh: 0,
            again: VecDeque::new(),
            copies: VecDeque::new(),
            queued: true,
            begun: false,
            repeated: 0,
            copied: 0,
            ahead: false,
            early: false,
            run: NO_RUN,
            made: 0,
            deferred_until_us: None,
            unknown: 0,
        }
    }

    /// Notes an arrived chunk; false when the chunk had arrived before.
    pub fn arrived(&mut self, chunk: u32) -> bool {
        let fresh = self.got.set(chunk);
        while self.got.get(self.front) {
            self.front += 1;
        }
        fresh
    }

    /// Number of rows of the box that have arrived with all rows before them.
    pub fn rows(&self) -> usize {
        let bytes = (self.front as usize * self.chunk_bytes).min(self.bytes());
        bytes / (self.bytes() / self.region.h().max(1)).max(1)
    }

    /// Chunks that may be requested before it is known that they are made.
    const AHEAD_CHUNKS: u32 = 16;

    /// Number of chunks that may be requested by now.
    fn limit(&self) -> u32 {
        if self.early {
            self.chunks.min(self.made + Self::AHEAD_CHUNKS)
        } else {
            self.chunks
        }
    }

    /// Number of chunks of the box.
    pub const fn chunks(&self) -> u32 {
        self.chunks
    }

    /// Asks for the first chunk again that is not known to be made. The answer tells how many are; those of them that were
    /// requested are then waited for, and asked for again if they do not come.
    pub fn ask_one(&mut self) {
        self.deferred_until_us = None;
        if self.fresh > self.made && !self.again.contains(&self.made) {
            self.again.push_back(self.made);
        }
    }

    /// Asks for everything again, of an object of which nothing is known to be made.
    pub fn ask_anew(&mut self) {
        self.deferred_until_us = None;
        if self.made > 0 {
            self.fresh = self.fresh.min(self.made);
            return;
        }
        self.fresh = 0;
        self.forget_repeats();
        self.begun = false;
    }

    fn forget_repeats(&mut self) {
        self.again.clear();
        self.copies.clear();
        (self.repeated, self.copied) = (0, 0);
    }

    /// Chunks of a range that were requested and have not arrived.
    pub fn requested(&self, range: std::ops::Range<u32>) -> impl Iterator<Item = u32> {
        (range.start..range.end.min(self.fresh)).filter(|c| !self.got.get(*c))
    }

    /// Payload bytes of a chunk.
    pub fn chunk_len(&self, chunk: u32) -> usize {
        let left = self.bytes() - chunk as usize * self.chunk_bytes;
        left.min(self.chunk_bytes)
    }

    /// Restarts the pull with chunks of another size; chunks that had arrived come again.
    pub fn restart(&mut self, chunk_bytes: usize) {
        self.chunk_bytes = chunk_bytes;
        self.chunks = chunks_of(self.region, self.destination.element, chunk_bytes);
        self.got = Bitmap::new(self.chunks);
        self.front = 0;
        self.fresh = 0;
        self.made = 0;
        self.forget_repeats();
    }

    /// Size of the packed box in bytes.
    pub const fn bytes(&self) -> usize {
        self.region.len() * self.destination.element.bytes()
    }

    /// Number of chunks to request.
    pub fn wanted(&self) -> usize {
        let repeats = self.again.len() + self.copies.len();
        repeats + self.limit().saturating_sub(self.fresh) as usize
    }

    /// True when some wanted chunks were requested before.
    pub fn repeats(&self) -> bool {
        !(self.again.is_empty() && self.copies.is_empty())
    }

    /// Notes that a requested chunk has not arrived.
    pub fn miss(&mut self, chunk: u32) {
        // Of two requests at a time, both may have got lost.
        if !self.got.get(chunk) && !self.again.contains(&chunk) {
            self.again.push_back(chunk);
        }
    }

    /// Requests up to `room` chunks, missed chunks first; `ranges` receives the chunks. Returns how many of
    /// the chunks were requested before.
    pub fn take_wanted(
        &mut self,
        now_us: Micros,
        id: PullId,
        mut room: usize,
        path: &mut Path,
        ranges: &mut Vec<ChunkRange>,
    ) -> u32 {
        ranges.clear();
        let mut repeated = 0;
        // Copies leave in a request of their own: one of both may get lost.
        let copies = self.again.is_empty();
        // While there is more to ask for, what is missing is not what the box waits for.
        let last = self.fresh >= self.limit();
        let copy = !copies && last && path.wants_copies();
        while room > 0 && ranges.len() < Request::RANGES_MAX / 2 {
            let next = if copies {
                self.copies.pop_front()
            } else {
                self.again.pop_front()
            };
            let (start, count, again) = match next {
                Some(chunk) if self.got.get(chunk) => continue,
                Some(chunk) => {
                    if copy && !self.copies.contains(&chunk) {
                        self.copies.push_back(chunk);
                    }
                    self.repeated += u32::from(!copies);
                    self.copied += u32::from(copies);
                    (chunk, 1, true)
                }
                None if self.fresh < self.limit() => {
                    let count = (self.limit() - self.fresh).min(room as u32);
                    self.fresh += count;
                    (self.fresh - count, count, false)
                }
                None => break,
            };
            for chunk in start..start + count {
                let left = self.bytes() - chunk as usize * self.chunk_bytes;
                path.ask(now_us, id, chunk, again, left.min(self.chunk_bytes));
            }
            room -= count as usize;
            repeated += u32::from(again);
            match ranges.last_mut() {
                Some(r) if r.start.get() + r.count.get() == start => {
                    r.count = (r.count.get() + count).into();
                }
                _ => ranges.push(ChunkRange {
                    start: start.into(),
                    count: count.into(),
                }),
            }
        }
        repeated
    }

    /// The body of a request for `ranges`.
    pub fn request<'a>(&self, id: PullId, ranges: &'a [ChunkRange]) -> Request<'a> {
        Request {
            pull: id,
            object: self.object,
            region: self.region,
            element: self.destination.element,
            run: self.run,
            chunk_bytes: self.chunk_bytes as u16,
            ranges,
        }
    }
}
