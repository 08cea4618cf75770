//! Outgoing transfers: the shell takes chunks one by one, directly from the slots.
//!
//! The server remembers nothing of a receiver except the ranges just requested. The number of ranges has a
//! bound; the server drops a range beyond the bound, and the receiver asks again. Of one source's frames, the oldest is
//! served first.

use std::collections::VecDeque;

use super::{
    ObjectId,
    peer::{Peer, Sender},
    pull::gather,
    stats::TransferStats,
    wire::{Data, Message, Request, seal},
};
use crate::PullId;
use crate::store::{SlotId, Store};
use tessera_plan::region::Region;

/// The queue of chunks to be sent.
#[derive(Debug, Default)]
pub struct ChunkServer {
    turns: VecDeque<QueuedRange>,
    /// Ranges of objects that are being made here.
    later: Vec<QueuedRange>,
}

/// A range of chunks of one pull.
#[derive(Clone, Copy, Debug)]
struct QueuedRange {
    to: Peer,
    pull: PullId,
    object: ObjectId,
    region: Region,
    value_bytes: usize,
    chunk_bytes: usize,
    next: u32,
    end: u32,
}

impl ChunkServer {
    /// Most waiting ranges.
    pub const RANGES_MAX: usize = 1024;

    /// Queues the chunks of a request for an object that this node holds.
    pub fn request(&mut self, to: Peer, request: &Request<'_>, stats: &mut TransferStats) {
        self.add(to, request, true, stats);
    }

    /// Keeps the chunks of a request for an object that is being made here, until [`ChunkServer::made`].
    pub fn request_later(&mut self, to: Peer, request: &Request<'_>, stats: &mut TransferStats) {
        self.add(to, request, false, stats);
    }

    /// Queues what was asked for before its object was made. `here` tells which objects are there, `coming` which
    /// are still being made; requests for others are dropped, and their receivers ask again.
    pub fn made(&mut self, here: impl Fn(&ObjectId) -> bool, coming: impl Fn(&ObjectId) -> bool) {
        let Self { turns, later } = self;
        later.retain(|range| {
            if here(&range.object) {
                insert(turns, *range);
                return false;
            }
            coming(&range.object)
        });
    }

    /// True when requests wait for objects that are being made.
    pub fn waits(&self) -> bool {
        !self.later.is_empty()
    }

    fn add(&mut self, to: Peer, request: &Request<'_>, here: bool, stats: &mut TransferStats) {
        for range in request.ranges {
            let (next, end) = (range.start.get(), range.start.get() + range.count.get());
            // A receiver that repeats its request while the chunks still wait here gets the chunks once.
            let waits = |t: &QueuedRange| {
                t.to.id == to.id
                    && t.to.incarnation == to.incarnation
                    && t.pull == request.pull
                    && t.next <= next
                    && end <= t.end
            };
            if self.turns.iter().chain(&self.later).any(waits) {
                continue;
            }
            if self.turns.len() + self.later.len() >= Self::RANGES_MAX {
                stats.requests_refused += 1;
                return;
            }
            let range = QueuedRange {
                to,
                pull: request.pull,
                object: request.object,
                region: request.region,
                value_bytes: request.element.bytes(),
                chunk_bytes: request.chunk_bytes.into(),
                next,
                end,
            };
            if here {
                insert(&mut self.turns, range);
            } else {
                self.later.push(range);
            }
        }
    }

    /// Writes the next chunk to `out`; returns the destination. `lookup` returns an object's slot and
    /// the box of the tensor that the slot holds.
    pub fn poll(
        &mut self,
        me: Sender,
        lookup: impl Fn(&ObjectId) -> Option<(SlotId, Region)>,
        store: &impl Store,
        stats: &mut TransferStats,
        out: &mut Vec<u8>,
    ) -> Option<Peer> {
        loop {
            let turn = self.turns.front_mut()?;
            let found = lookup(&turn.object).filter(|_| turn.next < turn.end);
            let Some((slot, whole)) = found else {
                self.turns.pop_front();
                continue;
            };
            let offset = turn.next as usize * turn.chunk_bytes;
            let end = (offset + turn.chunk_bytes).min(turn.value_bytes * turn.region.len());
            turn.next += 1;
            let head = Data {
                pull: turn.pull,
                offset: offset as u32,
                bytes: &[],
            };
            Message::Data(head).encode_open(me.to(Some(turn.to.incarnation)), out);
            let (bytes, n) = (store.bytes(slot), turn.value_bytes);
            gather(n, bytes, whole, turn.region, offset..end, out);
            seal(out);
            stats.chunks_sent += 1;
            stats.bytes_sent += (end - offset) as u64;
            let to = turn.to;
            if turn.next == turn.end {
                self.turns.pop_front();
            }
            return Some(to);
        }
    }
}

/// Queues a range: behind all others, but before those of later frames of the same source.
fn insert(turns: &mut VecDeque<QueuedRange>, range: QueuedRange) {
    let frame = |r: &QueuedRange| r.object.frame;
    let (source, incarnation) = (frame(&range).source, frame(&range).incarnation);
    let later = |r: &QueuedRange| {
        let same = (frame(r).source, frame(r).incarnation) == (source, incarnation);
        same && frame(r).number > frame(&range).number
    };
    let at = turns.iter().position(later).unwrap_or(turns.len());
    turns.insert(at, range);
}
