//! One transfer: which chunks have come, which are wanted.

use std::collections::VecDeque;

use super::{bitmap::Bitmap, path::Path};
use crate::{
    Micros, ObjectId, PullId,
    peer::Peer,
    store::SlotId,
    wire::{ChunkRange, Request, chunks_of},
};
use tessera_plan::{plan::ElementType, region::Region};

/// Where a pulled box goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The slot.
    pub slot: SlotId,
    /// The packed box that lies in the slot; the pulled box is inside it.
    pub region: Region,
    /// How the values are stored.
    pub element: ElementType,
}

/// A transfer of one box.
#[derive(Debug)]
pub struct Pull<T> {
    /// What the owner knows it by.
    pub tag: T,
    /// The node that is asked.
    pub holder: Peer,
    /// The object that the box is a part of.
    pub object: ObjectId,
    /// The box that is pulled.
    pub region: Region,
    /// The slot that receives it.
    pub destination: Destination,
    /// Size of its chunks, in bytes.
    pub chunk_bytes: usize,
    /// Chunks that have arrived.
    pub got: Bitmap,
    chunks: u32,
    /// First chunk never asked for.
    fresh: u32,
    /// Chunks to be asked for again.
    again: VecDeque<u32>,
    /// Whether it is among those that have something to ask.
    pub queued: bool,
    /// Whether it has asked for anything.
    pub begun: bool,
    /// Chunks asked for again of which no second copy has come.
    pub repeated: u32,
}

impl<T> Pull<T> {
    /// Nothing was asked for yet.
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
            chunks,
            fresh: 0,
            again: VecDeque::new(),
            queued: true,
            begun: false,
            repeated: 0,
        }
    }

    /// Begins again with chunks of another size; what had come comes again.
    pub fn restart(&mut self, chunk_bytes: usize) {
        self.chunk_bytes = chunk_bytes;
        self.chunks = chunks_of(self.region, self.destination.element, chunk_bytes);
        self.got = Bitmap::new(self.chunks);
        self.fresh = 0;
        self.again.clear();
        self.repeated = 0;
    }

    /// Bytes of the packed box.
    pub const fn bytes(&self) -> usize {
        self.region.len() * self.destination.element.bytes()
    }

    /// Chunks to be asked for.
    pub fn wanted(&self) -> usize {
        self.again.len() + (self.chunks - self.fresh) as usize
    }

    /// Whether some of them were asked for before.
    pub fn repeats(&self) -> bool {
        !self.again.is_empty()
    }

    /// A chunk that was asked for has not come.
    pub fn miss(&mut self, chunk: u32) {
        if !self.got.get(chunk) {
            self.again.push_back(chunk);
        }
    }

    /// Asks for up to `room` chunks, missed ones first; `ranges` names them. Gives how many were
    /// asked for before.
    pub fn take_wanted(
        &mut self,
        now_us: Micros,
        id: PullId,
        mut room: usize,
        path: &mut Path,
        ranges: &mut Vec<ChunkRange>,
    ) -> u32 {
        ranges.clear();
        let before = self.repeated;
        while room > 0 && ranges.len() < Request::RANGES_MAX / 2 {
            let (start, count, again) = match self.again.pop_front() {
                Some(chunk) if self.got.get(chunk) => continue,
                Some(chunk) => (chunk, 1, true),
                None if self.fresh < self.chunks => {
                    let count = (self.chunks - self.fresh).min(room as u32);
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
            self.repeated += u32::from(again);
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
        self.repeated - before
    }

    /// The body of a request for `ranges`.
    pub fn request<'a>(&self, id: PullId, ranges: &'a [ChunkRange]) -> Request<'a> {
        Request {
            pull: id,
            object: self.object,
            region: self.region,
            element: self.destination.element,
            chunk_bytes: self.chunk_bytes as u16,
            ranges,
        }
    }
}
