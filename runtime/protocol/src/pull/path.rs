//! The path from one holder to this node: outstanding requests, round trips,
//! and the window of chunks under way.
//!
//! A holder serves requests in the order of arrival, so chunks come in the order of the
//! requests, except for loss and reordering in the network. A chunk counts as
//! lost when a chunk requested later has arrived and a round trip plus some tolerance for reordering
//! has passed (as RACK does for TCP, RFC 8985, section 6.2), or when nothing has come for longer
//! than the retransmission timeout (RFC 6298). At the first silence only the oldest chunk is requested again
//! (a probe, as in RFC 8985, section 7): a holder that is merely slow answers in order, and its answers
//! would come twice. The window grows by one chunk per round trip. The window
//! shrinks on loss, and, as LEDBAT does (RFC 6817), when answers take longer than the shortest round trip.

use std::collections::VecDeque;

use super::PullError;
use crate::{Micros, PullId, TransferConfig};

/// Queueing delay that the window aims at, in microseconds.
const TARGET_DELAY_US: u64 = 15_000;
/// Span after which the shortest round trip is forgotten, at the latest after two spans, in microseconds: routes
/// and loads change.
const BASE_SPAN_US: u64 = 10_000_000;
/// Smallest window in chunks: large enough to tell a single loss from silence.
const WINDOW_CHUNKS_MIN: f32 = 4.0;
/// Initial tolerance for reordering, in microseconds.
const FIRST_REORDER_US: u64 = 1_000;
/// Largest tolerance for reordering, in microseconds.
const REORDER_US_MAX: u64 = 30_000;

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
    window: f32,
    slow_start: bool,
    rtt: Rtt,
    /// Shortest round trips of the last two spans, and the end of the present span.
    base: [u64; 2],
    base_until: Micros,
    /// Tolerance for reordering, in microseconds.
    reorder: u64,
    next_seq: u64,
    /// Highest `seq` that has arrived, plus one.
    arrived: u64,
    /// Losses of chunks requested before this time do not shrink the window again.
    shrunk_at: Micros,
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
    /// Doublings of the timeout. The doublings last until a chunk arrives that was requested only once: only such
    /// a chunk's round trip is certain (Karn's rule).
    backoff: u32,
}

/// Smoothed round trips and their variation (RFC 6298).
#[derive(Clone, Copy, Debug, Default)]
pub struct Rtt {
    smoothed: Option<(u64, u64)>,
}

impl Rtt {
    /// Adds a measured round trip, in microseconds.
    pub fn measure(&mut self, sample: u64) {
        self.smoothed = Some(match self.smoothed {
            None => (sample, sample / 2),
            Some((rtt, var)) => ((rtt * 7 + sample) / 8, (var * 3 + rtt.abs_diff(sample)) / 4),
        });
    }

    /// The retransmission timeout, in microseconds; `None` before the first round trip.
    fn timeout(&self) -> Option<u64> {
        self.smoothed.map(|(rtt, var)| rtt + (4 * var).max(1_000))
    }
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
            window: config.first_window_chunks.max(1) as f32,
            slow_start: true,
            rtt: Rtt::default(),
            base: [u64::MAX; 2],
            base_until: 0,
            reorder: FIRST_REORDER_US,
            next_seq: 0,
            arrived: 0,
            shrunk_at: 0,
            silent: 0,
            timeout_at: 0,
            chunk_bytes: config.chunk_bytes,
            narrow_until_us: Micros::MAX,
            largest_bytes: 0,
            larger_losses: 0,
            told: false,
            backoff: 0,
        }
    }

    /// Bytes per requested chunk.
    pub const fn chunk_bytes(&self) -> usize {
        self.chunk_bytes
    }

    /// Switches to small chunks when chunks larger than any that has arrived get lost repeatedly:
    /// the path may silently lose large datagrams. Returns true on a switch.
    pub fn narrow(&mut self, now_us: Micros) -> bool {
        let narrow = TransferConfig::NARROW_CHUNK_BYTES;
        let due = self.larger_losses >= TransferConfig::NARROW_AFTER;
        if !due || self.chunk_bytes <= narrow {
            return false;
        }
        self.chunk_bytes = narrow;
        self.narrow_until_us = now_us + TransferConfig::NARROW_FOR_US;
        self.out.clear();
        // Small chunks have had no chance yet.
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
    pub fn window(&self) -> usize {
        self.window as usize
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
    }

    /// Notes the arrival of a chunk, outstanding or not. Returns the chunk's round trip in microseconds when
    /// the round trip is certain.
    pub fn arrive(
        &mut self,
        now_us: Micros,
        pull: PullId,
        chunk: u32,
        config: &TransferConfig,
    ) -> Option<u64> {
        self.silent = 0;
        let found = |a: &RequestedChunk| a.pull == pull && a.chunk == chunk;
        let i = self.out.iter().position(found)?;
        let limited = self.out.len() * 2 >= self.window();
        let asked = self.out.remove(i)?;
        let sample = now_us.saturating_sub(asked.at);
        let shortest = self.base[0].min(self.base[1]);
        // An answer that comes sooner than any before answers the first request, which nothing has overtaken.
        if !asked.again || sample >= shortest {
            self.arrived = self.arrived.max(asked.seq + 1);
        }
        if asked.again {
            // The chunk had been lost indeed.
            self.reorder = (self.reorder - self.reorder / 16).max(FIRST_REORDER_US);
            return None;
        }
        self.backoff = 0;
        self.rtt.measure(sample);
        if now_us >= self.base_until {
            self.base = [sample, self.base[0]];
            self.base_until = now_us + BASE_SPAN_US;
        }
        self.base[0] = self.base[0].min(sample);
        let delay = sample.saturating_sub(self.base[0].min(self.base[1]));
        self.adapt(now_us, &asked, delay, limited);
        let most = (config.receive_budget_bytes / config.chunk_bytes).max(1) as f32;
        self.window = self.window.max(WINDOW_CHUNKS_MIN).min(most);
        Some(sample)
    }

    /// Adapts the window to an answer that queued for `delay` microseconds.
    fn adapt(&mut self, now_us: Micros, asked: &RequestedChunk, delay: u64, limited: bool) {
        if delay > 2 * TARGET_DELAY_US {
            // Other flows fill the same queue; one chunk per round trip would take too long to notice.
            if asked.at >= self.shrunk_at {
                self.shrink(now_us, 0.8);
            }
        } else if self.slow_start && limited {
            self.window += 1.0;
            self.slow_start = delay < TARGET_DELAY_US;
        } else if limited {
            let off = (TARGET_DELAY_US as f32 - delay as f32) / TARGET_DELAY_US as f32;
            self.window += off / self.window;
        }
    }

    /// Notes a duplicate chunk: the chunk that seemed lost had only been overtaken.
    pub fn spurious(&mut self) {
        self.reorder = (self.reorder * 2).min(REORDER_US_MAX);
    }

    /// Silence that counts as loss, in microseconds. `load` covers all paths: this path may have been idle since
    /// the network filled.
    fn rto(&self, load: &Rtt, config: &TransferConfig) -> u64 {
        let own = self.rtt.timeout().unwrap_or(config.first_rto_us);
        let one = own.max(load.timeout().unwrap_or(0));
        let one = one.clamp(config.rto_us_min, config.rto_us_max);
        (one << self.backoff.min(10)).min(config.rto_us_max)
    }

    /// How long a chunk may be overtaken before the chunk counts as lost, in microseconds.
    fn patience(&self) -> u64 {
        self.rtt.smoothed.map_or(0, |(rtt, var)| rtt + var) + self.reorder
    }

    fn due(&self, asked: &RequestedChunk, load: &Rtt, config: &TransferConfig) -> Micros {
        let timeout = asked.at.max(self.timeout_at) + self.rto(load, config);
        if asked.seq < self.arrived {
            timeout.min(asked.at + self.patience())
        } else {
            timeout
        }
    }

    /// When to check for lost chunks.
    pub fn next(&self, load: &Rtt, config: &TransferConfig) -> Option<Micros> {
        // The chunk requested first is due first, except when only a later chunk has
        // been overtaken; then the check is a little late.
        self.out.front().map(|a| self.due(a, load, config))
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
        let (rto, patience) = (self.rto(load, config), self.patience());
        let (mut first, mut larger) = (None, false);
        let probe = self.backoff == 0;
        while let Some(a) = self.out.front().copied() {
            if a.seq < self.arrived && a.at + patience <= now_us {
                found.gap = true;
            } else if found.timeout && probe {
                break;
            } else if a.at.max(self.timeout_at) + rto <= now_us {
                found.timeout = true;
            } else {
                break;
            }
            first.get_or_insert(a.at);
            larger |= a.bytes > self.largest_bytes;
            self.out.pop_front();
            lost(a);
        }
        self.larger_losses += u32::from(larger);
        if found.gap && first.is_some_and(|at| at >= self.shrunk_at) {
            self.shrink(now_us, 0.75);
        }
        if found.timeout {
            // A probe takes the place of the chunk that it asks for again, and nothing is known to be lost yet.
            if !probe {
                self.shrink(now_us, 0.5);
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

    fn shrink(&mut self, now_us: Micros, factor: f32) {
        self.slow_start = false;
        self.window = (self.window * factor).max(WINDOW_CHUNKS_MIN);
        self.shrunk_at = now_us;
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
        p.arrive(2_000, PullId(1), 0, &CONFIG);
        p.arrive(2_000, PullId(1), 2, &CONFIG);
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
            p.arrive(late + u64::from(chunk) * 1_000, PullId(1), chunk, &CONFIG);
            let found = lost(&mut p, late + u64::from(chunk) * 1_000);
            assert!(found.0.is_empty(), "{:?}", found.0);
        }
        let late = late + 7_000;
        assert_eq!(p.under_way(), 0);
        // A holder that stays silent has lost all.
        for chunk in 8..12 {
            p.ask(late, PullId(1), chunk, false, 1200);
        }
        let mut now_us = late;
        let mut asked_again = Vec::new();
        for _ in 0..2 {
            let due = p.next(&Rtt::default(), &CONFIG);
            now_us = now_us.max(due.expect("a chunk is waited for"));
            asked_again.push(lost(&mut p, now_us).0);
        }
        assert_eq!(asked_again, [vec![8], vec![9, 10, 11]]);
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
                p.arrive(now_us, PullId(1), c, &CONFIG);
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
        p.arrive(2_001_000, PullId(1), 999_999, &CONFIG);
        let due = p
            .next(&Rtt::default(), &CONFIG)
            .expect("a chunk is waited for");
        assert_eq!(lost(&mut p, due).0, [999_998]);
        assert!(p.window() < slow);
    }
}
