//! How long every layer of a task takes, for `solo --profile`.
//!
//! A task asks its arena for buffers once per firing of a layer, when the firing begins; an arena
//! that carries a [`Profile`] notes the time then. Without one a firing costs a single comparison
//! more. Loads and stores count for the layer before them.

use std::time::Instant;

use nix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// Most layers that are told apart in a task; those behind are left out.
const STEPS_MAX: usize = 1 << 12;

/// Most frames whose times are kept: a profile must not show in the memory of what it measures.
const FRAMES_MAX: usize = 128;

/// How long a layer took, over the frames.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LayerTimes {
    /// Shortest time, in seconds.
    pub min_s: f64,
    /// Median time, in seconds.
    pub median_s: f64,
    /// Longest time, in seconds.
    pub max_s: f64,
    /// Difference between the third and the first quartile, in seconds.
    pub spread_s: f64,
}

/// Times of every layer of every task.
#[derive(Debug)]
pub struct Profile {
    /// Reads this thread's processor time: right for teams of one, and deaf to other processes.
    processor: bool,
    begun: Instant,
    /// Per task, per frame, per layer: seconds.
    frames: Vec<Vec<Vec<f32>>>,
    /// Seconds of every layer of the current task so far.
    current: Vec<f64>,
    /// The current firing's layer, and when it began.
    last: Option<(usize, f64)>,
}

impl Profile {
    /// An empty profile of `tasks` tasks that teams of `threads` threads run.
    pub fn new(tasks: usize, threads: usize) -> Self {
        Self {
            processor: threads <= 1,
            begun: Instant::now(),
            frames: vec![Vec::new(); tasks],
            current: Vec::new(),
            last: None,
        }
    }

    fn now(&self) -> f64 {
        if self.processor
            && let Ok(t) = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        {
            return std::time::Duration::from(t).as_secs_f64();
        }
        self.begun.elapsed().as_secs_f64()
    }

    /// Notes that a firing of layer `layer` begins.
    pub fn begin(&mut self, layer: usize) {
        let now = self.now();
        self.end(now);
        self.last = Some((layer, now));
    }

    fn end(&mut self, now: f64) {
        let Some((layer, begun)) = self.last.take() else {
            return;
        };
        if layer < STEPS_MAX {
            let layers = self.current.len().max(layer + 1);
            self.current.resize(layers, 0.0);
            self.current[layer] += now - begun;
        }
    }

    /// Notes that the current task is done, and that its number is `task`.
    pub fn done(&mut self, task: usize) {
        let now = self.now();
        self.end(now);
        let frames = &mut self.frames[task];
        if frames.len() < FRAMES_MAX {
            #[expect(clippy::cast_possible_truncation, reason = "seven digits are plenty")]
            frames.push(self.current.iter().map(|s| *s as f32).collect());
        }
        self.current.clear();
    }

    /// For each task, the times of its layers in order.
    pub fn layers(&self) -> Vec<Vec<LayerTimes>> {
        let task = |frames: &Vec<Vec<f32>>| {
            let layers = frames.iter().map(Vec::len).min().unwrap_or(0);
            let layer = |i| LayerTimes::of(frames.iter().map(|f| f64::from(f[i])).collect());
            (0..layers).map(layer).collect()
        };
        self.frames.iter().map(task).collect()
    }
}

impl LayerTimes {
    /// Of at least one time.
    fn of(mut seconds: Vec<f64>) -> Self {
        seconds.sort_by(f64::total_cmp);
        let last = seconds.len() - 1;
        Self {
            min_s: seconds[0],
            median_s: seconds[seconds.len() / 2],
            max_s: seconds[last],
            spread_s: seconds[3 * last / 4] - seconds[last / 4],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LayerTimes, Profile};

    #[test]
    fn firings_are_summed_by_layer_and_times_kept() {
        for threads in [1, 2] {
            let mut p = Profile::new(2, threads);
            for _ in 0..3 {
                for _block in 0..2 {
                    for layer in 0..4 {
                        p.begin(layer);
                    }
                }
                p.done(1);
            }
            let layers = p.layers();
            assert!(layers[0].is_empty());
            assert_eq!(layers[1].len(), 4);
            for l in &layers[1] {
                assert!(0.0 <= l.min_s && l.min_s <= l.median_s && l.median_s <= l.max_s);
            }
        }
    }

    #[test]
    fn quartiles_bound_the_middle_half() {
        let t = LayerTimes::of((0..=8).rev().map(f64::from).collect());
        let [min_s, median_s, max_s, spread_s] = [0.0, 4.0, 8.0, 4.0];
        let want = LayerTimes {
            min_s,
            median_s,
            max_s,
            spread_s,
        };
        assert_eq!(t, want);
    }
}
