//! A possible plan.

use std::cmp::Ordering;

use crate::{estimate::Seconds, stages::StageCuts};

/// A possible plan with its expected time and memory.
#[derive(Clone)]
pub(super) struct Candidate {
    pub cuts: StageCuts,
    /// What the goal minimises.
    pub price: f64,
    pub seconds: Seconds,
    pub redundancy: f64,
    /// Bytes on the source edge with the least memory to spare, and that edge's limit; the built plan may need a little
    /// more. `None` without limits.
    pub memory: Option<(u64, u64)>,
}

impl Candidate {
    /// By price. Of equals, the number of tiles decides, then the cuts.
    pub fn order(&self, other: &Self) -> Ordering {
        let by_price = self.price.total_cmp(&other.price);
        let by_tiles = self.cuts.tiles().cmp(&other.cuts.tiles());
        by_price
            .then(by_tiles)
            .then_with(|| self.cuts.cmp(&other.cuts))
    }

    /// Bytes on the source edge with the least memory to spare; 0 without limits.
    pub fn needed(&self) -> u64 {
        self.memory.map_or(0, |(needed, _)| needed)
    }

    /// Whether the plan keeps the memory limits, if there are any.
    pub fn fits(&self) -> bool {
        self.memory.is_none_or(|(needed, limit)| needed <= limit)
    }
}
