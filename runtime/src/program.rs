//! The ABI that emitted crates fill: what a node must know of a model.
//!
//! A [`Program`] is constant data plus function pointers. The runtime moves task ids and boxes of
//! tensors and calls [`TaskSpec::run`]. Layers and tiles stand here as names for people, in dumps and
//! reports ([`TensorSpec::layer`], [`TaskSpec::row`], [`TaskSpec::col`]); nothing is decided by them.

pub use tessera_plan::{
    dataflow::Port,
    graph::{HeadKind, NmsKind},
    plan::ElementType,
    region::Region,
};
use tessera_plan::{
    dataflow::{DataflowError, TaskGraph, TaskInfo, TensorInfo},
    region::Shape,
};

use crate::io::TaskIo;

/// An emitted crate, as the runtime sees it.
#[derive(Debug)]
pub struct Program {
    /// Name of the crate.
    pub name: &'static str,
    /// Name of the target the crate was emitted for: `x86-64-v3`.
    pub target: &'static str,
    /// Hash of the plan's dataflow part: nodes that agree on it can work together.
    pub plan_hash: [u8; 32],
    /// Digest of the model; equals the one in the header of `weights.bin`.
    pub model_digest: [u8; 32],
    /// Tensors that cross a boundary. Tensor 0 is the network's input.
    pub tensors: &'static [TensorSpec],
    /// Tasks of all stages, in stage order; the index is the task id.
    pub tasks: &'static [TaskSpec],
    /// First task of every stage, then the number of tasks.
    pub stage_starts: &'static [u32],
    /// What the gateway computes when all stages are done.
    pub tail: TailSpec,
    /// Detection layers, in order.
    pub heads: &'static [Head],
    /// NMS rule: the last head's.
    pub nms: NmsKind,
    /// Whether the model asks for letterboxed input.
    pub letterbox: bool,
    /// Whether region boxes carry objectness 1 into NMS (AlexeyAB's fork).
    pub region_objectness_one: bool,
    /// Sections of `weights.bin`: one per stage, then the tail's.
    pub sections: &'static [SectionSpec],
    /// Checks that this processor has what the kernels need; the error names what is missing.
    pub check_cpu: fn() -> Result<(), &'static str>,
}

/// A tensor that crosses a boundary: `[h, w, c]`.
#[derive(Debug)]
pub struct TensorSpec {
    /// cfg layer whose output it is; -1 for the network's input. Names dumps, and nothing else.
    pub layer: i32,
    /// Rows of pixels.
    pub h: usize,
    /// Columns of pixels.
    pub w: usize,
    /// Channels of a pixel.
    pub c: usize,
    /// How its objects store values, in slots and on the wire.
    pub element: ElementType,
}

impl TensorSpec {
    /// Bytes of the whole packed tensor.
    pub const fn bytes(&self) -> usize {
        self.region().len() * self.element.bytes()
    }

    /// The region that is the whole tensor.
    pub const fn region(&self) -> Region {
        Region::whole(Shape::new(self.h, self.w, self.c))
    }
}

/// A task: pure, same inputs, same bits, wherever it runs.
#[derive(Debug)]
pub struct TaskSpec {
    /// Stage, from 0.
    pub stage: u16,
    /// Row of the tile in its stage's grid: for people.
    pub row: u16,
    /// Column of the tile in its stage's grid: for people.
    pub col: u16,
    /// What it reads.
    pub inputs: &'static [Port],
    /// What it makes; output `k` is object (frame, task, k). Over a stage's tasks the boxes cover
    /// each tensor exactly once.
    pub outputs: &'static [Port],
    /// float32 values of working memory.
    pub arena_floats: usize,
    /// Multiply-adds, for estimates.
    pub macs: u64,
    /// Computes it.
    pub run: TaskFn,
}

/// What the gateway computes.
#[derive(Debug)]
pub struct TailSpec {
    /// Whole tensors read.
    pub inputs: &'static [u16],
    /// Whole tensors made: the heads' maps or the network's output, and those to be dumped.
    pub outputs: &'static [u16],
    /// float32 values of working memory.
    pub arena_floats: usize,
    /// Multiply-adds, for estimates.
    pub macs: u64,
    /// Computes it.
    pub run: TaskFn,
}

/// Runs a task: loads its inputs into the arena, computes, stores its outputs.
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
    /// cfg layer that it is: for people.
    pub layer: u16,
    /// Index into [`Program::tensors`] of its map.
    pub tensor: u16,
    /// Number of classes.
    pub classes: usize,
    /// Anchor of every slot, width and height: pixels of the network's input (yolo, Gaussian),
    /// grid cells (region). Empty for detection (v1).
    pub anchors: &'static [(f32, f32)],
    /// How boxes are read off the map.
    pub kind: HeadKind,
}

impl Program {
    /// Who needs what of whom.
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
            inputs: t.inputs.to_vec(),
            outputs: t.outputs.to_vec(),
            macs: t.macs,
            ..TaskInfo::default()
        });
        TaskGraph::new(
            tensors.collect(),
            tasks.collect(),
            self.tail.inputs.to_vec(),
        )
    }
}
