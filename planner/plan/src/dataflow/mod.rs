//! The task graph of a frame: which task needs which box of which object, and who consumes what it makes.
//!
//! Planner, nodes and simulator all ask this module, so that a plan's traffic, a lease's list of holders and
//! a segment's slots come from the same numbers. A [`TaskGraph`] is checked once, when it is made;
//! afterwards ids from the wire are compared with its tables and everything else may index them.

mod crossing;
mod instead;
mod needs;
#[cfg(feature = "schema")]
mod of_plan;
mod progress;
mod relay;
mod rows;
mod slots;

use std::{fmt, sync::Arc};

use crate::{
    element::ElementType,
    limits::{PIECES_MAX, TASKS_MAX, TENSOR_VALUES_MAX},
    region::Region,
};
use needs::Makers;
pub use progress::Progress;
pub use slots::{
    LINE_BYTES, PAGE_BYTES, SlotCount, edge_slots, gateway_slots, own_slots, slots_bytes,
};

/// A task of a frame: its index into [`TaskGraph::tasks`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(pub u32);

impl TaskId {
    /// Place in a table of tasks.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A tensor that crosses a boundary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// All of it.
    pub region: Region,
    /// How its values are stored, in slots and on the wire.
    pub element: ElementType,
}

impl TensorInfo {
    /// Bytes of a packed box of this tensor.
    pub const fn bytes(&self, region: Region) -> usize {
        region.len() * self.element.bytes()
    }
}

/// A box of a boundary tensor that a task reads or makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// Index into [`TaskGraph::tensors`].
    pub tensor: u16,
    /// Which box; may be empty.
    pub region: Region,
}

/// An object of a frame: the frame itself, or what a task made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectKey {
    /// The frame itself: all of tensor 0.
    Frame,
    /// An output of a task.
    Output {
        /// The task that makes it.
        task: TaskId,
        /// Which of the task's outputs.
        output: u16,
    },
}

impl ObjectKey {
    /// The task that makes it; `None` for the frame.
    pub const fn task(self) -> Option<TaskId> {
        match self {
            Self::Frame => None,
            Self::Output { task, .. } => Some(task),
        }
    }
}

/// A piece of an input: the box that one object can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Which input of the task (or of the tail).
    pub input: u16,
    /// Which object of the frame.
    pub key: ObjectKey,
    /// The box wanted of it; inside the object's own.
    pub region: Region,
}

/// A task, without the function that computes it.
#[derive(Clone, Debug, Default)]
pub struct TaskInfo {
    /// Stage, from 0.
    pub stage: u16,
    /// The board that the task belongs to; 0 is the source of the frame, and [`ANYWHERE`](crate::placement::ANYWHERE) stands
    /// for none.
    pub home: u16,
    /// What it reads.
    pub inputs: Vec<Port>,
    /// What it makes.
    pub outputs: Vec<Port>,
    /// Multiply-adds, for estimates.
    pub macs: u64,
    /// Which rows it reads and makes when, for estimates; `None`: at an even pace.
    pub progress: Option<Arc<Progress>>,
    /// Pieces that together cover its inputs, without empty ones. Derived.
    pub needs: Vec<Need>,
    /// Tasks whose outputs it reads, ascending. Derived.
    pub producers: Vec<TaskId>,
    /// Tasks that read its outputs, ascending. Derived.
    pub consumers: Vec<TaskId>,
    /// Whether the tail reads any of its outputs. Derived.
    pub for_tail: bool,
    /// Tasks whose outputs it makes as well, behind its own, ascending. Derived.
    pub gives: Vec<TaskId>,
    /// The task that also makes all of its outputs, and is expected to: this one runs only if they do not come in time.
    /// Derived.
    pub instead_of: Option<TaskId>,
}

/// The tasks of one frame, and who needs what of whom.
#[derive(Clone, Debug)]
pub struct TaskGraph {
    /// Tensors that cross a boundary; 0 is the frame.
    pub tensors: Vec<TensorInfo>,
    /// Tasks of all stages, in stage order; the index is the task id.
    pub tasks: Vec<TaskInfo>,
    /// Tensors that the tail reads, whole.
    pub tail_inputs: Vec<u16>,
    /// Objects that the tail reads, whole, without empty ones: `input` is an index into
    /// `tail_inputs`. Sorted by object.
    pub tail_needs: Vec<Need>,
    /// With work sharing, the boxes that the gateway fetches to pass them on, sorted by object: the whole frame, and what
    /// tasks read of other boards' tiles. `input` has no meaning. Empty otherwise. See [`Self::shared`].
    pub relayed: Vec<Need>,
}

/// What is wrong with a task graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DataflowError {
    /// More tasks than ids go round.
    #[error("{tasks} tasks are too many: a frame has at most {TASKS_MAX}")]
    TooManyTasks {
        /// Tasks of all stages.
        tasks: usize,
    },
    /// More tensors than ports can name.
    #[error("{tensors} tensors that cross a boundary are too many")]
    TooManyTensors {
        /// Tensors.
        tensors: usize,
    },
    /// More values in a tensor than a transfer can name.
    #[error("tensor {tensor} has {values} values; what travels has at most {TENSOR_VALUES_MAX}")]
    TooManyValues {
        /// Index of the tensor.
        tensor: usize,
        /// Its values.
        values: usize,
    },
    /// A port names a tensor that does not exist.
    #[error("task {task:?} names tensor {tensor}, which does not exist")]
    NoTensor {
        /// The task; `None` for the tail.
        task: Option<usize>,
        /// The tensor.
        tensor: u16,
    },
    /// A port's box leaves its tensor.
    #[error("task {task:?}: a box leaves tensor {tensor}")]
    Outside {
        /// The task; `None` for the tail.
        task: Option<usize>,
        /// The tensor.
        tensor: u16,
    },
    /// The outputs of a tensor's producers do not cover what is read, or cover it twice.
    #[error("task {task:?}: input {input} is covered {found} times its {expected} values")]
    Uncovered {
        /// The task; `None` for the tail.
        task: Option<usize>,
        /// The input.
        input: usize,
        /// Values of the box.
        expected: usize,
        /// Values covered.
        found: usize,
    },
    /// A task reads what only later tasks make.
    #[error("task {task} reads what task {producer} makes later")]
    Order {
        /// The reader.
        task: usize,
        /// The maker.
        producer: usize,
    },
    /// Of what a task makes, another one makes some too, but not all, or not in this order.
    #[error("task {task} shares some of its outputs with an earlier one, not all, or not in order")]
    Shared {
        /// The later task.
        task: usize,
    },
    /// A task reads more pieces than a lease can name.
    #[error("task {task} reads {pieces} pieces; {PIECES_MAX} are possible")]
    TooManyPieces {
        /// The task.
        task: usize,
        /// Its pieces.
        pieces: usize,
    },
}

impl TaskGraph {
    /// Works out who needs what. The derived fields of `tasks` are overwritten. Outputs that a later task makes too are
    /// that task's ([`TaskInfo::gives`]), and are taken from the outputs of the earlier one.
    ///
    /// # Errors
    /// [`DataflowError`] when boxes leave their tensors, do not cover what is read, or tasks read
    /// what is not made before them.
    pub fn new(
        tensors: Vec<TensorInfo>,
        mut tasks: Vec<TaskInfo>,
        tail_inputs: Vec<u16>,
    ) -> Result<Self, DataflowError> {
        if tasks.len() > TASKS_MAX {
            return Err(DataflowError::TooManyTasks { tasks: tasks.len() });
        }
        if tensors.len() > usize::from(u16::MAX) {
            let tensors = tensors.len();
            return Err(DataflowError::TooManyTensors { tensors });
        }
        if let Some(tensor) = tensors.iter().position(|t| !fits(t.region)) {
            let values = tensors[tensor].region.len();
            return Err(DataflowError::TooManyValues { tensor, values });
        }
        instead::share(&mut tasks)?;
        let makers = Makers::new(&tensors, &tasks)?;
        for k in 0..tasks.len() {
            let needs = makers.needs(&tasks[k].inputs, Some(k))?;
            if needs.len() > PIECES_MAX {
                return Err(DataflowError::TooManyPieces {
                    task: k,
                    pieces: needs.len(),
                });
            }
            let mut producers: Vec<TaskId> = needs.iter().filter_map(|n| n.key.task()).collect();
            producers.sort_unstable();
            producers.dedup();
            if let Some(&p) = producers.last()
                && p.index() >= k
            {
                return Err(DataflowError::Order {
                    task: k,
                    producer: p.index(),
                });
            }
            for &p in &producers {
                tasks[p.index()].consumers.push(TaskId(k as u32));
            }
            let t = &mut tasks[k];
            (t.needs, t.producers) = (needs, producers);
            (t.consumers, t.for_tail) = (Vec::new(), false);
        }
        let tail_needs = tail_needs(&makers, &tensors, &tail_inputs)?;
        for task in tail_needs.iter().filter_map(|n| n.key.task()) {
            tasks[task.index()].for_tail = true;
        }
        Ok(Self {
            tensors,
            tasks,
            tail_inputs,
            tail_needs,
            relayed: Vec::new(),
        })
    }

    /// The box that an object holds; `None` when there is no such object.
    pub fn region(&self, key: ObjectKey) -> Option<Region> {
        self.port(key).map(|p| p.region)
    }

    /// The tensor of an object and the box of it; `None` when there is no such object.
    pub fn port(&self, key: ObjectKey) -> Option<Port> {
        match key {
            ObjectKey::Frame => self.tensors.first().map(|t| Port {
                tensor: 0,
                region: t.region,
            }),
            ObjectKey::Output { task, output } => {
                let t = self.tasks.get(task.index())?;
                t.outputs.get(output as usize).copied()
            }
        }
    }

    /// How the values of an object are stored; `None` when there is no such object.
    pub fn element(&self, key: ObjectKey) -> Option<ElementType> {
        let port = self.port(key)?;
        self.tensors.get(port.tensor as usize).map(|t| t.element)
    }

    /// Bytes of a port's packed box.
    pub fn port_bytes(&self, port: &Port) -> usize {
        self.tensors[port.tensor as usize].bytes(port.region)
    }

    /// Bytes of a piece that `task` (`None`: the tail) needs, packed.
    pub fn need_bytes(&self, need: &Need) -> usize {
        let element = self.element(need.key).unwrap_or_default();
        need.region.len() * element.bytes()
    }

    /// Index range of the tail's needs that a task makes.
    pub fn tail_needs_of(&self, task: TaskId) -> std::ops::Range<usize> {
        let place = |n: &Need| n.key.task().map_or(0, |t| u64::from(t.0) + 1);
        let want = u64::from(task.0) + 1;
        let lo = self.tail_needs.partition_point(|n| place(n) < want);
        let hi = self.tail_needs.partition_point(|n| place(n) <= want);
        lo..hi
    }
}

/// What the tail needs, sorted by object.
fn tail_needs(
    makers: &Makers,
    tensors: &[TensorInfo],
    tail_inputs: &[u16],
) -> Result<Vec<Need>, DataflowError> {
    let whole = tail_inputs.iter().map(|&tensor| {
        let found = tensors.get(tensor as usize);
        found
            .map(|t| Port {
                tensor,
                region: t.region,
            })
            .ok_or(DataflowError::NoTensor { task: None, tensor })
    });
    let whole: Vec<Port> = whole.collect::<Result<_, _>>()?;
    let mut needs = makers.needs(&whole, None)?;
    needs.sort_by_key(|n| (n.key, n.input));
    Ok(needs)
}

/// Whether a tensor's values can be counted and transferred.
fn fits(r: Region) -> bool {
    let n = (r.h() as u64)
        .checked_mul(r.w() as u64)
        .and_then(|n| n.checked_mul(r.ch() as u64));
    n.is_some_and(|n| n <= TENSOR_VALUES_MAX as u64)
}
