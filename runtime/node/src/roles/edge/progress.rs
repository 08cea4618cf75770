//! Counts the outcomes of a source's inputs.

use std::collections::VecDeque;

use super::Tag;
use tessera_plan::files::{
    events::Event,
    statistics::{EndedFrame, SourceFrames},
};
use tessera_protocol::{FrameMeta, FrameOutcome, Micros};

/// Most frames of which the latency is kept one by one; the oldest go first.
const KEPT_MAX: usize = 4096;

/// Counts and latencies of a source's frames.
#[derive(Debug, Default)]
pub struct Progress {
    /// All but the frames one by one.
    counts: SourceFrames,
    kept: VecDeque<EndedFrame>,
}

impl Progress {
    /// Counts a frame that the machine took.
    pub fn accepted(&mut self) {
        self.counts.accepted += 1;
    }

    /// Counts an input that could not be read.
    pub fn skipped(&mut self) {
        self.counts.skipped += 1;
    }

    /// Counts a frame whose record is written.
    pub fn ended(&mut self, now: Micros, number: u32, meta: FrameMeta, outcome: FrameOutcome) {
        let latency_us = now.saturating_sub(meta.captured_us);
        match outcome {
            FrameOutcome::Detections => {
                self.counts.detections += 1;
                self.counts.latency_us += latency_us;
            }
            FrameOutcome::Dropped(_) => self.counts.dropped += 1,
        }
        if self.kept.len() == KEPT_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(EndedFrame {
            frame: number,
            tag: Tag::decode(meta.tag).index,
            latency_us,
            dropped: matches!(outcome, FrameOutcome::Dropped(_)),
        });
    }

    /// Number of inputs that could not be read.
    pub fn skips(&self) -> u64 {
        self.counts.skipped
    }

    /// Number of accepted frames that have no record yet.
    pub fn under_way(&self) -> u64 {
        let c = &self.counts;
        c.accepted.saturating_sub(c.detections + c.dropped)
    }

    /// Whether all accepted frames have their records.
    pub fn all_ended(&self) -> bool {
        self.under_way() == 0
    }

    /// The event that the node prints at the end of the inputs.
    pub fn event(&self) -> Event {
        Event::Finished {
            detections: self.counts.detections,
            dropped: self.counts.dropped,
            skipped: self.counts.skipped,
        }
    }

    /// The counts, and the latencies of the last frames.
    pub fn statistics(&self) -> SourceFrames {
        SourceFrames {
            each: self.kept.iter().copied().collect(),
            ..self.counts.clone()
        }
    }
}
