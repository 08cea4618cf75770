//! Work sharing: the boxes that the gateway fetches to pass them on.
//!
//! With [`Placement::Share`](crate::placement::Placement::Share) the gateway takes the whole frame, and of every
//! output the boxes that tasks on other boards read; boards fetch both from the gateway. What a board reads of its
//! own tiles stays there. So of plans with one stage the frame travels once, every tile's input once, and every
//! output once; of plans with a stage per layer (MoDNN) a halo travels twice, to the gateway and on.

use super::{Need, ObjectKey, TaskGraph, TaskId};

impl TaskGraph {
    /// The graph of a program whose boards share work through the gateway; see [`Self::relayed`].
    #[must_use]
    pub fn shared(mut self) -> Self {
        let region = |n: &Need| (n.region.y.lo, n.region.x.lo, n.region.c.lo);
        let mut boxes: Vec<Need> = Vec::new();
        let is_frame = |n: &&Need| n.key == ObjectKey::Frame;
        if let (Some(frame), true) = (
            self.tensors.first(),
            self.tasks
                .iter()
                .flat_map(|t| &t.needs)
                .any(|n| is_frame(&n)),
        ) {
            boxes.push(Need {
                input: 0,
                key: ObjectKey::Frame,
                region: frame.region,
            });
        }
        for task in &self.tasks {
            let elsewhere = |n: &&Need| {
                let maker = n.key.task().and_then(|t| self.tasks.get(t.index()));
                maker.is_some_and(|m| m.home != task.home)
            };
            boxes.extend(task.needs.iter().filter(elsewhere));
        }
        boxes.sort_by_key(|n| (n.key, region(n), std::cmp::Reverse(n.region.len())));
        let mut kept: Vec<Need> = Vec::with_capacity(boxes.len());
        for (k, need) in boxes.iter().enumerate() {
            let covers = |o: &Need| o.key == need.key && o.region.contains(need.region);
            let before = kept.iter().rev().take_while(|o| o.key == need.key);
            let behind = boxes[k + 1..].iter().take_while(|o| o.key == need.key);
            let larger = |o: &&Need| o.region != need.region && covers(o);
            if { before }.any(covers) || { behind }.any(|o| larger(&o)) {
                continue;
            }
            kept.push(*need);
        }
        self.relayed = kept;
        self
    }

    /// True if boards share work through the gateway.
    pub const fn is_shared(&self) -> bool {
        !self.relayed.is_empty()
    }

    /// Number of boxes that the gateway fetches: the tail's needs, then those that it passes on.
    pub const fn gateway_needs(&self) -> usize {
        self.tail_needs.len() + self.relayed.len()
    }

    /// A box that the gateway fetches; `k` is less than [`Self::gateway_needs`].
    ///
    /// # Panics
    /// If `k` is out of range.
    pub fn gateway_need(&self, k: usize) -> &Need {
        match k.checked_sub(self.tail_needs.len()) {
            None => &self.tail_needs[k],
            Some(relay) => &self.relayed[relay],
        }
    }

    /// The boxes of what a task made (`None`: of the frame) that the gateway fetches, for [`Self::gateway_need`].
    pub fn gateway_needs_of(&self, maker: Option<TaskId>) -> impl Iterator<Item = usize> + use<> {
        let tail = match maker {
            Some(task) => self.tail_needs_of(task),
            None => {
                0..self
                    .tail_needs
                    .partition_point(|n| n.key == ObjectKey::Frame)
            }
        };
        let relays = range_of(&self.relayed, maker);
        let first = self.tail_needs.len();
        tail.chain(relays.start + first..relays.end + first)
    }

    /// True if the gateway passes on anything of what a task made (`None`: of the frame).
    pub fn is_relayed(&self, maker: Option<TaskId>) -> bool {
        !range_of(&self.relayed, maker).is_empty()
    }

    /// True if a task reads the frame itself.
    pub fn reads_frame(&self, task: TaskId) -> bool {
        let spec = self.tasks.get(task.index());
        spec.is_some_and(|t| t.needs.iter().any(|n| n.key == ObjectKey::Frame))
    }

    /// The box of which the gateway passes on `need`, as an index into [`Self::relayed`]; `None` if the gateway does not.
    pub fn relay_of(&self, need: &Need) -> Option<usize> {
        let range = range_of(&self.relayed, need.key.task());
        let covers = |k: &usize| {
            let relay = &self.relayed[*k];
            relay.key == need.key && relay.region.contains(need.region)
        };
        range.into_iter().find(covers)
    }
}

/// The range of needs, sorted by object, that a maker makes.
fn range_of(needs: &[Need], maker: Option<TaskId>) -> std::ops::Range<usize> {
    let lo = needs.partition_point(|n| n.key.task() < maker);
    let hi = needs.partition_point(|n| n.key.task() <= maker);
    lo..hi
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dataflow::{Port, TaskInfo, TensorInfo, gateway_slots},
        element::ElementType,
        region::Region,
    };

    /// Two stages of three bands of two rows, over six rows of ten values; a band of the second stage reads a row of each
    /// neighbour. Bands `k` of both stages are at home on board `homes[k]`.
    fn bands(homes: [u16; 3]) -> TaskGraph {
        let rows = |tensor, lo: usize, hi: usize| Port {
            tensor,
            region: Region::new([lo, hi], [0, 10], [0, 1]),
        };
        let band = |stage: u16, k: usize| TaskInfo {
            stage,
            home: homes[k],
            inputs: vec![rows(stage, (2 * k).saturating_sub(1), (2 * k + 3).min(6))],
            outputs: vec![rows(stage + 1, 2 * k, 2 * k + 2)],
            ..TaskInfo::default()
        };
        let tensor = TensorInfo {
            region: Region::new([0, 6], [0, 10], [0, 1]),
            element: ElementType::U8,
        };
        let tasks = (0..2).flat_map(|s| (0..3).map(move |k| band(s, k)));
        let graph = TaskGraph::new(vec![tensor; 3], tasks.collect(), vec![2]).unwrap();
        assert!(!graph.is_shared());
        graph.shared()
    }

    #[test]
    fn the_gateway_passes_on_the_frame_and_halos() {
        let g = bands([0, 1, 2]);
        let boxes: Vec<_> = (g.relayed.iter())
            .map(|n| (n.key.task().map(|t| t.0), n.region.y.lo, n.region.y.hi))
            .collect();
        let halos = [
            (Some(0), 1, 2),
            (Some(1), 2, 3),
            (Some(1), 3, 4),
            (Some(2), 4, 5),
        ];
        assert_eq!(boxes[0], (None, 0, 6));
        assert_eq!(boxes[1..], halos);
        let of = |maker| -> Vec<usize> { g.gateway_needs_of(maker).collect() };
        // The tail reads three objects, of tasks 3 to 5.
        assert_eq!(g.gateway_needs(), 3 + 5);
        assert_eq!(of(None), [3]);
        assert_eq!(of(Some(TaskId(1))), [5, 6]);
        assert_eq!(of(Some(TaskId(4))), [1]);
        assert!(g.is_relayed(None) && g.is_relayed(Some(TaskId(2))));
        assert!(!g.is_relayed(Some(TaskId(3))));
        // The second band reads a row of the first, its own band, and a row of the third.
        let relays: Vec<_> = g.tasks[4].needs.iter().map(|n| g.relay_of(n)).collect();
        assert_eq!(relays, [Some(1), None, Some(4)]);
        // Slots of the whole frame, of four rows, and of the tail's map.
        let slots: Vec<_> = gateway_slots(&g, 2)
            .iter()
            .map(|s| (s.bytes, s.count))
            .collect();
        assert_eq!(slots, [(10, 8), (60, 4)]);
    }

    #[test]
    fn tiles_of_one_board_exchange_nothing() {
        let g = bands([1, 1, 1]);
        assert_eq!(g.relayed.len(), 1);
        let two = bands([0, 1, 1]);
        assert_eq!(two.relayed.len(), 1 + 2);
    }

    #[test]
    fn bytes_go_through_the_gateway() {
        // The frame, and three inputs of 3, 4 and 3 rows; four rows of halo there and back; the result.
        let crossing = |g: &TaskGraph, makers: [u16; 6]| g.crossing(1, &makers, 0, |_, _| false);
        let g = bands([0, 1, 2]);
        assert_eq!(crossing(&g, [1, 2, 3, 1, 2, 3]), [60 + 100, 80, 60]);
        // At one board that is the source, the inputs come back to it all the same.
        let one = bands([0, 0, 0]);
        assert_eq!(crossing(&one, [1; 6]), [160, 0, 60]);
        // A task that ran elsewhere than at home fetches its own band from where that is.
        assert_eq!(crossing(&g, [1, 2, 3, 1, 2, 1]), [160, 80 + 20, 60]);
    }
}
