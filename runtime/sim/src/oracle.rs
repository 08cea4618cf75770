//! The expected values of a frame, computed directly: every tensor whole, task after task.

use std::{collections::VecDeque, rc::Rc, sync::Arc};

use super::exec;
use tessera_plan::region::Region;
use tessera_protocol::{FrameId, ProgramInfo, TaskId};

/// Computes the values that a frame's tensors must have.
#[derive(Debug)]
pub struct Oracle {
    info: Arc<ProgramInfo>,
    /// The last frames computed; at most [`Self::KEPT_MAX`].
    kept: VecDeque<(FrameId, Rc<Vec<Vec<u32>>>)>,
}

impl Oracle {
    /// Most frames whose tensors the oracle keeps.
    pub const KEPT_MAX: usize = 64;

    /// An oracle for a program.
    pub const fn new(info: Arc<ProgramInfo>) -> Self {
        Self {
            info,
            kept: VecDeque::new(),
        }
    }

    /// All tensors of a frame, each whole, as `[h, w, c]`.
    pub fn tensors(&mut self, frame: FrameId) -> Rc<Vec<Vec<u32>>> {
        if let Some((_, t)) = self.kept.iter().find(|(f, _)| *f == frame) {
            return Rc::clone(t);
        }
        let tensors = Rc::new(self.compute(frame));
        if self.kept.len() == Self::KEPT_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back((frame, Rc::clone(&tensors)));
        tensors
    }

    /// Values of a box of a frame's tensor, row by row.
    pub fn cut(&mut self, frame: FrameId, tensor: u16, region: Region) -> Vec<u32> {
        let whole = self.info.tensors[tensor as usize].region;
        cut(&self.tensors(frame)[tensor as usize], whole, region)
    }

    fn compute(&self, frame: FrameId) -> Vec<Vec<u32>> {
        let info = &*self.info;
        let mut tensors: Vec<Vec<u32>> = info
            .tensors
            .iter()
            .map(|t| vec![0; t.region.len()])
            .collect();
        if let Some(first) = tensors.first_mut() {
            *first = exec::frame_values(frame, info.tensors[0].element, first.len());
        }
        for (k, task) in info.tasks.iter().enumerate() {
            let whole = |t: u16| info.tensors[t as usize].region;
            let inputs: Vec<Vec<u32>> = task
                .inputs
                .iter()
                .map(|p| cut(&tensors[p.tensor as usize], whole(p.tensor), p.region))
                .collect();
            let digest = exec::digest(&inputs);
            for (o, p) in task.outputs.iter().enumerate() {
                let element = info.tensors[p.tensor as usize].element;
                let values =
                    exec::output_values(TaskId(k as u32), o, digest, element, p.region.len());
                let tensor = &mut tensors[p.tensor as usize];
                for (to, from, n) in exec::runs(p.region, whole(p.tensor), p.region) {
                    tensor[to..to + n].copy_from_slice(&values[from..from + n]);
                }
            }
        }
        tensors
    }
}

fn cut(tensor: &[u32], whole: Region, region: Region) -> Vec<u32> {
    let mut out = Vec::with_capacity(region.len());
    for (from, _, n) in exec::runs(region, whole, region) {
        out.extend_from_slice(&tensor[from..from + n]);
    }
    out
}
