//! How long every layer of a task takes, for `solo --profile`.
//!
//! A task asks its arena for buffers exactly once per layer, when the layer begins; an arena that
//! carries a [`Profile`] notes the time then. Without one a layer costs a single comparison more.

use std::time::Instant;

use nix::time::{ClockId, clock_gettime};

/// Most layers that are told apart in a task; the last one holds the time of all behind it.
const STEPS_MAX: usize = 1 << 12;

/// Shortest time of every layer of every task.
#[derive(Debug)]
pub struct Profile {
    /// Reads this thread's processor time: right for teams of one, and deaf to other processes.
    processor: bool,
    begun: Instant,
    /// Per task, per layer, seconds.
    best: Vec<Vec<f64>>,
    /// Seconds of the layers of the current task that are done.
    current: Vec<f64>,
    /// When the current layer began.
    last: Option<f64>,
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

    /// The current task's next layer begins.
    pub fn step(&mut self) {
        let now = self.now();
        if let Some(last) = self.last
            && self.current.len() < STEPS_MAX
        {
            self.current.push(now - last);
        }
        self.last = Some(now);
    }

    /// The current task was number `task`, and is done.
    pub fn done(&mut self, task: usize) {
        self.step();
        self.last = None;
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
                for _layer in 0..4 {
                    p.step();
                }
                p.done(1);
            }
            assert!(p.seconds()[0].is_empty());
            assert_eq!(p.seconds()[1].len(), 4);
            assert!(p.seconds()[1].iter().all(|s| *s >= 0.0));
        }
    }
}
