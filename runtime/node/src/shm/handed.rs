//! The inputs and outputs of a leased job, as a task uses them.

use std::{marker::PhantomData, ptr::NonNull, time::Duration};

use super::{
    arrivals::{ALL_ROWS, ArrivingPiece, Outputs},
    entry::{Content, PortIx},
    jobs::JobLease,
    segment::Segment,
};
use tessera_plan::{
    element::ElementType,
    region::{Region, Span},
};
use tessera_runtime::{
    io::{Arena, InputPiece, PieceBytes, TaskIo},
    program::{Program, TaskSpec},
    team::Team,
};

/// Why a job is invalid: no correct network process submits such a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadJob {
    /// The program has no task with this number.
    #[error("there is no task {0}")]
    Task(u32),
    /// The piece with this index belongs to no input or output of the task.
    #[error("piece {0} belongs to no port")]
    Port(usize),
    /// The box of the piece with this index leaves the slots, or is inverted.
    #[error("piece {0} leaves the slots")]
    Outside(usize),
    /// The output with this index has no slot, or more than one.
    #[error("output {0} has no slot of its own")]
    Output(usize),
    /// The output piece with the first index overlaps the piece with the second index.
    #[error("pieces {0} and {1} overlap")]
    Overlap(usize, usize),
}

/// The inputs and outputs of a leased job, checked and ready to run.
#[derive(Debug)]
pub struct Handed<'l> {
    task: &'static TaskSpec,
    inputs: Vec<Vec<HandedPiece<'l>>>,
    bytes: usize,
    outputs: Vec<&'l mut [u8]>,
    made: Outputs,
    elements_out: Vec<ElementType>,
    lease: PhantomData<&'l mut JobLease>,
}

/// A piece of an input.
#[derive(Debug)]
enum HandedPiece<'l> {
    Here(InputPiece<'l>),
    Arriving(Region, ElementType, ArrivingPiece),
}

impl HandedPiece<'_> {
    fn piece(&self) -> InputPiece<'_> {
        match self {
            Self::Here(piece) => *piece,
            Self::Arriving(region, element, rows) => InputPiece {
                region: *region,
                element: *element,
                bytes: PieceBytes::Arriving(rows),
            },
        }
    }
}

/// The pieces of a job, found and checked but not yet borrowed.
struct Found {
    /// Per piece its bytes.
    spans: Vec<NonNull<[u8]>>,
    /// Per output of the task its piece.
    output_pieces: Vec<usize>,
}

impl<'l> Handed<'l> {
    /// Looks up and checks what `lease` hands over: `content` was read from its entry, and names a task
    /// of `program`.
    ///
    /// # Errors
    /// When a piece leaves the slots or an output overlaps anything.
    ///
    /// # Safety
    /// `lease` and `content` come from `segment`'s own job table, and whoever filled the table keeps
    /// the pieces' slots as they are until the job has ended: nobody writes the inputs (of an input that arrives: the
    /// rows before its mark), nobody else touches the outputs. [`crate::workers::Workers::submit`] sees to that by loans.
    pub unsafe fn new(
        lease: &'l mut JobLease,
        segment: &'l Segment,
        content: &Content,
        program: &'static Program,
    ) -> Result<Self, BadJob> {
        let task = program.tasks.get(content.task as usize);
        let task = task.ok_or(BadJob::Task(content.task))?;
        let element = |tensor: u16| program.tensors[tensor as usize].element;
        let found = find(segment, content, task, &element)?;
        let mut inputs: Vec<Vec<HandedPiece<'l>>> = Vec::new();
        inputs.resize_with(task.inputs.len(), Vec::new);
        for (k, (p, span)) in content.pieces.iter().zip(&found.spans).enumerate() {
            let PortIx::Input(i) = p.port else { continue };
            let (region, element) = (p.region, element(task.inputs[i as usize].tensor));
            let all = u32::try_from(region.h()).unwrap_or(ALL_ROWS);
            inputs[i as usize].push(if p.rows >= all {
                HandedPiece::Here(InputPiece {
                    region,
                    element,
                    // SAFETY: the bytes lie in the segment, which outlives `'l`. The lease is
                    // borrowed for `'l`, so the job has not ended: by the caller's promise nobody
                    // writes its inputs. This job's own outputs do not overlap this piece (`find`
                    // has checked that).
                    bytes: PieceBytes::Here(unsafe { span.as_ref() }),
                })
            } else {
                let row_bytes = region.w() * region.ch() * element.bytes();
                let (words, at) = (segment.entries(), lease.mark(k));
                // SAFETY: as above; by the caller's promise nobody writes rows before the mark.
                let rows = unsafe { ArrivingPiece::new(words, at, *span, row_bytes) };
                HandedPiece::Arriving(region, element, rows)
            });
        }
        let marks = found.output_pieces.iter().map(|&k| lease.mark(k));
        let made = Outputs::new(segment.entries(), marks);
        let outputs = found.output_pieces.iter().map(|&k| {
            let mut span = found.spans[k];
            // SAFETY: as above; by the caller's promise nobody else touches the output (rows before its mark are read, and
            // nothing writes them again), and no other piece of the job overlaps it.
            unsafe { span.as_mut() }
        });
        Ok(Self {
            task,
            inputs,
            bytes: found.spans.iter().map(|s| s.len()).sum(),
            outputs: outputs.collect(),
            made,
            elements_out: task.outputs.iter().map(|p| element(p.tensor)).collect(),
            lease: PhantomData,
        })
    }

    /// Bytes of all inputs and outputs together.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Time for which the task has waited for rows of its inputs.
    pub fn waited(&self) -> Duration {
        let pieces = self.inputs.iter().flatten();
        let waited = pieces.map(|p| match p {
            HandedPiece::Here(_) => Duration::ZERO,
            HandedPiece::Arriving(.., rows) => rows.waited(),
        });
        waited.sum()
    }

    /// Prepares to run the task once more; `false` if rows of its outputs have left, so that it must not.
    pub fn take_back(&self) -> bool {
        self.made.take_back()
    }

    /// Runs the task on a team's threads.
    pub fn run(&mut self, weights: &[f32], arena: &mut [f32], team: &Team) {
        let inputs = self.inputs.iter();
        let inputs: Vec<Vec<InputPiece<'_>>> = inputs
            .map(|pieces| pieces.iter().map(HandedPiece::piece).collect())
            .collect();
        let inputs: Vec<&[InputPiece<'_>]> = inputs.iter().map(Vec::as_slice).collect();
        let mut outputs: Vec<&mut [u8]> = self.outputs.iter_mut().map(|o| &mut **o).collect();
        (self.task.run)(&mut TaskIo {
            ports_in: self.task.inputs,
            ports_out: self.task.outputs,
            inputs: &inputs,
            outputs: &mut outputs,
            elements_out: &self.elements_out,
            made: Some(&self.made),
            weights,
            arena: Arena::new(arena),
            team,
        });
    }
}

/// Looks all pieces up; checks that they lie in the slots, that every output has one, and that no output
/// overlaps anything.
fn find(
    segment: &Segment,
    content: &Content,
    task: &TaskSpec,
    element: &dyn Fn(u16) -> ElementType,
) -> Result<Found, BadJob> {
    let mut spans = Vec::with_capacity(content.pieces.len());
    let mut piece_of = vec![None; task.outputs.len()];
    for (k, p) in content.pieces.iter().enumerate() {
        let (port, region) = match p.port {
            PortIx::Input(i) => (task.inputs.get(i as usize), p.region),
            PortIx::Output(o) => {
                let port = task.outputs.get(o as usize);
                if port.is_some() && piece_of[o as usize].replace(k).is_some() {
                    return Err(BadJob::Output(o as usize));
                }
                (port, port.map_or(p.region, |port| port.region))
            }
        };
        let port = port.ok_or(BadJob::Port(k))?;
        let bytes = checked_bytes(region, element(port.tensor));
        let span = bytes.and_then(|n| segment.bytes(p.place, n));
        spans.push(span.ok_or(BadJob::Outside(k))?);
    }
    for &k in piece_of.iter().flatten() {
        let (out, length) = (spans[k].as_ptr().cast::<u8>() as usize, spans[k].len());
        for (j, other) in spans.iter().enumerate() {
            let start = other.as_ptr().cast::<u8>() as usize;
            let apart = start >= out + length || out >= start + other.len();
            if j != k && !apart {
                return Err(BadJob::Overlap(k, j));
            }
        }
    }
    let output_pieces = piece_of.into_iter().enumerate();
    Ok(Found {
        spans,
        output_pieces: output_pieces
            .map(|(o, k)| k.ok_or(BadJob::Output(o)))
            .collect::<Result<_, _>>()?,
    })
}

/// Bytes of a box that was read from shared memory; `None` when it is inside out or absurd.
fn checked_bytes(r: Region, element: ElementType) -> Option<usize> {
    let axis = |a: Span| a.hi.checked_sub(a.lo);
    let values = axis(r.y)?
        .checked_mul(axis(r.x)?)?
        .checked_mul(axis(r.c)?)?;
    values.checked_mul(element.bytes())
}

#[cfg(test)]
mod tests;
