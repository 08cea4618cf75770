//! Tasks that stand in for others: two tasks may make the same objects.
//!
//! A tile hands strips of its layers to neighbours. What it makes for one neighbour are the outputs of a task of
//! their own, which runs only if the tile does not make them in time. So an object has one name, whoever makes it, and
//! a task that reads strips waits for tasks as always.

use std::collections::BTreeMap;

use super::{DataflowError, ObjectKey, Port, TaskGraph, TaskId, TaskInfo};
use crate::region::Region;

/// Takes from the outputs of tasks what later ones make too, and notes who gives what to whom.
pub(super) fn share(tasks: &mut [TaskInfo]) -> Result<(), DataflowError> {
    let mut first: BTreeMap<(u16, Region), usize> = BTreeMap::new();
    let mut given: Vec<Vec<TaskId>> = vec![Vec::new(); tasks.len()];
    for k in 0..tasks.len() {
        let mut makers = Vec::new();
        for port in tasks[k].outputs.iter().filter(|p| !p.region.is_empty()) {
            let maker = *first.entry((port.tensor, port.region)).or_insert(k);
            makers.push(maker);
        }
        let other = makers.iter().copied().find(|m| *m != k);
        tasks[k].instead_of = other.map(|m| TaskId(m as u32));
        if let Some(m) = other {
            let all = makers.len() == tasks[k].outputs.len() && makers.iter().all(|x| *x == m);
            if !all || tasks[m].instead_of.is_some() || tasks[k].stage != tasks[m].stage {
                return Err(DataflowError::Shared { task: k });
            }
            given[m].push(TaskId(k as u32));
        }
    }
    for (m, list) in given.into_iter().enumerate() {
        let ports: Vec<Port> = (list.iter())
            .flat_map(|k| tasks[k.index()].outputs.iter().copied())
            .collect();
        let own = tasks[m].outputs.len().checked_sub(ports.len());
        let own = own.filter(|n| tasks[m].outputs[*n..] == ports);
        let Some(own) = own else {
            let task = list.first().map_or(m, |k| k.index());
            return Err(DataflowError::Shared { task });
        };
        tasks[m].outputs.truncate(own);
        tasks[m].gives = list;
    }
    Ok(())
}

impl TaskGraph {
    /// All objects that a task makes, and their boxes: its own outputs, then those of the tasks that it
    /// [gives](TaskInfo::gives) to.
    ///
    /// # Panics
    /// If the graph has no such task.
    pub fn made(&self, task: TaskId) -> impl Iterator<Item = (ObjectKey, Port)> + '_ {
        let gives = self.tasks[task.index()].gives.iter().copied();
        [task].into_iter().chain(gives).flat_map(move |task| {
            let ports = self.tasks[task.index()].outputs.iter();
            ports.enumerate().map(move |(output, port)| {
                let output = output as u16;
                (ObjectKey::Output { task, output }, *port)
            })
        })
    }

    /// The place of an object among those that a task [makes](Self::made); `None` if the task does not make it.
    pub fn place_among(&self, task: TaskId, key: ObjectKey) -> Option<usize> {
        let maker = key.task()?;
        let known = self.tasks.get(task.index())?;
        if maker != task && !known.gives.contains(&maker) {
            return None;
        }
        self.made(task).position(|(k, _)| k == key)
    }

    /// True if a task [stands in](TaskInfo::instead_of) for another.
    pub fn stands_in(&self, task: TaskId) -> bool {
        let task = self.tasks.get(task.index());
        task.is_some_and(|t| t.instead_of.is_some())
    }

    /// True if some tasks stand in for others.
    pub fn has_stand_ins(&self) -> bool {
        self.tasks.iter().any(|t| t.instead_of.is_some())
    }

    /// The graph of a frame in which everything comes in time: without the tasks that stand in for others. Also the
    /// tasks of this graph that its tasks are, ascending.
    ///
    /// # Errors
    /// None for a graph that [`Self::new`] has made.
    pub fn without_stand_ins(&self) -> Result<(Self, Vec<TaskId>), DataflowError> {
        let ids = (0..self.tasks.len() as u32).map(TaskId);
        let kept: Vec<TaskId> = ids.filter(|t| !self.stands_in(*t)).collect();
        let tasks = kept.iter().map(|id| TaskInfo {
            outputs: self.made(*id).map(|(_, port)| port).collect(),
            gives: Vec::new(),
            ..self.tasks[id.index()].clone()
        });
        let graph = Self::new(
            self.tensors.clone(),
            tasks.collect(),
            self.tail_inputs.clone(),
        )?;
        let graph = if self.is_shared() {
            graph.shared()
        } else {
            graph
        };
        Ok((graph, kept))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{dataflow::TensorInfo, element::ElementType};

    fn port(tensor: u16, y: [usize; 2]) -> Port {
        Port {
            tensor,
            region: Region::new(y, [0, 10], [0, 1]),
        }
    }

    fn task(inputs: Vec<Port>, outputs: Vec<Port>) -> TaskInfo {
        TaskInfo {
            inputs,
            outputs,
            ..TaskInfo::default()
        }
    }

    fn graph(stand_in: Vec<Port>) -> Result<TaskGraph, DataflowError> {
        let tensor = |h: usize| TensorInfo {
            region: Region::new([0, h], [0, 10], [0, 1]),
            element: ElementType::F32,
        };
        let tasks = vec![
            task(
                vec![port(0, [0, 3])],
                vec![port(1, [0, 2]), port(2, [0, 1]), port(3, [0, 2])],
            ),
            task(vec![port(0, [1, 3])], stand_in),
            task(
                vec![port(0, [2, 4]), port(2, [0, 1]), port(3, [0, 2])],
                vec![port(1, [2, 4])],
            ),
        ];
        TaskGraph::new(
            vec![tensor(4), tensor(4), tensor(1), tensor(2)],
            tasks,
            vec![1],
        )
    }

    #[test]
    fn what_two_tasks_make_belongs_to_the_later_one() {
        let g = graph(vec![port(2, [0, 1]), port(3, [0, 2])]).unwrap();
        let [tile, stand_in, reader] = [0, 1, 2].map(|k| &g.tasks[k]);
        assert_eq!((tile.outputs.len(), &tile.gives), (1, &vec![TaskId(1)]));
        assert_eq!(stand_in.instead_of, Some(TaskId(0)));
        assert_eq!(reader.producers, [TaskId(1)]);
        let key = |task, output| ObjectKey::Output {
            task: TaskId(task),
            output,
        };
        let made: Vec<ObjectKey> = g.made(TaskId(0)).map(|(k, _)| k).collect();
        assert_eq!(made, [key(0, 0), key(1, 0), key(1, 1)]);
        assert_eq!(g.place_among(TaskId(0), key(1, 1)), Some(2));
        assert_eq!(g.place_among(TaskId(2), key(1, 1)), None);
        let (in_time, kept) = g.without_stand_ins().unwrap();
        assert_eq!(kept, [TaskId(0), TaskId(2)]);
        assert_eq!(in_time.tasks[1].producers, [TaskId(0)]);
        assert!(g.has_stand_ins() && !in_time.has_stand_ins());
    }

    #[test]
    fn what_is_given_stands_behind_a_tasks_own_outputs() {
        // The strip before the last one; and a strip with a part of the map.
        for wrong in [
            vec![port(2, [0, 1])],
            vec![port(3, [0, 2]), port(1, [2, 4])],
        ] {
            assert!(graph(wrong).is_err());
        }
    }
}
