//! How long every layer of a task takes, for `solo --profile`.
//!
//! A task asks its arena for buffers once per firing of a layer, when the firing begins; an arena
//! that carries a [`Profile`] notes the time then. Without one a firing costs a single comparison
//! more. Loads and stores count for the layer before them.

use std::time::Instant;

use nix::time::{ClockId, clock_gettime};

/// Most layers that are told apart in a task; those behind are left out.
const STEPS_MAX: usize = 1 << 12;

/// Shortest time of every layer of every task.
#[derive(Debug)]
pub struct Profile {
    /// Reads this thread's processor time: right for teams of one, and deaf to other processes.
    processor: bool,
    begun: Instant,
    /// Per task, per layer, seconds.
    best: Vec<Vec<f64>>,
    /// Seconds of every layer of the current task so far.
    current: Vec<f64>,
    /// The current firing's layer, and when it began.
    last: Option<(usize, f64)>,
}

impl Profile {
    /// For `tasks` tasks run by teams of `threads`.
    pub fn new(tasks: usize, threads: usize) -> Self {
        Self {
            processor: threads <= 1,
            begun: Instant::now(),
            best: vec![Vec::new(); tasks],
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

    /// A firing of layer `layer` begins.
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

    /// The current task was number `task`, and is done.
    pub fn done(&mut self, task: usize) {
        let now = self.now();
        self.end(now);
        let best = &mut self.best[task];
        if best.len() == self.current.len() {
            for (best, now) in best.iter_mut().zip(&self.current) {
                *best = best.min(*now);
            }
        } else {
            best.clone_from(&self.current);
        }
        self.current.clear();
    }

    /// Per task the shortest seconds of its layers, in order.
    pub fn seconds(&self) -> &[Vec<f64>] {
        &self.best
    }
}

#[cfg(test)]
mod tests {
    use super::Profile;

    #[test]
    fn layers_are_counted_and_the_shortest_kept() {
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
            assert!(p.seconds()[0].is_empty());
            assert_eq!(p.seconds()[1].len(), 4);
            assert!(p.seconds()[1].iter().all(|s| *s >= 0.0));
        }
    }
}
