//! Outgoing transfers: the shell takes chunks one by one, directly from the slots.
//!
//! The server remembers nothing of a receiver except the ranges just requested, and those that are not made yet. The
//! number of ranges has a bound; the server drops a range beyond the bound, and the receiver asks again. Of one source's
//! frames, the oldest is served first.
//!
//! Of an object that is being made, the server sends what is made, but for the last chunk of a box: that one leaves when
//! the object is there. A receiver must name the run of which it gets rows before it gets any, so that it never has rows
//! of two (`docs/streaming.md`).

use std::collections::VecDeque;

use super::{
    GATEWAY, ObjectId,
    peer::{Peer, Sender},
    pull::gather,
    stats::TransferStats,
    wire::{Later, NO_RUN, Request, open_chunk, seal_chunk},
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
    /// True while this node fetches inputs: rows for the gateway wait, which are needed last.
    pub fetches: bool,
}

/// How a node has an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// All of it is here.
    Here(Place),
    /// A worker of this node has the task that makes it.
    Making(Place),
    /// This node has the task that makes it, and no worker has it yet.
    Coming,
}

/// Where an object lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The slot.
    pub slot: SlotId,
    /// The box of the tensor that the slot holds.
    pub region: Region,
    /// The run that made the object, or makes it; [`NO_RUN`] of a frame.
    pub run: u32,
}

/// What a receiver has to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The object is being made.
    Later(Later),
    /// The object, or the run of it, is not here.
    Absent(PullId),
}

/// A range of chunks of one pull.
#[derive(Clone, Copy, Debug)]
struct QueuedRange {
    to: Peer,
    pull: PullId,
    object: ObjectId,
    region: Region,
    /// The run of which the receiver has rows.
    run: u32,
    value_bytes: usize,
    chunk_bytes: usize,
    next: u32,
    end: u32,
    /// Number of made chunks that the receiver was told last.
    told: u32,
}

impl QueuedRange {
    fn is_of(&self, to: Peer, pull: PullId) -> bool {
        (self.to.who(), self.pull) == (to.who(), pull)
    }

    /// Number of chunks of the box.
    fn chunks(&self) -> u32 {
        (self.value_bytes * self.region.len()).div_ceil(self.chunk_bytes) as u32
    }

    /// Number of chunks that lie in the first `made_bytes` bytes of `whole`, which is still being made.
    fn made(&self, whole: Region, made_bytes: usize) -> u32 {
        let row_bytes = |r: Region| (self.value_bytes * r.w() * r.ch()).max(1);
        let rows = made_bytes / row_bytes(whole);
        let rows = rows.saturating_sub(self.region.y.lo - whole.y.lo);
        let bytes = rows.min(self.region.h()) * row_bytes(self.region);
        ((bytes / self.chunk_bytes) as u32).min(self.chunks() - 1)
    }

    const fn later(&self, run: u32, chunks: u32) -> Answer {
        Answer::Later(Later {
            pull: self.pull,
            run: if chunks == 0 { NO_RUN } else { run },
            chunks,
        })
    }

    /// True when a receiver that has rows of this range's run may have rows of `run`.
    const fn takes(&self, run: u32) -> bool {
        self.run == NO_RUN || self.run == run
    }
}

impl ChunkServer {
    /// Most waiting ranges.
    pub const RANGES_MAX: usize = 1024;
    /// Most waiting ranges of one receiver, so that others find room.
    pub const RANGES_OF_ONE: usize = Self::RANGES_MAX / 4;
    /// Most chunks that wait to be sent to one receiver: more than any receiver has room for (`receive_budget_bytes`). So nobody
    /// waits for more than these of each other receiver, whatever that one asks for.
    pub const CHUNKS_OF_ONE: u32 = 1024;
    /// Chunks that are made and not sent, at which more of an object that is being made is sent.
    pub const STEP_CHUNKS: u32 = 6;

    /// Queues the chunks of a request for an object that this node has as `held` says. Returns what the receiver has to
    /// hear at once.
    pub fn request(
        &mut self,
        to: Peer,
        request: &Request<'_>,
        held: Option<Held>,
        store: &impl Store,
        stats: &mut TransferStats,
    ) -> Option<Answer> {
        let first = request.ranges.first()?;
        let mut range = QueuedRange {
            to,
            pull: request.pull,
            object: request.object,
            region: request.region,
            run: request.run,
            value_bytes: request.element.bytes(),
            chunk_bytes: request.chunk_bytes.into(),
            next: first.start.get(),
            end: first.start.get(),
            told: 0,
        };
        let made = match held {
            Some(Held::Here(place)) if range.takes(place.run) => range.chunks(),
            Some(Held::Making(place)) if range.takes(place.run) => {
                range.made(place.region, store.made_bytes(place.slot).len())
            }
            Some(Held::Coming) if range.run == NO_RUN => 0,
            _ => return Some(Answer::Absent(request.pull)),
        };
        // What the receiver asked before it knew of the run, or of the size of chunks, it asks for again.
        let same = |r: &QueuedRange| (r.run, r.chunk_bytes) == (range.run, range.chunk_bytes);
        self.later.retain(|r| !r.is_of(to, request.pull) || same(r));
        let here = matches!(held, Some(Held::Here(_)));
        // Nothing more than what has left is said to be made.
        let made = if !here && to.id == GATEWAY && self.holds_back_gateway() {
            made.min(range.next)
        } else {
            made
        };
        range.told = made;
        let sendable = if here || range.run != NO_RUN { made } else { 0 };
        let mut waits = false;
        for r in request.ranges {
            let (start, end) = (r.start.get(), r.start.get() + r.count.get());
            let cut = sendable.clamp(start, end);
            waits |= cut < end;
            (range.next, range.end) = (start, cut);
            self.add(range, true, stats);
            (range.next, range.end) = (cut, end);
            self.add(range, false, stats);
        }
        let run = match held {
            Some(Held::Making(place)) => place.run,
            _ => NO_RUN,
        };
        waits.then(|| range.later(run, made))
    }

    /// True while rows that are made wait for inputs of tasks, which use the same channel.
    fn holds_back_gateway(&self) -> bool {
        self.fetches || self.turns.iter().any(|t| t.to.id != GATEWAY)
    }

    /// How many chunks find room for a receiver beside what it has already asked for; 0 when too many ranges wait.
    fn room_for(&self, to: Peer) -> u32 {
        let of_one = |r: &&QueuedRange| r.to.id == to.id;
        let waiting = self.turns.iter().chain(&self.later);
        if self.turns.len() + self.later.len() >= Self::RANGES_MAX
            || waiting.filter(of_one).count() >= Self::RANGES_OF_ONE
        {
            return 0;
        }
        let chunks = self.turns.iter().filter(of_one).map(|r| r.end - r.next);
        Self::CHUNKS_OF_ONE.saturating_sub(chunks.fold(0, u32::saturating_add))
    }

    fn add(&mut self, mut range: QueuedRange, here: bool, stats: &mut TransferStats) {
        // A receiver that repeats its request while the chunks still wait here gets the chunks once.
        let waits = |t: &QueuedRange| {
            t.is_of(range.to, range.pull) && t.next <= range.next && range.end <= t.end
        };
        if range.next == range.end || self.turns.iter().chain(&self.later).any(waits) {
            return;
        }
        // What waits of one pull is one range, so that it leaves in steps.
        let goes_on = |t: &&mut QueuedRange| {
            let meets = (t.next..=t.end).contains(&range.next);
            t.is_of(range.to, range.pull) && meets && !here
        };
        if let Some(before) = self.later.iter_mut().find(goes_on) {
            before.end = before.end.max(range.end);
            return;
        }
        let room = self.room_for(range.to);
        if room == 0 {
            stats.requests_refused += 1;
        } else if here {
            // The receiver asks again for what is cut off.
            range.end = range.end.min(range.next.saturating_add(room));
            insert(&mut self.turns, range);
        } else {
            self.later.push(range);
        }
    }

    /// Queues what was asked for before it was made; `held` tells how this node has an object. Requests for objects that
    /// will not be made here are dropped, and their receivers ask again. Returns what receivers have to hear, and whether
    /// a worker makes anything that is waited for.
    pub fn made(
        &mut self,
        held: impl Fn(&ObjectId) -> Option<Held>,
        store: &impl Store,
    ) -> (Vec<(Peer, Answer)>, bool) {
        let holds_back = self.holds_back_gateway();
        let Self { turns, later, .. } = self;
        let (mut answers, mut grows) = (Vec::<(Peer, Answer)>::new(), false);
        later.retain_mut(|range| {
            let (answer, keep) = match held(&range.object) {
                Some(Held::Here(place)) if range.takes(place.run) => {
                    insert(turns, *range);
                    let told =
                        (range.run != NO_RUN).then(|| range.later(range.run, range.chunks()));
                    (told, false)
                }
                Some(Held::Making(place)) if range.takes(place.run) => {
                    grows = true;
                    if holds_back && range.to.id == GATEWAY {
                        return true;
                    }
                    let made = range.made(place.region, store.made_bytes(place.slot).len());
                    let known = if range.run == NO_RUN {
                        range.told
                    } else {
                        range.next
                    };
                    let all = made == range.chunks() - 1 && made > known;
                    if made < known + Self::STEP_CHUNKS && !all {
                        return true;
                    }
                    range.told = made;
                    if range.run != NO_RUN {
                        let end = made.min(range.end);
                        extend(turns, QueuedRange { end, ..*range });
                        range.next = end;
                    }
                    (Some(range.later(place.run, made)), range.next < range.end)
                }
                Some(Held::Coming) if range.run == NO_RUN => (None, true),
                _ => {
                    let gone = (range.run != NO_RUN).then_some(Answer::Absent(range.pull));
                    (gone, false)
                }
            };
            let known = |a: &(Peer, Answer)| a.0.who() == range.to.who() && Some(a.1) == answer;
            if !answers.iter().any(known) {
                answers.extend(answer.map(|a| (range.to, a)));
            }
            keep
        });
        (answers, grows)
    }

    /// True when requests wait for objects that are being made.
    pub fn waits(&self) -> bool {
        !self.later.is_empty()
    }

    /// Writes the next chunk to `out`; returns the destination. `held` tells how this node has a box of an object.
    pub fn poll(
        &mut self,
        me: Sender,
        held: impl Fn(&ObjectId, Region) -> Option<Held>,
        store: &impl Store,
        stats: &mut TransferStats,
        out: &mut Vec<u8>,
    ) -> Option<Peer> {
        loop {
            let turn = self.turns.front_mut()?;
            let found = match held(&turn.object, turn.region) {
                Some(Held::Here(place)) if turn.takes(place.run) => {
                    Some((store.bytes(place.slot), place.region, false))
                }
                Some(Held::Making(place)) if turn.run == place.run => {
                    let bytes = store.made_bytes(place.slot);
                    let made = turn.made(place.region, bytes.len());
                    (turn.next < made).then_some((bytes, place.region, true))
                }
                _ => None,
            };
            let found = found.filter(|_| turn.next < turn.end);
            let Some((bytes, whole, early)) = found else {
                self.turns.pop_front();
                continue;
            };
            let offset = turn.next as usize * turn.chunk_bytes;
            let end = (offset + turn.chunk_bytes).min(turn.value_bytes * turn.region.len());
            turn.next += 1;
            open_chunk(me.id, turn.pull, offset as u32, out);
            gather(
                turn.value_bytes,
                bytes,
                whole,
                turn.region,
                offset..end,
                out,
            );
            seal_chunk(out, &me.to(Some(turn.to.incarnation)));
            stats.chunks_sent += 1;
            stats.chunks_sent_early += u64::from(early);
            stats.bytes_sent += (end - offset) as u64;
            let to = turn.to;
            if turn.next == turn.end {
                self.turns.pop_front();
            }
            return Some(to);
        }
    }
}

/// Queues a range behind the chunks of the same pull that go before it and still wait, else as [`insert`] does. So what
/// waits here has at most one part among them.
fn extend(turns: &mut VecDeque<QueuedRange>, range: QueuedRange) {
    let goes_on = |t: &&mut QueuedRange| {
        let same = (t.run, t.chunk_bytes) == (range.run, range.chunk_bytes);
        t.is_of(range.to, range.pull) && t.end == range.next && same
    };
    match turns.iter_mut().find(goes_on) {
        Some(before) => before.end = range.end,
        None => insert(turns, range),
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
