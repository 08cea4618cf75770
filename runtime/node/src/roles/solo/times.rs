//! Measures the times of frames.

use std::time::Instant;

use nix::time::{ClockId, clock_gettime};

use crate::memory;
use tessera_plan::files::events::Event;

/// Times in seconds, one entry per frame.
#[derive(Default)]
pub struct Times {
    total_s: Vec<f64>,
    stages_s: Vec<f64>,
    tail_s: Vec<f64>,
    /// Processor time of all threads, in seconds.
    processor_s: Vec<f64>,
}

impl Times {
    /// Measures how long `stages` and then `tail` take on `on`; returns the result of `tail`.
    pub fn note<T, R>(
        &mut self,
        on: &mut T,
        stages: impl FnOnce(&mut T),
        tail: impl FnOnce(&mut T) -> R,
    ) -> R {
        let (begun, used) = (Instant::now(), processor_s());
        stages(on);
        let stages_s = begun.elapsed().as_secs_f64();
        let result = tail(on);
        let total_s = begun.elapsed().as_secs_f64();
        self.total_s.push(total_s);
        self.stages_s.push(stages_s);
        self.tail_s.push(total_s - stages_s);
        self.processor_s.push(processor_s() - used);
        result
    }

    /// All times, and the memory that the process took.
    pub fn event(self) -> Event {
        Event::Timing {
            seconds: self.total_s,
            stages_seconds: self.stages_s,
            tail_seconds: self.tail_s,
            processor_seconds: self.processor_s,
            memory: memory::now(),
        }
    }
}

/// Processor time of this process so far, in seconds.
fn processor_s() -> f64 {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)
        .map_or(0.0, |t| std::time::Duration::from(t).as_secs_f64())
}
