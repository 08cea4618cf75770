//! Bytes of a frame's objects that travel from node to node, for given places of its tasks.

use std::collections::BTreeMap;

use super::{Need, ObjectKey, TaskGraph, TaskId};
use crate::region::Region;

impl TaskGraph {
    /// Number of kinds of objects: the frame, then the outputs of every stage.
    #[must_use]
    pub fn object_kinds(&self) -> usize {
        1 + self.tasks.last().map_or(0, |t| usize::from(t.stage) + 1)
    }

    /// The kind of an object: 0 for the frame, `s + 1` for an output of a task of stage `s`.
    #[must_use]
    pub fn kind(&self, key: ObjectKey) -> usize {
        let task = key.task().and_then(|t| self.tasks.get(t.index()));
        task.map_or(0, |t| usize::from(t.stage) + 1)
    }

    /// Bytes that travel for one frame, by [`Self::kind`]. `makers` names, for each task, the node that runs it,
    /// `source` the node that holds the frame, `tail` the node that merges the tail's inputs. Every reader fetches
    /// what it needs of objects on other nodes. Of tasks that are `at_home` where they run, no value is fetched twice
    /// to one node; for other tasks no node keeps what it fetched. With work sharing, `tail` also fetches
    /// [`Self::relayed`], and a source reads the frame from there as other nodes do. A task that stands in for another
    /// has read nothing if the other one's node made its outputs.
    ///
    /// # Panics
    /// When there are fewer makers than tasks.
    #[must_use]
    pub fn crossing<N: Copy + Ord>(
        &self,
        source: N,
        makers: &[N],
        tail: N,
        at_home: impl Fn(TaskId, N) -> bool,
    ) -> Vec<u64> {
        let mut bytes = vec![0; self.object_kinds()];
        let mut fetched: BTreeMap<(N, ObjectKey), Vec<Region>> = BTreeMap::new();
        let mut read = |needs: &[Need], reader: N, shares: bool| {
            for need in needs {
                let holder = need.key.task().map_or(source, |t| makers[t.index()]);
                let from_tail = self.is_shared() && need.key == ObjectKey::Frame && reader != tail;
                if holder == reader && !from_tail {
                    continue;
                }
                let mut values = need.region.len();
                if shares {
                    let known = fetched.entry((reader, need.key)).or_default();
                    values = need.region.add_to(known);
                }
                let element = self.element(need.key).unwrap_or_default();
                bytes[self.kind(need.key)] += (values * element.bytes()) as u64;
            }
        };
        for ((task, reader), id) in self.tasks.iter().zip(makers).zip(0..) {
            // Of what one node made, it is taken that it made all at once.
            if task
                .instead_of
                .is_some_and(|t| makers[t.index()] == *reader)
            {
                continue;
            }
            read(&task.needs, *reader, at_home(TaskId(id), *reader));
        }
        read(&self.tail_needs, tail, false);
        read(&self.relayed, tail, false);
        bytes
    }

    /// The most bytes that a board keeps for tasks at home there, of boxes that others of them have fetched for one
    /// frame: what they read of objects of other boards and any other one reads too. None with work sharing.
    #[must_use]
    pub fn shared_bytes(&self) -> usize {
        if self.is_shared() {
            return 0;
        }
        let mut read: BTreeMap<(u16, ObjectKey), Vec<Region>> = BTreeMap::new();
        for task in self.tasks.iter().filter(|t| t.instead_of.is_none()) {
            let maker_home = |n: &Need| n.key.task().map_or(0, |t| self.tasks[t.index()].home);
            for need in task.needs.iter().filter(|n| maker_home(n) != task.home) {
                let boxes = read.entry((task.home, need.key)).or_default();
                boxes.push(need.region);
            }
        }
        let mut by_board: BTreeMap<u16, usize> = BTreeMap::new();
        for ((board, key), boxes) in &read {
            let shared = (0..boxes.len()).map(|k| {
                let others = boxes[..k].iter().chain(&boxes[k + 1..]);
                let alone = boxes[k].without(others.copied());
                boxes[k].len() - alone.iter().map(|p| p.len()).sum::<usize>()
            });
            let element = self.element(*key).unwrap_or_default();
            *by_board.entry(*board).or_default() += shared.sum::<usize>() * element.bytes();
        }
        by_board.into_values().max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dataflow::{Port, TaskInfo, TensorInfo},
        element::ElementType,
        region::Region,
    };

    fn rows(tensor: u16, y: [usize; 2]) -> Port {
        Port {
            tensor,
            region: Region::new(y, [0, 10], [0, 1]),
        }
    }

    /// Two stages of two tiles, over four rows of ten values; the second stage reads a row of its neighbour.
    fn graph() -> TaskGraph {
        let tensor = |element| TensorInfo {
            region: Region::new([0, 4], [0, 10], [0, 1]),
            element,
        };
        let task = |stage, input, output| TaskInfo {
            stage,
            inputs: vec![input],
            outputs: vec![output],
            ..TaskInfo::default()
        };
        let tasks = vec![
            task(0, rows(0, [0, 3]), rows(1, [0, 2])),
            task(0, rows(0, [1, 4]), rows(1, [2, 4])),
            task(1, rows(1, [0, 3]), rows(2, [0, 2])),
            task(1, rows(1, [1, 4]), rows(2, [2, 4])),
        ];
        let elements = [ElementType::U8, ElementType::F16, ElementType::F32];
        TaskGraph::new(elements.map(tensor).to_vec(), tasks, vec![2]).unwrap()
    }

    #[test]
    fn bytes_depend_on_places_and_formats() {
        let g = graph();
        assert_eq!(g.object_kinds(), 3);
        // Node 1 is the source, node 0 merges.
        let crossing = |makers: [i32; 4]| g.crossing(1, &makers, 0, |_, _| false);
        assert_eq!(crossing([1, 1, 1, 1]), [0, 0, 160]);
        // Tiles stay on their boards: three rows of the frame, and a row of halo each way.
        assert_eq!(crossing([1, 2, 1, 2]), [30, 40, 160]);
        // Successors change boards: two rows and a halo more.
        assert_eq!(crossing([1, 2, 2, 1]), [30, 80, 160]);
        assert_eq!(crossing([0, 0, 0, 0]), [60, 0, 0]);
        // Both tiles read two of the frame's rows, and each a row of the other's output.
        let at_home = |task: TaskId, node: i32| node == 2 && task.0 != 1;
        let shared = |makers: [i32; 4]| g.crossing(1, &makers, 0, at_home);
        assert_eq!(g.crossing(1, &[2; 4], 0, |_, node| node == 2), [40, 0, 160]);
        assert_eq!(shared([2; 4]), [60, 0, 160]);
        // One board has all: nothing travels. If the second has all, its tiles share two rows of the frame.
        assert_eq!(g.shared_bytes(), 0);
        let mut other = g.clone();
        other.tasks.iter_mut().for_each(|t| t.home = 1);
        assert_eq!(other.shared_bytes(), 2 * 20);
        // The source's two tasks read one row of each object of the other twice.
        other.tasks.iter_mut().skip(2).for_each(|t| t.home = 0);
        assert_eq!(other.shared_bytes(), 2 * 2 * 20);
        // Of each object of the source, the second board's two tasks read two rows and one, one of them twice.
        assert_eq!(shared([1, 1, 2, 2]), [0, 80, 160]);
    }
}
