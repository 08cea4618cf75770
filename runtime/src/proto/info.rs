//! What the machines must know of a program: which boxes tasks read and make.
//!
//! A [`ProgramInfo`] is checked once; afterwards ids from the wire are compared with its tables
//! and everything else may index them.

use std::collections::BTreeMap;

use super::ids::Part;
use crate::{
    program::{Port, Program},
    region::Region,
};

/// A program without its functions, with the dataflow worked out.
#[derive(Clone, Debug)]
pub struct ProgramInfo {
    /// Hash of the plan's dataflow.
    pub plan_hash: [u8; 32],
    /// Digest of the model.
    pub model_digest: [u8; 32],
    /// Whole maps; 0 is the frame.
    pub tensors: Vec<Region>,
    /// Tasks of all stages, in stage order.
    pub tasks: Vec<TaskInfo>,
    /// Tensors that the tail reads, whole.
    pub tail_inputs: Vec<u16>,
    /// Parts that the tail reads, whole, without empty ones: `input` is an index into
    /// `tail_inputs`. Sorted by part.
    pub tail_needs: Vec<Need>,
}

/// A task without its function.
#[derive(Clone, Debug, Default)]
pub struct TaskInfo {
    /// Stage, from 0.
    pub stage: u16,
    /// What it reads.
    pub inputs: Vec<Port>,
    /// What it makes.
    pub outputs: Vec<Port>,
    /// Multiply-adds, for estimates.
    pub macs: u64,
    /// Pieces that together cover its inputs, without empty ones. Derived.
    pub needs: Vec<Need>,
    /// Tasks whose outputs it reads, ascending. Derived.
    pub producers: Vec<u32>,
    /// Tasks that read its outputs, ascending. Derived.
    pub consumers: Vec<u32>,
    /// Whether the tail reads any of its outputs. Derived.
    pub for_tail: bool,
}

/// A piece of an input: the box that `part` can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Which input of the task (or of the tail).
    pub input: u16,
    /// Which object of the frame.
    pub part: Part,
    /// The box wanted of it; inside the part's own.
    pub region: Region,
}

/// What is wrong with a program's dataflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InfoError {
    /// More tasks or tensors than ids go round.
    #[error("{0} tasks or tensors are too many")]
    TooMany(usize),
    /// A port names a tensor that does not exist.
    #[error("task {task:?} names tensor {tensor}, which does not exist")]
    NoTensor {
        /// The task; `None` for the tail.
        task: Option<usize>,
        /// The tensor.
        tensor: u16,
    },
    /// A port's box leaves its tensor.
    #[error("task {task}: a box leaves tensor {tensor}")]
    Outside {
        /// The task.
        task: usize,
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
    /// A task reads more pieces than fit a lease.
    #[error("task {task} reads {pieces} pieces")]
    TooManyPieces {
        /// The task.
        task: usize,
        /// Its pieces.
        pieces: usize,
    },
}

impl ProgramInfo {
    /// Most tasks of a program.
    pub const MAX_TASKS: usize = 1 << 16;
    /// Most pieces of one task: their holders fit one datagram.
    pub const MAX_PIECES: usize = 512;
    /// Most values of a tensor: its chunks fit a transfer's bitmap.
    pub const MAX_FLOATS: usize = 1 << 26;

    /// Works out who needs what. The derived fields of `tasks` are overwritten.
    ///
    /// # Errors
    /// [`InfoError`] when boxes leave their tensors, do not cover what is read, or tasks read
    /// what is not made before them.
    pub fn new(
        plan_hash: [u8; 32],
        model_digest: [u8; 32],
        tensors: Vec<Region>,
        mut tasks: Vec<TaskInfo>,
        tail_inputs: Vec<u16>,
    ) -> Result<Self, InfoError> {
        if tasks.len() > Self::MAX_TASKS || tensors.len() > usize::from(u16::MAX) {
            return Err(InfoError::TooMany(tasks.len().max(tensors.len())));
        }
        if let Some(t) = tensors.iter().find(|t| !fits(t)) {
            return Err(InfoError::TooMany(t.len()));
        }
        let makers = makers(&tensors, &tasks)?;
        for k in 0..tasks.len() {
            let needs = needs_of(&tensors, &makers, &tasks[k].inputs, Some(k))?;
            if needs.len() > Self::MAX_PIECES {
                return Err(InfoError::TooManyPieces {
                    task: k,
                    pieces: needs.len(),
                });
            }
            let mut producers: Vec<u32> = needs.iter().filter_map(|n| task_of(n.part)).collect();
            producers.sort_unstable();
            producers.dedup();
            if let Some(&p) = producers.last()
                && p as usize >= k
            {
                return Err(InfoError::Order {
                    task: k,
                    producer: p as usize,
                });
            }
            let t = &mut tasks[k];
            (t.needs, t.consumers, t.for_tail) = (needs, Vec::new(), false);
            t.producers.clone_from(&producers);
            for p in producers {
                tasks[p as usize].consumers.push(k as u32);
            }
        }
        let whole: Vec<Port> = tail_inputs
            .iter()
            .map(|&t| {
                let region = tensors.get(t as usize).copied();
                region
                    .map(|region| Port { tensor: t, region })
                    .ok_or(InfoError::NoTensor {
                        task: None,
                        tensor: t,
                    })
            })
            .collect::<Result<_, _>>()?;
        let mut tail_needs = needs_of(&tensors, &makers, &whole, None)?;
        tail_needs.sort_by_key(|n| (n.part, n.input));
        for n in &tail_needs {
            if let Some(t) = task_of(n.part) {
                tasks[t as usize].for_tail = true;
            }
        }
        Ok(Self {
            plan_hash,
            model_digest,
            tensors,
            tasks,
            tail_inputs,
            tail_needs,
        })
    }

    /// The box that a part of a frame holds; `None` when there is no such part.
    pub fn region(&self, part: Part) -> Option<Region> {
        match part {
            Part::Frame => self.tensors.first().copied(),
            Part::Output { task, output } => {
                let t = self.tasks.get(task as usize)?;
                t.outputs.get(output as usize).map(|p| p.region)
            }
        }
    }

    /// Index range of the tail's needs that a task makes.
    pub fn tail_needs_of(&self, task: u32) -> std::ops::Range<usize> {
        let key = |n: &Need| match n.part {
            Part::Frame => 0,
            Part::Output { task, .. } => u64::from(task) + 1,
        };
        let want = u64::from(task) + 1;
        let lo = self.tail_needs.partition_point(|n| key(n) < want);
        let hi = self.tail_needs.partition_point(|n| key(n) <= want);
        lo..hi
    }

    /// What own frames need besides themselves, `(floats, count)` per size: all their outputs, and
    /// the copies of inputs for `jobs` jobs.
    pub(super) fn reserve(&self, own_frames: usize, jobs: usize) -> Vec<(usize, usize)> {
        let mut by_size = BTreeMap::new();
        let mut copies: BTreeMap<usize, usize> = BTreeMap::new();
        for t in &self.tasks {
            for p in &t.outputs {
                *by_size.entry(p.region.len()).or_insert(0) += own_frames;
            }
            let mut of_task: BTreeMap<usize, usize> = BTreeMap::new();
            for n in t.needs.iter().filter(|n| n.part != Part::Frame) {
                *of_task.entry(n.region.len()).or_insert(0) += 1;
            }
            for (len, n) in of_task {
                let most = copies.entry(len).or_insert(0);
                *most = (*most).max(n);
            }
        }
        for (len, n) in copies {
            *by_size.entry(len).or_insert(0) += n * jobs;
        }
        by_size.into_iter().collect()
    }

    /// See [`super::EdgeConfig::slots`].
    pub(super) fn slots(
        &self,
        own_frames: usize,
        jobs: usize,
        steal_frames: usize,
    ) -> Vec<(usize, usize)> {
        let mut by_size = BTreeMap::new();
        let frame = self.tensors.first().map_or(0, |t| t.len());
        *by_size.entry(frame).or_insert(0) += own_frames;
        let mut copies: BTreeMap<usize, usize> = BTreeMap::new();
        for t in &self.tasks {
            for p in &t.outputs {
                *by_size.entry(p.region.len()).or_insert(0) += own_frames + steal_frames;
            }
            let mut of_task: BTreeMap<usize, usize> = BTreeMap::new();
            for n in &t.needs {
                *of_task.entry(n.region.len()).or_insert(0) += 1;
            }
            for p in &t.outputs {
                // A job writes its own outputs even when the object arrives from elsewhere first.
                *of_task.entry(p.region.len()).or_insert(0) += 1;
            }
            for (len, n) in of_task {
                let most = copies.entry(len).or_insert(0);
                *most = (*most).max(n);
            }
        }
        for (len, n) in copies {
            *by_size.entry(len).or_insert(0) += n * jobs;
        }
        by_size.into_iter().filter(|&(_, n)| n > 0).collect()
    }
}

impl TryFrom<&Program> for ProgramInfo {
    type Error = InfoError;

    fn try_from(p: &Program) -> Result<Self, InfoError> {
        let tensors = p.tensors.iter().map(|t| Region::whole(t.h, t.w, t.c));
        let tasks = p.tasks.iter().map(|t| TaskInfo {
            stage: t.stage,
            inputs: t.inputs.to_vec(),
            outputs: t.outputs.to_vec(),
            macs: t.macs,
            ..TaskInfo::default()
        });
        Self::new(
            p.plan_hash,
            p.model_digest,
            tensors.collect(),
            tasks.collect(),
            p.tail.inputs.to_vec(),
        )
    }
}

/// The task that makes a part.
pub(super) const fn task_of(part: Part) -> Option<u32> {
    match part {
        Part::Frame => None,
        Part::Output { task, .. } => Some(task),
    }
}

fn fits(r: &Region) -> bool {
    let n = (r.h() as u64)
        .checked_mul(r.w() as u64)
        .and_then(|n| n.checked_mul(r.ch() as u64));
    n.is_some_and(|n| n <= ProgramInfo::MAX_FLOATS as u64)
}

/// Per tensor its parts, without empty ones.
fn makers(tensors: &[Region], tasks: &[TaskInfo]) -> Result<Vec<Vec<(Part, Region)>>, InfoError> {
    let mut makers = vec![Vec::new(); tensors.len()];
    if let (Some(first), Some(whole)) = (makers.first_mut(), tensors.first()) {
        first.push((Part::Frame, *whole));
    }
    for (k, t) in tasks.iter().enumerate() {
        for (o, p) in t.outputs.iter().enumerate() {
            let whole = tensors.get(p.tensor as usize).ok_or(InfoError::NoTensor {
                task: Some(k),
                tensor: p.tensor,
            })?;
            if !whole.contains(p.region) {
                return Err(InfoError::Outside {
                    task: k,
                    tensor: p.tensor,
                });
            }
            if !p.region.is_empty() {
                let part = Part::Output {
                    task: k as u32,
                    output: o as u16,
                };
                makers[p.tensor as usize].push((part, p.region));
            }
        }
    }
    Ok(makers)
}

/// The pieces that cover `ports`, and the proof that they do.
fn needs_of(
    tensors: &[Region],
    makers: &[Vec<(Part, Region)>],
    ports: &[Port],
    task: Option<usize>,
) -> Result<Vec<Need>, InfoError> {
    let mut needs = Vec::new();
    for (input, port) in ports.iter().enumerate() {
        let whole = tensors
            .get(port.tensor as usize)
            .ok_or(InfoError::NoTensor {
                task,
                tensor: port.tensor,
            })?;
        if !whole.contains(port.region) {
            return Err(InfoError::Outside {
                task: task.unwrap_or(usize::MAX),
                tensor: port.tensor,
            });
        }
        let mut found = 0;
        for &(part, region) in &makers[port.tensor as usize] {
            let region = region.meet(port.region);
            if !region.is_empty() {
                found += region.len();
                needs.push(Need {
                    input: input as u16,
                    part,
                    region,
                });
            }
        }
        // Makers' boxes do not overlap, so equal counts mean covered.
        if found != port.region.len() {
            return Err(InfoError::Uncovered {
                task,
                input,
                expected: port.region.len(),
                found,
            });
        }
    }
    Ok(needs)
}
