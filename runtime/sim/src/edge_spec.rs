//! The description of an edge for a world: its machine, its link, its workers, its frames.

use super::{endpoint::address, link::Attachment};
use tessera_protocol::{EdgeConfig, Incarnation, NodeId};

/// An edge of a [`WorldConfig`](crate::WorldConfig).
#[derive(Clone, Copy, Debug)]
pub struct EdgeSpec {
    /// Configuration of the edge's machine. The world sets `id`, `incarnation` and `gateway`.
    pub config: EdgeConfig,
    /// The edge's link to the network.
    pub attachment: Attachment,
    /// Multiply-adds that one worker computes per microsecond; not 0.
    pub macs_per_us: u64,
    /// Microseconds that every task takes in addition to its multiply-adds.
    pub task_us: u64,
    /// Nanoseconds that a byte of a datagram takes of running tasks; 0 where another core handles datagrams.
    pub byte_ns: u64,
    /// Parts per million of jobs that take [`Self::straggle_factor`] times as long.
    pub straggle_ppm: u32,
    /// Factor on the time of a straggling job.
    pub straggle_factor: u64,
    /// Parts per million of jobs that end with the death of their worker.
    pub lose_ppm: u32,
    /// Parts per million of jobs whose outputs are wrong: one bit of each is another one.
    pub wrong_ppm: u32,
    /// Frames that each incarnation of the edge brings; 0 for an edge that is no source.
    pub frames: u32,
    /// Least microseconds between two frames; 0 to bring frames as fast as the machine takes them.
    pub frame_interval_us: u64,
    /// Frames whose stolen tasks' outputs the slots can hold at a time.
    pub steal_frames: usize,
    /// Whether the store gives out a larger slot when all slots of the size asked for are in use.
    pub spill: bool,
    /// Parts per million by which the edge's clock runs fast.
    pub clock_ppm: i32,
    /// Virtual time of the first start, in microseconds; 0 for a random time within the first milliseconds.
    pub start_us: u64,
    /// Whether the edge runs on the gateway's board and has no link of its own.
    pub on_gateway: bool,
    /// Why the edge does not belong to the cluster; `None` for an edge that belongs.
    pub stranger: Option<Stranger>,
}

/// Why an edge does not belong to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stranger {
    /// The edge was built from another plan.
    Plan,
    /// The edge has another model's weights.
    Model,
    /// The edge has another node's id. The one that registered first is the node, until that node has left.
    Twin {
        /// Index of the node with the same id.
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
            byte_ns: 0,
            straggle_ppm: 0,
            straggle_factor: 1,
            lose_ppm: 0,
            wrong_ppm: 0,
            frames: 0,
            frame_interval_us: 0,
            steal_frames: 1,
            spill: true,
            clock_ppm: 0,
            start_us: 0,
            on_gateway: false,
            stranger: None,
        }
    }

    /// Microseconds that a worker takes for a task of so many multiply-adds, in the mean of jobs that straggle and of others.
    pub const fn mean_us(&self, macs: u64) -> u64 {
        let us = self.task_us + macs / self.macs_per_us;
        let slower = self.straggle_factor.saturating_sub(1);
        us + us * slower * self.straggle_ppm as u64 / 1_000_000
    }

    /// Makes the edge a source of `frames` frames with at most two frames in flight.
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
