//! Objects that are made twice: by the task that is expected to make them, and by one that stands in for it.

use tessera_runtime::program::Program;

use crate::error::NodeError;

/// The tasks that stand in for others, and which of them run.
#[derive(Debug, Default)]
pub struct Late(Vec<Option<bool>>);

impl Late {
    /// Stands for all such tasks.
    const ALL: u32 = u32::MAX;

    /// Of a program; those run whose numbers among such tasks are in `late`, or all of them if [`u32::MAX`] is.
    ///
    /// # Errors
    /// When the program contradicts itself.
    pub fn new(program: &Program, late: &[u32]) -> Result<Self, NodeError> {
        let graph = program.task_graph().map_err(NodeError::Program)?;
        let mut number = 0;
        let of_task = graph.tasks.iter().map(|t| {
            t.instead_of.map(|_| {
                number += 1;
                late.contains(&(number - 1)) || late.contains(&Self::ALL)
            })
        });
        Ok(Self(of_task.collect()))
    }

    /// Whether a task that stands in for another runs; `None` for all other tasks.
    pub fn stands_in(&self, task: usize) -> Option<bool> {
        self.0.get(task).copied().flatten()
    }
}
