//! How fast nodes finish tasks of own frames, so that a source can tell that a task is late.
//!
//! The time of a task counts from its lease, or from the end of the node's task before, until its report: it
//! contains the transfer of inputs that nothing hid. What is expected of a task is the pace of its stage, times its
//! multiply-adds, times the share by which the node is slower than others.

use std::collections::BTreeMap;

use crate::{Micros, NodeIncarnation, ProgramInfo, TaskId};

/// Paces of stages and nodes.
#[derive(Debug, Default)]
pub struct Paces {
    /// Microseconds per multiply-add of each stage, on a usual node.
    stages: BTreeMap<u16, f64>,
    /// How much slower than usual a node is, and when it ended its latest task.
    nodes: BTreeMap<NodeIncarnation, NodePace>,
}

#[derive(Clone, Copy, Debug)]
struct NodePace {
    slowness: f64,
    ended_us: Micros,
}

/// Share of a new measurement in a pace.
const SHARE: f64 = 0.5;
/// A node is at most so many times slower or faster than usual.
const SLOWNESS_MAX: f64 = 16.0;

/// Multiply-adds of a task.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn work(info: &ProgramInfo, task: TaskId) -> f64 {
    info.tasks[task.index()].macs.max(1) as f64
}

impl Paces {
    /// Most nodes; further ones count as usual.
    const NODES_MAX: usize = 256;

    /// Notes that a node has finished a task that it got at `since_us`, and whose inputs were made at `inputs_us`. If that was
    /// later, the node may have begun with rows of them at any time between. `usual` is false for a node whose tasks are
    /// no measure for those of others: the source need not fetch the frame.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub fn finished(
        &mut self,
        info: &ProgramInfo,
        task: TaskId,
        node: NodeIncarnation,
        [since_us, inputs_us]: [Micros; 2],
        now_us: Micros,
        usual: bool,
    ) {
        let begun_us = since_us.max(self.ended_us(node));
        let pace_since = |at_us: Micros| {
            let took_us = now_us.saturating_sub(at_us).max(1) as f64;
            took_us / work(info, task)
        };
        let (least, most) = (pace_since(begun_us.max(inputs_us)), pace_since(begun_us));
        let stage = info.tasks[task.index()].stage;
        let slowness = self.slowness(node);
        let pace = match self.stages.get(&stage) {
            Some(known) => (known * slowness).clamp(least, most),
            None => f64::midpoint(least, most),
        };
        let slowness = match self.stages.get_mut(&stage) {
            Some(known) => {
                let share = (pace / *known).clamp(1.0 / SLOWNESS_MAX, SLOWNESS_MAX);
                if usual {
                    *known += 0.25 * SHARE * (pace / slowness - *known);
                }
                slowness + SHARE * (share - slowness)
            }
            None => {
                if usual {
                    self.stages.insert(stage, pace / slowness);
                }
                slowness
            }
        };
        if self.nodes.len() < Self::NODES_MAX || self.nodes.contains_key(&node) {
            let ended_us = now_us;
            self.nodes.insert(node, NodePace { slowness, ended_us });
        }
    }

    /// When a node ended its latest task; 0 for a node that has not ended any.
    pub fn ended_us(&self, node: NodeIncarnation) -> Micros {
        self.nodes.get(&node).map_or(0, |n| n.ended_us)
    }

    /// True when a node has ended a task.
    pub fn knows(&self, node: NodeIncarnation) -> bool {
        self.nodes.contains_key(&node)
    }

    fn slowness(&self, node: NodeIncarnation) -> f64 {
        self.nodes.get(&node).map_or(1.0, |n| n.slowness)
    }

    /// Microseconds that a node is expected to take for a task; `None` while no task of the stage has ended.
    pub fn expected_us(
        &self,
        info: &ProgramInfo,
        task: TaskId,
        node: NodeIncarnation,
    ) -> Option<f64> {
        let pace = self.stages.get(&info.tasks[task.index()].stage)?;
        Some(pace * work(info, task) * self.slowness(node))
    }

    /// Microseconds that a node may take for a task of a stage that is not known, by the slowest stage that is; `None`
    /// while no task has ended.
    pub fn at_most_us(
        &self,
        info: &ProgramInfo,
        task: TaskId,
        node: NodeIncarnation,
    ) -> Option<f64> {
        let slowest = self.stages.values().copied().max_by(f64::total_cmp)?;
        Some(slowest * work(info, task) * self.slowness(node))
    }

    /// Forgets nodes that are gone.
    pub fn forget(&mut self, dead: impl Fn(NodeIncarnation) -> bool) {
        self.nodes.retain(|n, _| !dead(*n));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Incarnation, NodeId, testkit};

    const fn node(id: u16) -> NodeIncarnation {
        NodeIncarnation {
            id: NodeId(id),
            incarnation: Incarnation(1),
        }
    }

    #[test]
    fn slow_nodes_are_known_by_their_tasks() {
        let info = testkit::two_stages(3);
        let mut paces = Paces::default();
        let task = TaskId(0);
        assert_eq!(paces.expected_us(&info, task, node(2)), None);
        // What the source takes says nothing of the others.
        paces.finished(&info, task, node(1), [0; 2], 10, false);
        assert_eq!(paces.expected_us(&info, task, node(2)), None);
        for k in 1..20 {
            paces.finished(&info, task, node(2), [1000 * (k - 1); 2], 1000 * k, true);
            paces.finished(&info, task, node(3), [2000 * (k - 1); 2], 2000 * k, true);
        }
        let expected = |paces: &Paces, n| paces.expected_us(&info, task, node(n)).unwrap();
        let [two, three] = [2, 3].map(|n| expected(&paces, n));
        assert!((900.0..1100.0).contains(&two), "{two}");
        assert!((1800.0..2200.0).contains(&three), "{three}");
        // Another stage is not known, whatever is known of the nodes.
        assert_eq!(paces.expected_us(&info, TaskId(9), node(2)), None);
        assert_eq!(
            paces.at_most_us(&info, TaskId(9), node(2)),
            paces.expected_us(&info, task, node(2))
        );
        // Who had rows of its inputs before the last of them was made is not faster for that.
        let (begun, inputs) = (19_000, 19_900);
        paces.finished(&info, task, node(2), [begun, inputs], 20_000, true);
        assert!((expected(&paces, 2) / two - 1.0).abs() < 0.05);
        paces.forget(|n| n == node(3));
        assert_eq!(paces.ended_us(node(3)), 0);
    }
}
