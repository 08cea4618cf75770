//! How far a task gets while rows of its inputs are still on their way.
//!
//! The order of a chain's firings tells it ([`Progress`](super::Progress)). Of a task whose chain is not known, rows count at an
//! even pace: a chain computes each row as late as possible, so it reads its inputs from the first row to the last, some
//! rows before it can make its first output row (the windows of all its layers), then so many for each.
//! Simulator and schedule share this estimate; no result depends on it.

use super::{TaskGraph, TaskId, TaskInfo};

impl TaskGraph {
    /// Rows of an input that a task without a known progress reads before it can make the first row of its output: those
    /// that are not there for output rows alone.
    fn rows_before_output(&self, spec: &TaskInfo, input: usize) -> usize {
        let port = spec.inputs[input];
        let height = |tensor: u16| self.tensors[usize::from(tensor)].region.h();
        let made = (spec.outputs.iter())
            .map(|o| o.region.h() * height(port.tensor) / height(o.tensor).max(1))
            .max();
        port.region.h().saturating_sub(made.unwrap_or(0))
    }

    /// The row of the tensor of an input before which all rows must be there for the task to get further than with the rows before
    /// `end`.
    ///
    /// # Panics
    /// If the graph has no such task or input.
    pub fn next_row(&self, task: TaskId, input: usize, end: usize) -> usize {
        let spec = &self.tasks[task.index()];
        let rows = spec.inputs[input].region.y;
        match &spec.progress {
            Some(progress) => rows.lo + progress.next_rows(input, end.saturating_sub(rows.lo)),
            None => end.max(rows.lo + self.rows_before_output(spec, input)) + 1,
        }
    }

    /// Rows of an object (by its place among [those that the task makes](Self::made)) that a task has made when this share of its time is over, from 0 to 1.
    ///
    /// # Panics
    /// If the graph has no such task or output.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "few rows, and a share of them"
    )]
    pub fn rows_made(&self, task: TaskId, output: usize, share: f64) -> usize {
        let spec = &self.tasks[task.index()];
        let rows = self.rows_of(task, output);
        match &spec.progress {
            Some(progress) => progress.rows_made(output, share),
            None => ((rows as f64 * share) as usize).min(rows),
        }
    }

    /// Rows of the object at this place among [those that a task makes](Self::made).
    fn rows_of(&self, task: TaskId, place: usize) -> usize {
        let made = self.made(task).nth(place);
        made.map_or(0, |(_, port)| port.region.h())
    }

    /// The share of a task's time, from 0 to 1, after which it has made the first `rows` rows of an output.
    ///
    /// # Panics
    /// If the graph has no such task or output.
    #[expect(clippy::cast_precision_loss, reason = "few rows")]
    pub fn share_made(&self, task: TaskId, output: usize, rows: usize) -> f64 {
        let spec = &self.tasks[task.index()];
        match &spec.progress {
            Some(progress) => progress.share_made(output, rows),
            None => (rows as f64 / self.rows_of(task, output).max(1) as f64).min(1.0),
        }
    }

    /// The share of a task's time, from 0 to 1, for which it needs no further rows: `ends` has per input the row of
    /// the tensor before which all rows are there, or `None` where all of the input is there.
    ///
    /// # Panics
    /// If the graph has no such task, or the task has fewer inputs.
    #[expect(clippy::cast_precision_loss, reason = "few rows")]
    pub fn share_with_rows(
        &self,
        task: TaskId,
        ends: impl IntoIterator<Item = Option<usize>>,
    ) -> f64 {
        let spec = &self.tasks[task.index()];
        let mut least = 1.0_f64;
        for (k, end) in ends.into_iter().enumerate() {
            let Some(end) = end else { continue };
            let rows = spec.inputs[k].region.y;
            let share = match &spec.progress {
                Some(progress) => progress.share_with_rows(k, end.saturating_sub(rows.lo)),
                None => {
                    let first = rows.lo + self.rows_before_output(spec, k);
                    let here = end.saturating_sub(first) as f64;
                    here / rows.hi.saturating_sub(first).max(1) as f64
                }
            };
            least = least.min(share);
        }
        least.clamp(0.0, 1.0)
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

    #[test]
    fn windows_come_first_and_then_rows_at_an_even_pace() {
        let tensor = |h| TensorInfo {
            region: Region::new([0, h], [0, 8], [0, 1]),
            element: ElementType::F32,
        };
        // The lower half of a map behind a pool, with a halo of four rows above.
        let task = TaskInfo {
            inputs: vec![Port {
                tensor: 0,
                region: Region::new([12, 32], [0, 8], [0, 1]),
            }],
            outputs: vec![Port {
                tensor: 1,
                region: Region::new([8, 16], [0, 8], [0, 1]),
            }],
            ..TaskInfo::default()
        };
        let other = TaskInfo {
            inputs: vec![Port {
                tensor: 0,
                region: Region::new([0, 20], [0, 8], [0, 1]),
            }],
            outputs: vec![Port {
                tensor: 1,
                region: Region::new([0, 8], [0, 8], [0, 1]),
            }],
            ..TaskInfo::default()
        };
        let graph = TaskGraph::new(vec![tensor(32), tensor(16)], vec![other, task], vec![1]);
        let graph = graph.unwrap();
        let task = TaskId(1);
        assert_eq!(graph.next_row(task, 0, 12), 17);
        let share = |end| graph.share_with_rows(task, [end]);
        assert_eq!([share(Some(12)), share(Some(16))], [0.0, 0.0]);
        assert_eq!(
            [share(Some(24)), share(Some(32)), share(None)],
            [0.5, 1.0, 1.0]
        );
    }
}
