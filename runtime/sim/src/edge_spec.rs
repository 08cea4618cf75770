//! What a world is told of an edge: its machine, its link, its workers, its frames.

use super::{endpoint::address, link::Attachment};
use tessera_protocol::{EdgeConfig, Incarnation, NodeId};

/// An edge, as a world is told of it.
#[derive(Clone, Copy, Debug)]
pub struct EdgeSpec {
    /// Its machine's configuration. The world sets `id`, `incarnation` and `gateway`.
    pub config: EdgeConfig,
    /// How it hangs on the network.
    pub attachment: Attachment,
    /// Multiply-adds per microsecond of one worker; not 0.
    pub macs_per_us: u64,
    /// Microseconds that every task takes besides.
    pub task_us: u64,
    /// Parts per million of jobs that take [`Self::straggle_factor`] times as long.
    pub straggle_ppm: u32,
    /// How many times as long those jobs take.
    pub straggle_factor: u64,
    /// Parts per million of jobs that a worker's death ends.
    pub lose_ppm: u32,
    /// Frames that each incarnation of it brings, if it is a source.
    pub frames: u32,
    /// Microseconds between two frames at least; 0 for as fast as they are taken.
    pub frame_interval_us: u64,
    /// Frames' worth of slots for stolen tasks' outputs.
    pub steal_frames: usize,
    /// Whether larger slots serve when those of a size are used up.
    pub spill: bool,
    /// Parts per million that its clock runs fast.
    pub clock_ppm: i32,
    /// Virtual time of its first start; 0 for any within the first milliseconds.
    pub start_us: u64,
    /// Whether it does not belong.
    pub stranger: Option<Stranger>,
}

/// Why an edge does not belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stranger {
    /// It was built from another plan.
    Plan,
    /// Its weights are another model's.
    Model,
    /// It has another node's id. The one that registered first is the node, until it is gone.
    Twin {
        /// The index of the node whose id it has.
        of: usize,
    },
}

impl EdgeSpec {
    /// An edge of one worker that computes 1000 multiply-adds per microsecond and is no source.
    pub fn new() -> Self {
        let gateway = address(0, 0);
        let mut config = EdgeConfig::new(NodeId(1), Incarnation(0), gateway, 1);
        config.frames_max = 0;
        Self {
            config,
            attachment: Attachment::default(),
            macs_per_us: 1000,
            task_us: 100,
            straggle_ppm: 0,
            straggle_factor: 1,
            lose_ppm: 0,
            frames: 0,
            frame_interval_us: 0,
            steal_frames: 1,
            spill: true,
            clock_ppm: 0,
            start_us: 0,
            stranger: None,
        }
    }

    /// The same as a source of so many frames, two of them in datagram.
    pub const fn source(mut self, frames: u32) -> Self {
        self.frames = frames;
        self.config.frames_max = 2;
        self
    }
}

impl Default for EdgeSpec {
    fn default() -> Self {
        Self::new()
    }
}
