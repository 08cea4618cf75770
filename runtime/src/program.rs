//! The ABI that emitted crates fill: what a node must know of a model.
//!
//! A [`Program`] is constant data plus function pointers. The runtime moves task ids and boxes of
//! tensors and calls [`TaskSpec::run`]. Layers and tiles stand here as names for people, in dumps and
//! reports ([`TensorSpec::layer`], [`TaskSpec::row`], [`TaskSpec::col`]); nothing is decided by them.

use std::borrow::Cow;

pub use tessera_plan::{
    dataflow::Port,
    decoding::{HeadKind, NmsKind},
    element::ElementType,
    placement::Placement,
    region::Region,
};
use tessera_plan::{
    dataflow::{DataflowError, TaskGraph, TaskInfo, TensorInfo},
    region::Shape,
};

pub use crate::scales::Scales;
use crate::{element, io::TaskIo};

/// An emitted crate, as the runtime sees it.
#[derive(Debug)]
pub struct Program {
    /// Name of the crate.
    pub name: &'static str,
    /// Name of the target the crate was emitted for: `x86-64-v3`.
    pub target: &'static str,
    /// The plan's hash. Nodes that agree on it can work together.
    pub plan_hash: [u8; 32],
    /// SHA-256 of the model, as in the header of `weights.bin`.
    pub model_digest: [u8; 32],
    /// Tensors that cross a boundary. Tensor 0 is the network's input.
    pub tensors: &'static [TensorSpec],
    /// Tasks of all stages, in stage order; the index is the task id.
    pub tasks: &'static [TaskSpec],
    /// The policy by which nodes share tasks.
    pub placement: Placement,
    /// Number of boards that [`TaskSpec::home`] counts; at least 1.
    pub boards: u16,
    /// Frames that a source has in flight at a time; at least 1.
    pub frames_in_flight: usize,
    /// First task of every stage, then the number of tasks.
    pub stage_starts: &'static [u32],
    /// The layers that the gateway computes when all stages are done.
    pub tail: TailSpec,
    /// Detection layers, in order.
    pub heads: &'static [Head],
    /// The NMS rule of the last head.
    pub nms: NmsKind,
    /// True if the model asks for letterboxed input.
    pub letterbox: bool,
    /// True if region boxes have objectness 1 in NMS (AlexeyAB's fork).
    pub region_objectness_one: bool,
    /// Sections of `weights.bin`: one per stage, then the tail's.
    pub sections: &'static [SectionSpec],
    /// Checks that this processor has what the kernels need; the error names what is missing.
    pub check_cpu: fn() -> Result<(), &'static str>,
}

/// A tensor that crosses a boundary: `[h, w, c]`.
#[derive(Debug)]
pub struct TensorSpec {
    /// The cfg layer whose output the tensor is; -1 for the network's input. Only names of dumps use it.
    pub layer: i32,
    /// Rows of pixels.
    pub h: usize,
    /// Columns of pixels.
    pub w: usize,
    /// Channels of a pixel.
    pub c: usize,
    /// How the tensor's objects store values, in slots and on the wire.
    pub element: ElementType,
    /// What bytes stand for, if the tensor is of bytes and not the network's input.
    pub scales: Option<&'static Scales>,
}

impl TensorSpec {
    /// Bytes of the whole packed tensor.
    pub const fn bytes(&self) -> usize {
        self.region().len() * self.element.bytes()
    }

    /// The values of the whole packed tensor `map`.
    ///
    /// # Panics
    /// As [`element::values`]; and if a tensor with scales is not of bytes.
    pub fn values<'m>(&self, map: &'m [u8]) -> Cow<'m, [f32]> {
        let Some(scales) = self.scales else {
            return element::values(self.element, map);
        };
        let mut values = vec![0.0; map.len()];
        scales.load(map, &mut values);
        values.into()
    }

    /// The region of the whole tensor.
    pub const fn region(&self) -> Region {
        Region::whole(Shape::new(self.h, self.w, self.c))
    }
}

/// A task: a pure function, so the same inputs give the same bits on every node.
#[derive(Debug)]
pub struct TaskSpec {
    /// Stage, from 0.
    pub stage: u16,
    /// Row of the tile in its stage's grid: for people.
    pub row: u16,
    /// Column of the tile in its stage's grid: for people.
    pub col: u16,
    /// The board that the task belongs to; 0 is the source of the frame, whichever edge that is, and
    /// [`ANYWHERE`](tessera_plan::placement::ANYWHERE) stands for none.
    pub home: u16,
    /// The boxes that the task reads.
    pub inputs: &'static [Port],
    /// The boxes that the task makes. The boxes of all tasks of a stage cover each tensor exactly once, but for
    /// strips: what a later task makes too is an object of that task, which runs only if the object does not come in
    /// time ([`TaskGraph::made`]).
    pub outputs: &'static [Port],
    /// Number of float32 values of working memory.
    pub arena_floats: usize,
    /// Multiply-adds, for estimates.
    pub macs: u64,
    /// The function that computes it.
    pub run: TaskFn,
}

/// The tail: layers that the gateway computes on whole maps.
#[derive(Debug)]
pub struct TailSpec {
    /// Tensors that the tail reads, whole: indices into [`Program::tensors`].
    pub inputs: &'static [u16],
    /// Tensors that the tail makes, whole: the heads' maps or the network's output, and those to be dumped.
    pub outputs: &'static [u16],
    /// Number of float32 values of working memory.
    pub arena_floats: usize,
    /// Multiply-adds, for estimates.
    pub macs: u64,
    /// The function that computes it.
    pub run: TaskFn,
}

/// A function that runs a task: it loads inputs into the arena, computes, and stores outputs.
pub type TaskFn = fn(&mut TaskIo<'_>);

/// A section of `weights.bin`.
#[derive(Debug)]
pub struct SectionSpec {
    /// `s0`, ..., `tail`.
    pub name: &'static str,
    /// First float32 value behind the file's header.
    pub offset: usize,
    /// Number of float32 values.
    pub floats: usize,
}

/// A detection layer.
#[derive(Debug)]
pub struct Head {
    /// Index of the cfg layer, for people.
    pub layer: u16,
    /// Index into [`Program::tensors`] of its map.
    pub tensor: u16,
    /// Number of classes.
    pub classes: usize,
    /// Width and height of each slot's anchor: in pixels of the network's input (yolo, Gaussian) or in grid
    /// cells (region). Empty for detection (v1).
    pub anchors: &'static [(f32, f32)],
    /// How boxes are decoded from the map.
    pub kind: HeadKind,
}

impl Program {
    /// The task graph: which task needs which box of which object.
    ///
    /// # Errors
    /// When the dataflow contradicts itself: an error of whoever emitted the program.
    pub fn task_graph(&self) -> Result<TaskGraph, DataflowError> {
        let tensors = self.tensors.iter().map(|t| TensorInfo {
            region: t.region(),
            element: t.element,
        });
        let tasks = self.tasks.iter().map(|t| TaskInfo {
            stage: t.stage,
            home: t.home,
            inputs: t.inputs.to_vec(),
            outputs: t.outputs.to_vec(),
            macs: t.macs,
            ..TaskInfo::default()
        });
        let graph = TaskGraph::new(
            tensors.collect(),
            tasks.collect(),
            self.tail.inputs.to_vec(),
        )?;
        Ok(if self.placement == Placement::Share {
            graph.shared()
        } else {
            graph
        })
    }
}
