//! What a node tells on standard output while it runs: one JSON line each.

use serde::{Deserialize, Serialize};

use super::statistics::Memory;

/// What a stream of frames does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamState {
    /// Its first frame is there, at its beginning or after a new one.
    Streaming,
    /// It brings nothing; it is begun anew.
    Stalled,
    /// It has ended though it has no end; it is begun anew.
    Lost,
    /// It has ended.
    Ended,
}

/// Something that happened. In its JSON line, the field `event` holds its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// A gateway can be reached.
    Listening {
        /// Address and port that it is bound to.
        addr: String,
        /// Name of the compiled program.
        program: String,
    },
    /// A gateway answers over HTTP.
    Serving {
        /// Address and port that it is bound to.
        addr: String,
    },
    /// A gateway answers Frigate's ZeroMQ detector.
    Detecting {
        /// The endpoint that it is bound to, as in `tcp://127.0.0.1:5555`.
        endpoint: String,
    },
    /// An edge was registered by its gateway.
    Joined {
        /// Number of the edge.
        id: u16,
        /// Address and port that it is bound to.
        addr: String,
    },
    /// An edge could not read an input.
    Skipped {
        /// Counts the source's inputs from 0.
        tag: u32,
        /// The input's name.
        file: String,
        /// What is wrong with it.
        error: String,
    },
    /// A stream of frames (a camera, a video) begins, stands still, or is gone.
    Source {
        /// Name of the source.
        name: String,
        /// What happened.
        state: StreamState,
        /// Why, and what to do about it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// All frames of an edge have ended, and no more will come.
    Finished {
        /// Frames with detections.
        detections: u64,
        /// Frames without detections.
        dropped: u64,
        /// Inputs that could not be read.
        skipped: u64,
    },
    /// `solo --guard`: how much of its working memory a task used.
    Arena {
        /// Task id; the tail comes behind the stages' tasks.
        task: usize,
        /// float32 values of working memory.
        floats: usize,
        /// float32 values up to the last one written.
        high_water: usize,
    },
    /// `solo --repeat`: how long the frames took.
    Timing {
        /// Seconds of each frame.
        seconds: Vec<f64>,
        /// Seconds of each frame that its stages took.
        stages_seconds: Vec<f64>,
        /// Seconds of each frame that its tail took.
        tail_seconds: Vec<f64>,
        /// Processor seconds of each frame, over all threads.
        processor_seconds: Vec<f64>,
        /// Memory of the process after the last frame.
        memory: Memory,
    },
}
