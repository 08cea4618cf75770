//! Bytes of a frame's objects that travel from node to node, for given places of its tasks.

use super::{Need, ObjectKey, TaskGraph};

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
    /// what it needs of objects on other nodes, and no node keeps what it fetched for another task.
    ///
    /// # Panics
    /// When there are fewer makers than tasks.
    #[must_use]
    pub fn crossing<N: Copy + PartialEq>(&self, source: N, makers: &[N], tail: N) -> Vec<u64> {
        let mut bytes = vec![0; self.object_kinds()];
        let mut read = |needs: &[Need], reader: N| {
            for need in needs {
                let holder = need.key.task().map_or(source, |t| makers[t.index()]);
                if holder != reader {
                    bytes[self.kind(need.key)] += self.need_bytes(need) as u64;
                }
            }
        };
        for (task, reader) in self.tasks.iter().zip(makers) {
            read(&task.needs, *reader);
        }
        read(&self.tail_needs, tail);
        bytes
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
        assert_eq!(g.crossing(1, &[1, 1, 1, 1], 0), [0, 0, 160]);
        // Tiles stay on their boards: three rows of the frame, and a row of halo each way.
        assert_eq!(g.crossing(1, &[1, 2, 1, 2], 0), [30, 40, 160]);
        // Successors change boards: two rows and a halo more.
        assert_eq!(g.crossing(1, &[1, 2, 2, 1], 0), [30, 80, 160]);
        assert_eq!(g.crossing(1, &[0, 0, 0, 0], 0), [60, 0, 0]);
    }
}
