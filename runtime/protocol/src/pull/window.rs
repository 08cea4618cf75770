//! The window: most chunks that may be under way from one holder.
//!
//! The window grows by what arrives (slow start), then by about one chunk per round trip, and aims at a short queue, as LEDBAT
//! does (RFC 6817): what takes longer than the shortest round trip has waited somewhere.
//!
//! Loss alone says little about a radio. A window that shrank with every lost chunk would leave a channel with 10 % loss
//! almost empty. So loss counts as congestion only while answers have waited, and then the window shrinks by what makes up
//! the queue. When nearly everything gets lost, it shrinks anyway: that is a queue too short to be seen.

use crate::Micros;

/// Queueing delay that the window aims at, in microseconds.
const TARGET_DELAY_US: u64 = 15_000;
/// Queueing delay from which on slow start grows slower, in microseconds: what fills the queue next must not overflow it
/// (conservative slow start, RFC 9406, section 4.2).
const SLOWER_DELAY_US: u64 = TARGET_DELAY_US / 2;
/// Chunks by which the window then grows with each that arrives. The section has a quarter; then one camera keeps six boards busy for
/// 87 % of the time instead of 91 (YOLOv2, portable kernels, 38.4 Mbit/s).
const SLOWER_GROWTH: f32 = 0.5;
/// Span after which the shortest round trip is forgotten, at the latest after two spans, in microseconds: routes
/// and loads change.
const BASE_SPAN_US: u64 = 10_000_000;
/// Smallest window in chunks: large enough to tell a single loss from silence, and for a share of a channel that others fill
/// whose shortest round trips were measured when it was emptier.
const CHUNKS_MIN: f32 = 8.0;
/// The window grows by one chunk in this time once it is near its size, or in a round trip if that is shorter, in
/// microseconds: on long paths, one per round trip would take minutes.
const GROWTH_US: f32 = 25_000.0;
/// Most chunks that the window grows per round trip, but for slow start.
const GROWTH_MAX: f32 = 8.0;
/// Chunks after which a share of lost ones says something: a lost request loses many at once.
const ROUND_CHUNKS_MIN: u32 = 128;
/// Shortest round trip of a path whose requests are spread over time, in microseconds.
const PACED_US_MIN: u64 = 10_000;

/// The window of a path.
#[derive(Debug)]
pub struct Window {
    chunks: f32,
    slow_start: bool,
    /// Shortest round trips of the last two spans, and the end of the present span.
    base: [u64; 2],
    base_until: Micros,
    /// Smoothed time that answers waited, in microseconds.
    queued: u64,
    /// Losses of chunks requested before this time do not shrink the window again.
    shrunk_at: Micros,
    /// Chunks that arrived and that got lost since the window was last looked at for heavy loss.
    round: [u32; 2],
}

impl Window {
    /// A window of `chunks` chunks, of a path about which nothing is known.
    pub fn new(chunks: u32) -> Self {
        Self {
            chunks: chunks.max(1) as f32,
            slow_start: true,
            base: [u64::MAX; 2],
            base_until: 0,
            queued: 0,
            shrunk_at: 0,
            round: [0; 2],
        }
    }

    /// Most chunks that may be under way.
    pub const fn chunks(&self) -> usize {
        self.chunks as usize
    }

    /// The shortest round trip of late, in microseconds; `u64::MAX` before the first one.
    pub fn shortest(&self) -> u64 {
        self.base[0].min(self.base[1])
    }

    /// Notes the answer to a request of `asked_us` that took `sample` microseconds. `limited` says that the window was in use;
    /// the window grows to at most `most` chunks.
    pub fn arrive(
        &mut self,
        now_us: Micros,
        asked_us: Micros,
        sample: u64,
        limited: bool,
        most: f32,
    ) {
        if now_us >= self.base_until {
            self.base = [sample, self.base[0]];
            self.base_until = now_us + BASE_SPAN_US;
        }
        self.base[0] = self.base[0].min(sample);
        let delay = sample.saturating_sub(self.shortest());
        self.queued = (3 * self.queued + delay) / 4;
        self.round[0] += 1;
        if delay > 2 * TARGET_DELAY_US {
            // Other flows fill the same queue; growing slower would take too long to notice.
            if asked_us >= self.shrunk_at {
                let base = self.shortest();
                let keep = (base + TARGET_DELAY_US) as f32 / (base + delay) as f32;
                self.shrink(now_us, keep.max(0.8));
            }
        } else if self.slow_start && limited {
            self.chunks += if self.queued < SLOWER_DELAY_US {
                1.0
            } else {
                SLOWER_GROWTH
            };
            // Not of one answer: it may have been overtaken.
            self.slow_start = self.queued < TARGET_DELAY_US;
        } else if limited {
            let off = (TARGET_DELAY_US as f32 - delay as f32) / TARGET_DELAY_US as f32;
            let growth = (self.shortest() as f32 / GROWTH_US).clamp(1.0, GROWTH_MAX);
            self.chunks += off * growth / self.chunks;
        }
        self.chunks = self.chunks.max(CHUNKS_MIN).min(most);
    }

    /// Waiting that counts as congestion when chunks get lost, in microseconds. A fast network has short queues.
    fn notable(&self) -> u64 {
        (self.shortest() / 2)
            .saturating_add(1_000)
            .min(TARGET_DELAY_US / 2)
    }

    /// True while answers wait so long that lost chunks count as congestion.
    pub fn waits(&self) -> bool {
        self.queued > self.notable()
    }

    /// Notes that `chunks` chunks got lost, the first of them requested at `asked_us`.
    pub fn lose(&mut self, now_us: Micros, asked_us: Micros, chunks: u32) {
        self.round[1] += chunks;
        let [arrived, lost] = self.round;
        let heavy = arrived + lost >= ROUND_CHUNKS_MIN && lost > 4 * arrived;
        if arrived + lost >= ROUND_CHUNKS_MIN {
            self.round = [0; 2];
        }
        if asked_us < self.shrunk_at {
            return;
        }
        if heavy {
            self.shrink(now_us, 0.5);
        } else if self.waits() {
            let base = self.shortest() as f32;
            let keep = base / (base + self.queued as f32);
            self.shrink(now_us, keep.max(0.75));
        }
    }

    /// Notes that nothing came for long, though it was asked for again.
    pub fn fall_silent(&mut self, now_us: Micros) {
        let keep = if self.waits() { 0.5 } else { 0.8 };
        self.shrink(now_us, keep);
    }

    /// True when requests are spread over time.
    pub fn is_paced(&self) -> bool {
        (PACED_US_MIN..u64::MAX).contains(&self.shortest())
    }

    /// How long requests for `chunks` chunks are to be apart so that a window's worth takes most of a round trip, in
    /// microseconds. On a short path, answers pace the requests well enough.
    pub fn pace(&self, chunks: usize) -> u64 {
        if !self.is_paced() {
            return 0;
        }
        let rtt = self.shortest();
        let faster = if self.slow_start { 2.0 } else { 1.25 };
        (chunks as f32 * rtt as f32 / (self.chunks * faster)) as u64
    }

    fn shrink(&mut self, now_us: Micros, keep: f32) {
        self.slow_start = false;
        self.chunks = (self.chunks * keep).max(CHUNKS_MIN);
        self.shrunk_at = now_us;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A window after `rounds` round trips of 20 ms, in each of which answers wait for `delay` microseconds and a share of the
    /// chunks gets lost, in percent.
    fn after(rounds: u64, delay: u64, loss: usize) -> usize {
        let mut w = Window::new(16);
        w.arrive(20_000, 0, 20_000, true, 400.0);
        for round in 1..=rounds {
            let (asked, now) = (round * 100_000, round * 100_000 + 20_000 + delay);
            let chunks = w.chunks();
            for _ in 0..chunks * (100 - loss) / 100 {
                w.arrive(now, asked, 20_000 + delay, true, 400.0);
            }
            if chunks * loss >= 100 {
                w.lose(now, asked, (chunks * loss / 100) as u32);
            }
        }
        w.chunks()
    }

    #[test]
    fn loss_on_an_empty_path_is_the_radio_s() {
        assert_eq!(after(10, 0, 0), 400);
        assert!(after(10, 0, 30) > 300);
    }

    #[test]
    fn loss_with_a_queue_is_congestion() {
        let (quiet, lossy) = (after(20, 10_000, 0), after(20, 10_000, 10));
        assert!(lossy < quiet && lossy < 30, "{lossy}, {quiet}");
    }

    #[test]
    fn long_queues_shrink_the_window_without_loss() {
        let full = after(10, 0, 0);
        let mut w = Window::new(16);
        for k in 0..400 {
            w.arrive(20_000 + k, 0, 20_000, true, 400.0);
        }
        for round in 1..=10u64 {
            let now = round * 100_000;
            w.arrive(now + 80_000, now, 80_000, true, 400.0);
        }
        assert!(w.chunks() < full / 2);
    }

    #[test]
    fn a_path_that_loses_nearly_all_is_used_less() {
        assert!(after(60, 0, 90) <= 8);
    }
}
