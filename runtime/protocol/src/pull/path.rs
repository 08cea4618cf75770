//! The way from one holder to this node: what was asked of it and has not come, how long answers
//! take, and how much may be under way.
//!
//! A holder serves requests in the order in which they arrive, so chunks come in the order in
//! which they were asked for, except for what the network loses or reorders. A chunk counts as
//! lost when one asked for later has arrived and a round trip plus some tolerance for reordering
//! has passed (as RACK does for TCP, RFC 8985, section 6.2), or when nothing has come for longer
//! than the retransmission timeout (RFC 6298). The window grows by one chunk per round trip, and
//! shrinks on loss, and, as LEDBAT does (RFC 6817), when answers take longer than they could.

use std::collections::VecDeque;

use super::PullError;
use crate::{Micros, PullId, TransferConfig};

/// Queueing delay that the window aims at.
const TARGET_DELAY_US: u64 = 15_000;
/// The shortest round trip is forgotten after once to twice so long: routes and loads change.
const BASE_SPAN_US: u64 = 10_000_000;
/// Windows never shrink below so many chunks: a loss can still be told from silence.
const WINDOW_CHUNKS_MIN: f32 = 4.0;
/// First tolerance for reordering.
const FIRST_REORDER_US: u64 = 1_000;
/// Largest.
const REORDER_US_MAX: u64 = 30_000;

/// A chunk asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestedChunk {
    pub pull: PullId,
    pub chunk: u32,
    pub at: Micros,
    /// Counts what was asked of this holder.
    pub seq: u64,
    /// Whether it had been asked for before: then its round trip says nothing.
    pub again: bool,
    /// Its payload.
    pub bytes: usize,
}

/// One holder, as its receiver knows it.
#[derive(Debug)]
pub struct Path {
    /// In the order of asking.
    out: VecDeque<RequestedChunk>,
    window: f32,
    slow_start: bool,
    rtt: Rtt,
    /// Shortest round trips of the last two spans, and when the span ends.
    base: [u64; 2],
    base_until: Micros,
    /// Tolerance for reordering.
    reorder: u64,
    next_seq: u64,
    /// Highest `seq` that has arrived, plus one.
    arrived: u64,
    /// Losses of chunks asked for before do not shrink the window again.
    shrunk_at: Micros,
    /// Timeouts in a row.
    silent: u32,
    /// Size of chunks that are asked for.
    chunk_bytes: usize,
    /// When larger ones are tried again.
    narrow_until_us: Micros,
    /// Payload of the largest chunk that has come.
    largest_bytes: usize,
    /// How often larger chunks than that counted as lost since.
    larger_losses: u32,
    /// Whether it was said that this path is narrow.
    told: bool,
    /// Doublings of the timeout. They last until a chunk comes that was asked for once: only its
    /// round trip is certain (Karn's rule).
    backoff: u32,
}

/// Smoothed round trips and their variation (RFC 6298).
#[derive(Clone, Copy, Debug, Default)]
pub struct Rtt {
    smoothed: Option<(u64, u64)>,
}

impl Rtt {
    /// A round trip was measured.
    pub fn measure(&mut self, sample: u64) {
        self.smoothed = Some(match self.smoothed {
            None => (sample, sample / 2),
            Some((rtt, var)) => ((rtt * 7 + sample) / 8, (var * 3 + rtt.abs_diff(sample)) / 4),
        });
    }

    /// Silence that is longer than an answer takes.
    fn timeout(&self) -> Option<u64> {
        self.smoothed.map(|(rtt, var)| rtt + (4 * var).max(1_000))
    }
}

/// What [`Path::overdue`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overdue {
    /// Chunks were overtaken for too long.
    pub gap: bool,
    /// Nothing has come for too long.
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
            chunk_bytes: config.chunk_bytes,
            narrow_until_us: Micros::MAX,
            largest_bytes: 0,
            larger_losses: 0,
            told: false,
            backoff: 0,
        }
    }

    /// Size of chunks that are asked for, in bytes.
    pub const fn chunk_bytes(&self) -> usize {
        self.chunk_bytes
    }

    /// Goes over to small chunks when those that are larger than any that has come get lost again and again:
    /// the path may lose large datagrams, without a word. Says whether it did.
    pub fn narrow(&mut self, now_us: Micros) -> bool {
        let narrow = TransferConfig::NARROW_CHUNK_BYTES;
        let due = self.larger_losses >= TransferConfig::NARROW_AFTER;
        if !due || self.chunk_bytes <= narrow {
            return false;
        }
        self.chunk_bytes = narrow;
        self.narrow_until_us = now_us + TransferConfig::NARROW_FOR_US;
        self.out.clear();
        // Small ones have had no chance yet.
        (self.backoff, self.silent, self.larger_losses) = (0, 0, 0);
        true
    }

    /// Whether larger chunks should be tried again.
    pub const fn may_be_wide(&self, now_us: Micros) -> bool {
        self.narrow_until_us <= now_us
    }

    /// A chunk has come. Says once that it came over a path where larger ones do not.
    pub fn prove(&mut self, bytes: usize, config: &TransferConfig) -> bool {
        if bytes > self.largest_bytes {
            self.largest_bytes = bytes;
            self.larger_losses = 0;
        }
        let narrow = self.chunk_bytes < config.chunk_bytes;
        narrow && !std::mem::replace(&mut self.told, true)
    }

    /// Chunks under way.
    pub fn under_way(&self) -> usize {
        self.out.len()
    }

    /// Chunks that may be under way.
    pub fn window(&self) -> usize {
        self.window as usize
    }

    /// A chunk is asked for.
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

    /// A chunk has arrived, whether it was still waited for or not. Gives its round trip when that
    /// is certain.
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
        self.arrived = self.arrived.max(asked.seq + 1);
        if asked.again {
            // It had been lost indeed.
            self.reorder = (self.reorder - self.reorder / 16).max(FIRST_REORDER_US);
            return None;
        }
        let sample = now_us.saturating_sub(asked.at);
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

    /// Moves the window after an answer that waited for `delay`.
    fn adapt(&mut self, now_us: Micros, asked: &RequestedChunk, delay: u64, limited: bool) {
        if delay > 2 * TARGET_DELAY_US {
            // Others fill the same queue; a chunk per round trip would take too long to notice.
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

    /// A chunk came twice: what seemed lost had only been overtaken.
    pub fn spurious(&mut self) {
        self.reorder = (self.reorder * 2).min(REORDER_US_MAX);
    }

    /// Silence that counts as loss. `load` is about all paths: this one may not have been used since
    /// the network filled.
    fn rto(&self, load: &Rtt, config: &TransferConfig) -> u64 {
        let own = self.rtt.timeout().unwrap_or(config.first_rto_us);
        let one = own.max(load.timeout().unwrap_or(0));
        let one = one.clamp(config.rto_us_min, config.rto_us_max);
        (one << self.backoff.min(10)).min(config.rto_us_max)
    }

    /// How long a chunk may be overtaken.
    fn patience(&self) -> u64 {
        self.rtt.smoothed.map_or(0, |(rtt, var)| rtt + var) + self.reorder
    }

    fn due(&self, asked: &RequestedChunk, load: &Rtt, config: &TransferConfig) -> Micros {
        let timeout = asked.at + self.rto(load, config);
        if asked.seq < self.arrived {
            timeout.min(asked.at + self.patience())
        } else {
            timeout
        }
    }

    /// When to look for lost chunks.
    pub fn next(&self, load: &Rtt, config: &TransferConfig) -> Option<Micros> {
        // What was asked for first is due first, but for the rare case that only a later one has
        // been overtaken; then the look is a little late.
        self.out.front().map(|a| self.due(a, load, config))
    }

    /// Takes out what counts as lost.
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
        while let Some(a) = self.out.front().copied() {
            if a.seq < self.arrived && a.at + patience <= now_us {
                found.gap = true;
            } else if a.at + rto <= now_us {
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
            self.shrink(now_us, 0.5);
            self.silent += 1;
            self.backoff += 1;
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

    /// A pull is over: what it asked for is no longer waited for.
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
        // Chunk 3 was asked for later than all that have arrived.
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
