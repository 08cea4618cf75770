//! What became of a source's inputs.

use std::collections::VecDeque;

use serde_json::{Value, json};

use tessera_protocol::{FrameMeta, FrameOutcome, Micros};

/// Most frames of which the latency is kept one by one; the oldest go first.
const KEPT_MAX: usize = 4096;

/// How one frame went.
#[derive(Clone, Copy, Debug)]
struct Ended {
    number: u32,
    tag: u64,
    latency_us: u64,
    outcome: FrameOutcome,
}

/// Counts of a source.
#[derive(Debug, Default)]
pub struct Progress {
    accepted: u64,
    detections: u64,
    dropped: u64,
    skipped: u64,
    latency_us: u64,
    kept: VecDeque<Ended>,
}

impl Progress {
    /// The machine took a frame.
    pub fn accepted(&mut self) {
        self.accepted += 1;
    }

    /// An input could not be read.
    pub fn skipped(&mut self) {
        self.skipped += 1;
    }

    /// A frame has its record.
    pub fn ended(&mut self, now: Micros, number: u32, meta: FrameMeta, outcome: FrameOutcome) {
        let latency_us = now.saturating_sub(meta.captured_us);
        match outcome {
            FrameOutcome::Detections => {
                self.detections += 1;
                self.latency_us += latency_us;
            }
            FrameOutcome::Dropped(_) => self.dropped += 1,
        }
        if self.kept.len() == KEPT_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(Ended {
            number,
            tag: meta.tag,
            latency_us,
            outcome,
        });
    }

    /// Inputs that could not be read.
    pub fn skips(&self) -> u64 {
        self.skipped
    }

    /// Whether all accepted frames have their records.
    pub fn all_ended(&self) -> bool {
        self.detections + self.dropped == self.accepted
    }

    /// For the end of the inputs, as an event.
    pub fn event(&self) -> Value {
        json!({
            "event": "finished", "detections": self.detections, "dropped": self.dropped, "skipped": self.skipped,
        })
    }

    /// For statistics.
    pub fn stats(&self) -> Value {
        let frames: Vec<Value> = self
            .kept
            .iter()
            .map(|f| {
                json!({
                    "frame": f.number,
                    "tag": super::Tag::decode(f.tag).index,
                    "latency_us": f.latency_us,
                    "dropped": matches!(f.outcome, FrameOutcome::Dropped(_)),
                })
            })
            .collect();
        json!({
            "accepted": self.accepted,
            "detections": self.detections,
            "dropped": self.dropped,
            "skipped": self.skipped,
            "latency_us": self.latency_us,
            "each": frames,
        })
    }
}
