//! The slots that a lease hands to its worker, as a task sees them.

use std::marker::PhantomData;

use super::{
    entry::{Content, PortIx},
    jobs::Lease,
    segment::Segment,
};
use tessera_plan::region::{Region, Span};
use tessera_runtime::{
    io::{Arena, Piece, TaskIo},
    program::TaskSpec,
    team::Team,
};

/// A job that no correct network process submits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadJob {
    /// The program has no such task.
    #[error("there is no task {0}")]
    Task(u32),
    /// A piece belongs to no input or output of the task.
    #[error("piece {0} belongs to no port")]
    Port(usize),
    /// A box leaves the slots, or is inside out.
    #[error("piece {0} leaves the slots")]
    Outside(usize),
    /// An output has no slot, or several.
    #[error("output {0} has no slot of its own")]
    Output(usize),
    /// An output overlaps another piece.
    #[error("pieces {0} and {1} overlap")]
    Overlap(usize, usize),
}

/// A leased job's inputs and outputs.
#[derive(Debug)]
pub struct Handed<'l> {
    inputs: Vec<Vec<Piece<'l>>>,
    outputs: Vec<&'l mut [f32]>,
    lease: PhantomData<&'l mut Lease>,
}

impl<'l> Handed<'l> {
    /// Looks up and checks what `lease` hands over: `content` was read from its entry, `task` is
    /// the task it names.
    ///
    /// # Errors
    /// When a piece leaves the slots or an output overlaps anything.
    ///
    /// # Safety
    /// `lease` and `content` come from `segment`'s own job table, and whoever filled the table keeps
    /// the pieces' slots as they are until the job has ended: nobody writes the inputs, nobody else
    /// touches the outputs. [`crate::roles::workers::Workers::submit`] sees to that by loans.
    pub unsafe fn new(
        _lease: &'l mut Lease,
        segment: &'l Segment,
        content: &Content,
        task: &TaskSpec,
    ) -> Result<Self, BadJob> {
        let mut spans = Vec::with_capacity(content.pieces.len());
        let mut slot_of = vec![None; task.outputs.len()];
        for (k, p) in content.pieces.iter().enumerate() {
            let floats = match p.port {
                PortIx::Input(i) if (i as usize) < task.inputs.len() => checked_len(p.region),
                PortIx::Output(o) if (o as usize) < task.outputs.len() => {
                    if slot_of[o as usize].replace(k).is_some() {
                        return Err(BadJob::Output(o as usize));
                    }
                    checked_len(task.outputs[o as usize].region)
                }
                _ => return Err(BadJob::Port(k)),
            };
            let values = floats.and_then(|n| segment.floats(p.place, n));
            spans.push(values.ok_or(BadJob::Outside(k))?);
        }
        for &k in slot_of.iter().flatten() {
            let out = spans[k].as_ptr().cast::<f32>() as usize;
            for (j, other) in spans.iter().enumerate() {
                let start = other.as_ptr().cast::<f32>() as usize;
                let apart = start >= out + 4 * spans[k].len() || out >= start + 4 * other.len();
                if j != k && !apart {
                    return Err(BadJob::Overlap(k, j));
                }
            }
        }
        let mut inputs = vec![Vec::new(); task.inputs.len()];
        for (p, values) in content.pieces.iter().zip(&spans) {
            if let PortIx::Input(i) = p.port {
                inputs[i as usize].push(Piece {
                    region: p.region,
                    // SAFETY: the values lie in the segment, which outlives `'l`. The lease is
                    // borrowed for `'l`, so the job has not ended: by the caller's promise nobody
                    // writes its inputs. This job's own outputs do not overlap this piece (checked
                    // above).
                    data: unsafe { values.as_ref() },
                });
            }
        }
        let mut outputs = Vec::with_capacity(slot_of.len());
        for (o, k) in slot_of.into_iter().enumerate() {
            let mut values = spans[k.ok_or(BadJob::Output(o))?];
            // SAFETY: as above; by the caller's promise nobody else touches the output, and no other
            // piece of the job overlaps it.
            outputs.push(unsafe { values.as_mut() });
        }
        Ok(Self {
            inputs,
            outputs,
            lease: PhantomData,
        })
    }

    /// Runs the task on a team's threads.
    pub fn run(&mut self, task: &TaskSpec, weights: &[f32], arena: &mut [f32], team: &Team) {
        let inputs: Vec<&[Piece<'_>]> = self.inputs.iter().map(Vec::as_slice).collect();
        let mut outputs: Vec<&mut [f32]> = self.outputs.iter_mut().map(|o| &mut **o).collect();
        (task.run)(&mut TaskIo {
            ports_in: task.inputs,
            ports_out: task.outputs,
            inputs: &inputs,
            outputs: &mut outputs,
            weights,
            arena: Arena::new(arena),
            team,
        });
    }
}

/// Values of a box that was read from shared memory; `None` when it is inside out or absurd.
pub(crate) fn checked_len(r: Region) -> Option<usize> {
    let axis = |a: Span| a.hi.checked_sub(a.lo);
    axis(r.y)?.checked_mul(axis(r.x)?)?.checked_mul(axis(r.c)?)
}

#[cfg(test)]
mod tests;
