//! Tasks that their homes may have early: not all of their inputs are made, but all are made or being made.

use tessera_plan::dataflow::TaskGraph;

/// The tasks that may be given early, by home.
#[derive(Debug, Default)]
pub(super) struct Early {
    /// For every board: such tasks at home there, ascending.
    of_home: Vec<Vec<usize>>,
    /// For every task: the number of its producers that no board has taken.
    untaken: Vec<usize>,
}

impl Early {
    /// No tasks yet; `boards` boards have the tasks of `graph`.
    pub fn new(graph: &TaskGraph, boards: usize) -> Self {
        Self {
            of_home: vec![Vec::new(); boards],
            untaken: graph.tasks.iter().map(|t| t.producers.len()).collect(),
        }
    }

    /// The first task that `board` may have early.
    pub fn first(&self, board: usize) -> Option<usize> {
        self.of_home.get(board)?.first().copied()
    }

    /// Notes that a board has taken a task: its readers may follow.
    pub fn taken(&mut self, graph: &TaskGraph, homes: &[usize], task: usize) {
        self.remove(homes, task);
        for reader in graph.tasks[task].consumers.iter().map(|k| k.index()) {
            let Some(untaken) = self.untaken.get_mut(reader) else {
                continue;
            };
            *untaken -= 1;
            if *untaken == 0
                && let Some(list) = self.of_home.get_mut(homes[reader])
            {
                let at = list.partition_point(|t| *t < reader);
                list.insert(at, reader);
            }
        }
    }

    /// Notes that a task is taken, or that the source knows all of its inputs to be made.
    pub fn remove(&mut self, homes: &[usize], task: usize) {
        if let Some(list) = self.of_home.get_mut(homes[task])
            && let Ok(at) = list.binary_search(&task)
        {
            list.remove(at);
        }
    }
}
