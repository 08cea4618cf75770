//! The path from one holder to this node: outstanding requests, round trips,
//! and the window of chunks under way.
//!
//! A holder serves requests in the order of arrival, so chunks come in the order of the
//! requests, except for loss and reordering in the network. A chunk counts as
//! lost when a chunk requested later has arrived and a round trip plus some tolerance for reordering
//! has passed (as RACK does for TCP, RFC 8985, section 6.2), or when nothing has come for longer
//! than the retransmission timeout (RFC 6298).
//!
//! A silence of about a round trip first makes the receiver ask again for the oldest chunk alone (a probe, as in RFC 8985,
//! section 7, and RFC 9002, section 6.2): the answer shows at once which other chunks are lost. A holder that is merely slow
//! answers in order, and costs one chunk too many. How many chunks may be under way is the [`Window`]'s to say.

use std::collections::VecDeque;

use super::{PullError, rtt::Rtt, window::Window};
use crate::{Micros, PullId, TransferConfig};

/// Initial tolerance for reordering, in microseconds.
const FIRST_REORDER_US: u64 = 1_000;
/// Largest tolerance for reordering, in microseconds.
const REORDER_US_MAX: u64 = 30_000;
/// Shortest silence that leads to a probe, in microseconds: a holder that just lost its core for a moment is no reason.
const PROBE_US_MIN: u64 = 8_000;
/// Chunks of a path's first request. Their round trip is taken for that of an empty path, so they are few: when many nodes
/// begin at once, each would wait for the others' chunks, and take the longer way for the usual one.
const FIRST_CHUNKS: usize = 2;
/// How long the second request waits for the first answer, in microseconds.
const FIRST_GAP_US: u64 = 4_000;
/// Requests in which a window's chunks are asked for, at least. More of them are more bytes; fewer would leave the path without
/// chunks before the next one is worth it.
const WINDOW_PARTS: usize = 2;
/// The same where chunks get lost: so does a request, with all that it asks for.
const LOSSY_PARTS: usize = 4;
/// Loss from which on that counts.
const PARTS_LOSS: f32 = 0.01;
/// Chunks for which a request is surely worth a datagram.
const ASK_CHUNKS: usize = 32;
/// The same where requests are spread over time, and the most of them.
const PACED_CHUNKS: usize = 16;
/// Most chunks of one request. A holder has room for more (`ChunkServer::CHUNKS_OF_ONE`).
const ASK_CHUNKS_MAX: usize = 256;
/// Loss from which on what is asked for again is asked for twice, where nothing waits: each round trip that a box takes longer
/// costs more than the copies.
const COPIES_LOSS: f32 = 0.03;
/// How much one chunk counts in the share of lost ones.
const LOSS_GAIN: f32 = 1.0 / 64.0;
/// Most chunks that count as lost at once: a lost request loses many.
const LOST_AT_ONCE: u32 = 4;
/// Probes in a row before all outstanding chunks count as lost.
const PROBES: u32 = 3;

/// A requested chunk that has not arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestedChunk {
    pub pull: PullId,
    pub chunk: u32,
    pub at: Micros,
    /// The chunk's place in the sequence of requests to this holder.
    pub seq: u64,
    /// True for a repeated request, whose round trip is ambiguous.
    pub again: bool,
    /// The chunk's payload in bytes.
    pub bytes: usize,
}

/// The receiver's state of one holder.
#[derive(Debug)]
pub struct Path {
    /// Outstanding chunks in the order of the requests.
    out: VecDeque<RequestedChunk>,
    window: Window,
    rtt: Rtt,
    /// Tolerance for reordering, in microseconds.
    reorder: u64,
    next_seq: u64,
    /// Highest `seq` that has arrived, plus one.
    arrived: u64,
    /// Until when nothing counts as overtaken: the chunk that overtook may have answered an earlier request.
    unsure_until_us: Micros,
    /// The last time that a chunk arrived or was requested.
    active_at: Micros,
    /// When the next request may leave.
    paced_until_us: Micros,
    /// Consecutive timeouts.
    silent: u32,
    /// When the last timeout was noticed. Chunks requested before then have as long again.
    timeout_at: Micros,
    /// Bytes per requested chunk.
    chunk_bytes: usize,
    /// When the receiver tries larger chunks again.
    narrow_until_us: Micros,
    /// Payload of the largest chunk that has arrived, in bytes.
    largest_bytes: usize,
    /// Number of losses since then of chunks larger than `largest_bytes`.
    larger_losses: u32,
    /// True when the receiver has reported this path as narrow.
    told: bool,
    /// The share of chunks that got lost of late.
    loss: f32,
    /// Timeouts in a row, which double the next one. A chunk that was requested only once ends the row: only such a chunk's
    /// round trip is certain (Karn's rule).
    backoff: u32,
}

/// The losses that [`Path::overdue`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overdue {
    /// Chunks were overtaken for longer than the tolerance.
    pub gap: bool,
    /// Nothing arrived for longer than the timeout.
    pub timeout: bool,
}

impl Path {
    pub fn new(config: &TransferConfig) -> Self {
        Self {
            out: VecDeque::new(),
            window: Window::new(config.first_window_chunks),
            rtt: Rtt::default(),
            reorder: FIRST_REORDER_US,
            next_seq: 0,
            arrived: 0,
            unsure_until_us: 0,
            active_at: 0,
            paced_until_us: 0,
            silent: 0,
            timeout_at: 0,
            chunk_bytes: config.chunk_bytes,
            narrow_until_us: Micros::MAX,
            largest_bytes: 0,
            larger_losses: 0,
            told: false,
            loss: 0.0,
            backoff: 0,
        }
    }

    /// Bytes per requested chunk.
    pub const fn chunk_bytes(&self) -> usize {
        self.chunk_bytes
    }

    /// Switches to smaller chunks when chunks larger than any that has arrived get lost repeatedly:
    /// the path may silently lose large datagrams. Returns true on a switch.
    pub fn narrow(&mut self, now_us: Micros) -> bool {
        let due = self.larger_losses >= TransferConfig::NARROW_AFTER;
        let steps = TransferConfig::CHUNK_STEPS.into_iter();
        let Some(narrow) = steps.filter(|_| due).find(|b| *b < self.chunk_bytes) else {
            return false;
        };
        self.chunk_bytes = narrow;
        self.narrow_until_us = now_us + TransferConfig::NARROW_FOR_US;
        self.out.clear();
        // Smaller chunks have had no chance yet.
        (self.backoff, self.silent, self.larger_losses) = (0, 0, 0);
        true
    }

    /// True when the receiver should try larger chunks again.
    pub const fn may_be_wide(&self, now_us: Micros) -> bool {
        self.narrow_until_us <= now_us
    }

    /// Notes an arrived chunk. Returns true once when the path passes small chunks and loses larger ones.
    pub fn prove(&mut self, bytes: usize, config: &TransferConfig) -> bool {
        if bytes > self.largest_bytes {
            self.largest_bytes = bytes;
            self.larger_losses = 0;
        }
        let narrow = self.chunk_bytes < config.chunk_bytes;
        narrow && !std::mem::replace(&mut self.told, true)
    }

    /// Number of chunks under way.
    pub fn under_way(&self) -> usize {
        self.out.len()
    }

    /// Most chunks that may be under way.
    pub const fn window(&self) -> usize {
        self.window.chunks()
    }

    /// Notes that a request for `chunks` chunks leaves; the next one is to wait a little.
    pub fn pace(&mut self, now_us: Micros, chunks: usize) {
        let is_first = self.next_seq == chunks as u64;
        let gap_us = if is_first && self.is_new() {
            FIRST_GAP_US
        } else {
            self.window.pace(chunks)
        };
        self.paced_until_us = self.paced_until_us.max(now_us) + gap_us;
    }

    /// True until an answer has shown how long a round trip is.
    fn is_new(&self) -> bool {
        self.shortest() == u64::MAX
    }

    /// Most chunks of the next request.
    pub fn request_chunks_max(&self) -> usize {
        if self.next_seq == 0 {
            FIRST_CHUNKS
        } else if self.is_paced() {
            PACED_CHUNKS
        } else {
            ASK_CHUNKS_MAX
        }
    }

    /// Chunks for which a request is worth a datagram: a request for every chunk that arrives would double the datagrams.
    pub fn worth_asking(&self) -> usize {
        let most = if self.is_paced() {
            PACED_CHUNKS
        } else {
            ASK_CHUNKS
        };
        let parts = if self.loss > PARTS_LOSS {
            LOSSY_PARTS
        } else {
            WINDOW_PARTS
        };
        (self.window() / parts).clamp(1, most)
    }

    /// True when requests are spread over time.
    pub fn is_paced(&self) -> bool {
        self.window.is_paced()
    }

    /// When the next request may leave.
    pub const fn paced_until(&self) -> Micros {
        self.paced_until_us
    }

    /// The shortest round trip of late, in microseconds; `u64::MAX` before the first one.
    pub fn shortest(&self) -> u64 {
        self.window.shortest()
    }

    /// True when what is asked for again is worth two requests: the path loses much, and has room.
    pub fn wants_copies(&self) -> bool {
        self.loss > COPIES_LOSS && !self.window.waits()
    }

    /// Notes the request of a chunk.
    pub fn ask(&mut self, now_us: Micros, pull: PullId, chunk: u32, again: bool, bytes: usize) {
        self.out.push_back(RequestedChunk {
            pull,
            chunk,
            at: now_us,
            seq: self.next_seq,
            again,
            bytes,
        });
        self.next_seq += 1;
        self.active_at = now_us;
    }

    /// Notes the arrival of a chunk, outstanding or not. Returns the chunk's round trip in microseconds when
    /// the round trip is certain. The window grows to at most `most` chunks.
    pub fn arrive(&mut self, now_us: Micros, pull: PullId, chunk: u32, most: usize) -> Option<u64> {
        self.silent = 0;
        self.active_at = now_us;
        let found = |a: &RequestedChunk| a.pull == pull && a.chunk == chunk;
        let i = self.out.iter().position(found)?;
        let limited = self.out.len() * 2 >= self.window();
        let asked = self.out.remove(i)?;
        self.loss -= self.loss * LOSS_GAIN;
        let sample = now_us.saturating_sub(asked.at);
        // An answer that comes sooner than any before answers the first request, which nothing has overtaken.
        if !asked.again || sample >= self.shortest() {
            if asked.again && asked.seq + 1 > self.arrived {
                self.unsure_until_us = now_us + self.reorder.max(self.rtt.usual() / 8);
            }
            self.arrived = self.arrived.max(asked.seq + 1);
        }
        if asked.again {
            // The chunk had been lost indeed, and the holder answers: there is no need to wait longer for the next one.
            self.reorder = (self.reorder - self.reorder / 16).max(FIRST_REORDER_US);
            self.backoff = self.backoff.min(1);
            return None;
        }
        self.backoff = 0;
        if self.is_new() {
            self.paced_until_us = now_us;
        }
        self.rtt.measure(sample);
        (self.window).arrive(now_us, asked.at, sample, limited, most.max(1) as f32);
        Some(sample)
    }

    /// Notes a duplicate chunk: the chunk that seemed lost had only been overtaken.
    pub fn spurious(&mut self) {
        self.reorder = (self.reorder * 2).min(REORDER_US_MAX);
    }

    /// Silence in which an answer would have come, in microseconds: at least `least`. `load` covers all paths: this path may
    /// have been idle since the network filled.
    fn silence(&self, load: &Rtt, config: &TransferConfig, least: u64) -> u64 {
        let own = self.rtt.timeout().unwrap_or(config.first_rto_us);
        let one = own.max(load.timeout().unwrap_or(0));
        let one = one.clamp(least.min(config.rto_us_max), config.rto_us_max);
        // The second probe does not wait longer than the first: one datagram is lost easily.
        (one << self.backoff.saturating_sub(1).min(10)).min(config.rto_us_max)
    }

    /// How long a chunk may be overtaken before the chunk counts as lost, in microseconds.
    fn patience(&self) -> u64 {
        self.rtt.usual() + self.reorder
    }

    /// True while a silence leads to a probe. Where much gets lost, it rather is loss than a slow holder, and each probe that
    /// gets lost would cost a round trip.
    fn probes(&self) -> bool {
        self.backoff < PROBES && !self.wants_copies()
    }

    /// When an overtaken chunk counts as lost.
    fn overtaken_due(&self, asked: &RequestedChunk) -> Micros {
        (asked.at + self.patience()).max(self.unsure_until_us)
    }

    /// When the silence of an outstanding chunk is too long.
    fn silence_due(&self, asked: &RequestedChunk, load: &Rtt, config: &TransferConfig) -> Micros {
        if self.probes() {
            let silence = self.silence(load, config, PROBE_US_MIN.min(config.rto_us_min));
            return self.active_at.max(asked.at).max(self.timeout_at) + silence;
        }
        asked.at.max(self.timeout_at) + self.silence(load, config, config.rto_us_min)
    }

    /// When to check for lost chunks.
    pub fn next(&self, load: &Rtt, config: &TransferConfig) -> Option<Micros> {
        // The chunk requested first is due first, except when only a later chunk has
        // been overtaken; then the check is a little late.
        let first = self.out.front()?;
        let due = self.silence_due(first, load, config);
        Some(if first.seq < self.arrived {
            due.min(self.overtaken_due(first))
        } else {
            due
        })
    }

    /// Takes out the chunks that count as lost.
    ///
    /// # Errors
    /// [`PullError::Unreachable`] when the holder has been silent too often.
    pub fn overdue(
        &mut self,
        now_us: Micros,
        load: &Rtt,
        config: &TransferConfig,
        mut lost: impl FnMut(RequestedChunk),
    ) -> Result<Overdue, PullError> {
        let mut found = Overdue::default();
        let (mut first, mut overtaken, mut larger) = (None, 0, false);
        let probes = self.probes();
        // A second probe asks for two: one of them is more likely to come than the only one.
        let mut room = if probes {
            1 + self.backoff.min(1)
        } else {
            u32::MAX
        };
        while let Some(a) = self.out.front().copied() {
            if a.seq < self.arrived && self.overtaken_due(&a) <= now_us {
                found.gap = true;
                overtaken += 1;
                first.get_or_insert(a.at);
            } else if room > 0 && self.silence_due(&a, load, config) <= now_us {
                found.timeout = true;
                room -= 1;
            } else {
                break;
            }
            larger |= a.bytes > self.largest_bytes;
            self.out.pop_front();
            lost(a);
        }
        self.larger_losses += u32::from(larger);
        if let Some(asked_us) = first {
            for _ in 0..overtaken.min(LOST_AT_ONCE) {
                self.loss += (1.0 - self.loss) * LOSS_GAIN;
            }
            self.window.lose(now_us, asked_us, overtaken);
        }
        if found.timeout {
            // A probe takes the place of the chunk that it asks for again, and nothing is known to be lost yet.
            if self.backoff >= PROBES {
                self.window.fall_silent(now_us);
            }
            self.silent += 1;
            self.backoff += 1;
            self.timeout_at = now_us;
            if self.silent > config.timeouts_max {
                return Err(PullError::Unreachable);
            }
        }
        Ok(found)
    }

    /// Notes an answer without a chunk: the holder is there.
    pub const fn answered(&mut self) {
        self.silent = 0;
        self.backoff = 0;
    }

    /// Forgets the outstanding chunks of a pull from `chunk` on: they are not made yet.
    pub fn forget_from(&mut self, pull: PullId, chunk: u32) {
        self.out.retain(|a| a.pull != pull || a.chunk < chunk);
    }

    /// True when a chunk is outstanding.
    pub fn waits_for(&self, pull: PullId, chunk: u32) -> bool {
        self.out.iter().any(|a| (a.pull, a.chunk) == (pull, chunk))
    }

    /// Forgets the outstanding chunks of a pull that is over.
    pub fn forget(&mut self, pull: PullId) {
        self.out.retain(|a| a.pull != pull);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: TransferConfig = TransferConfig {
        chunk_bytes: 1200,
        receive_budget_bytes: 64 * 1200,
        first_window_chunks: 8,
        first_rto_us: 50_000,
        rto_us_min: 5_000,
        rto_us_max: 400_000,
        timeouts_max: 3,
    };

    fn lost(path: &mut Path, now_us: Micros) -> (Vec<u32>, Result<Overdue, PullError>) {
        let mut chunks = Vec::new();
        let found = path.overdue(now_us, &Rtt::default(), &CONFIG, |a| chunks.push(a.chunk));
        (chunks, found)
    }

    #[test]
    fn overtaken_chunks_are_lost_after_a_round_trip_and_some() {
        let mut p = Path::new(&CONFIG);
        for chunk in 0..4 {
            p.ask(0, PullId(1), chunk, false, 1200);
        }
        p.arrive(2_000, PullId(1), 0, 64);
        p.arrive(2_000, PullId(1), 2, 64);
        assert!(lost(&mut p, 3_000).0.is_empty());
        let due = p
            .next(&Rtt::default(), &CONFIG)
            .expect("a chunk is waited for");
        let (chunks, found) = lost(&mut p, due);
        // Chunk 3 was requested later than all arrived chunks.
        assert_eq!(chunks, [1]);
        assert!(found.is_ok_and(|o| o.gap && !o.timeout));
        assert_eq!(p.under_way(), 1);
    }

    #[test]
    fn silence_is_loss_and_then_the_end() {
        let mut p = Path::new(&CONFIG);
        let mut now_us = 0;
        for round in 0..=CONFIG.timeouts_max {
            p.ask(now_us, PullId(1), 7, round > 0, 1200);
            let due = p
                .next(&Rtt::default(), &CONFIG)
                .expect("a chunk is waited for");
            assert!(lost(&mut p, due - 1).0.is_empty());
            now_us = due;
            let (chunks, found) = lost(&mut p, now_us);
            assert_eq!(chunks, [7]);
            assert_eq!(found.is_err(), round == CONFIG.timeouts_max);
        }
    }

    #[test]
    fn a_slow_holder_is_asked_for_one_chunk_again_and_not_for_all() {
        let mut p = Path::new(&CONFIG);
        for chunk in 0..8 {
            p.ask(0, PullId(1), chunk, false, 1200);
        }
        let (chunks, found) = lost(&mut p, CONFIG.first_rto_us);
        assert_eq!(chunks, [0]);
        assert!(found.is_ok_and(|o| o.timeout));
        assert_eq!(p.window(), 8);
        p.ask(CONFIG.first_rto_us, PullId(1), 0, true, 1200);
        // All answers come late and in order: nothing else was requested twice.
        let late = CONFIG.first_rto_us + 10_000;
        assert!(lost(&mut p, late).0.is_empty());
        for chunk in 0..8 {
            p.arrive(late + u64::from(chunk) * 1_000, PullId(1), chunk, 64);
            let found = lost(&mut p, late + u64::from(chunk) * 1_000);
            assert!(found.0.is_empty(), "{:?}", found.0);
        }
        let late = late + 7_000;
        assert_eq!(p.under_way(), 0);
        // A holder that stays silent has lost all.
        for chunk in 8..20 {
            p.ask(late, PullId(1), chunk, false, 1200);
        }
        let mut now_us = late;
        let mut asked_again = Vec::new();
        for _ in 0..4 {
            let due = p.next(&Rtt::default(), &CONFIG);
            now_us = now_us.max(due.expect("a chunk is waited for"));
            asked_again.push(lost(&mut p, now_us).0);
        }
        let rest = (13..20).collect();
        assert_eq!(asked_again, [vec![8], vec![9, 10], vec![11, 12], rest]);
    }

    #[test]
    fn a_probe_shows_what_is_lost() {
        let mut p = Path::new(&CONFIG);
        for chunk in 0..6 {
            p.ask(0, PullId(1), chunk, false, 1200);
        }
        p.arrive(10_000, PullId(1), 0, 64);
        // The others are lost, and nothing overtakes them.
        let due = p.next(&Rtt::default(), &CONFIG).expect("a probe");
        assert!(due < 10_000 + 2 * CONFIG.first_rto_us);
        assert_eq!(lost(&mut p, due).0, [1]);
        p.ask(due, PullId(1), 1, true, 1200);
        p.arrive(due + 10_000, PullId(1), 1, 64);
        // Those behind may be on their way, if the holder was slow: a little patience.
        let answered = due + 10_000;
        assert!(lost(&mut p, answered).0.is_empty());
        let due = p.next(&Rtt::default(), &CONFIG).expect("a check");
        assert!(due < answered + 10_000);
        let (chunks, found) = lost(&mut p, due);
        assert_eq!(chunks, [2, 3, 4, 5]);
        assert!(found.is_ok_and(|o| o.gap && !o.timeout));
    }

    #[test]
    fn windows_grow_with_arrivals_and_shrink_on_loss_and_delay() {
        let mut p = Path::new(&CONFIG);
        let mut now_us = 0;
        let mut chunk = 0;
        let mut round = |p: &mut Path, rtt: u64| {
            let first = chunk;
            for _ in 0..p.window() {
                p.ask(now_us, PullId(1), chunk, false, 1200);
                chunk += 1;
            }
            now_us += rtt;
            for c in first..chunk {
                p.arrive(now_us, PullId(1), c, 64);
            }
        };
        round(&mut p, 1_000);
        assert!(p.window() > 8);
        for _ in 0..20 {
            round(&mut p, 1_000);
        }
        assert_eq!(p.window(), 64);
        for _ in 0..3 {
            round(&mut p, 40_000);
        }
        let slow = p.window();
        assert!((20..60).contains(&slow));
        p.ask(2_000_000, PullId(1), 999_998, false, 1200);
        p.ask(2_000_000, PullId(1), 999_999, false, 1200);
        p.arrive(2_001_000, PullId(1), 999_999, 64);
        let due = p
            .next(&Rtt::default(), &CONFIG)
            .expect("a chunk is waited for");
        assert_eq!(lost(&mut p, due).0, [999_998]);
        assert!(p.window() < slow);
    }
}
