//! The ring of victims: nodes that have tasks to steal, taken in turn.

use std::collections::VecDeque;

use crate::NodeId;

/// Nodes with work. An answer to a thief takes the first node that is not the thief itself and puts that node last.
#[derive(Debug, Default)]
pub struct VictimRing {
    nodes: VecDeque<NodeId>,
}

impl VictimRing {
    /// Notes whether a node has work; returns true when the node has just got work.
    pub fn set(&mut self, node: NodeId, has_work: bool) -> bool {
        let known = self.nodes.contains(&node);
        match (known, has_work) {
            (false, true) => self.nodes.push_back(node),
            (true, false) => self.nodes.retain(|&n| n != node),
            _ => {}
        }
        has_work && !known
    }

    /// The next victim for a thief.
    pub fn next(&mut self, thief: NodeId) -> Option<NodeId> {
        let i = self.nodes.iter().position(|&n| n != thief)?;
        let node = self.nodes.remove(i)?;
        self.nodes.push_back(node);
        Some(node)
    }

    /// True when the node has work.
    pub fn has(&self, node: NodeId) -> bool {
        self.nodes.contains(&node)
    }

    /// True when no node has work.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn victims_take_turns() {
        let mut ring = VictimRing::default();
        let node = NodeId;
        assert_eq!(ring.next(node(9)), None);
        for n in [1, 2, 3] {
            assert!(ring.set(node(n), true));
            assert!(!ring.set(node(n), true));
        }
        let turns: Vec<u16> = (0..6)
            .filter_map(|_| ring.next(node(9)).map(|n| n.0))
            .collect();
        assert_eq!(turns, [1, 2, 3, 1, 2, 3]);
        assert_eq!(ring.next(node(1)), Some(node(2)));
        assert_eq!(ring.next(node(1)), Some(node(3)));
        for n in [2, 3] {
            assert!(!ring.set(node(n), false));
        }
        assert_eq!(ring.next(node(1)), None);
        assert!(!ring.is_empty());
    }
}
