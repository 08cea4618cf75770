//! Which task needs how many bytes of which other task: the dataflow of one frame.

use tessera_plan::{
    graph::TensorIx,
    plan::Stage,
    region::{Region, Span},
};

const F32: u64 = 4;

/// One task, as the schedule sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Job {
    /// Multiply-adds.
    pub macs: u64,
    /// What it reads.
    pub needs: Vec<Need>,
    /// Bytes of each of its outputs.
    pub outputs: Vec<u64>,
    /// Bytes that go to the gateway when it is done.
    pub result_bytes: u64,
    /// Whether it is all of its stage: a team computes it.
    pub alone: bool,
}

/// Bytes that a task reads of another one's outputs, or of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Number of the task that makes them; `None`: they are part of the frame.
    pub producer: Option<usize>,
    /// Bytes, float32.
    pub bytes: u64,
}

fn bytes(r: &Region) -> u64 {
    F32 * r.len() as u64
}

/// The tasks of all stages in order; `results` are the tensors that the gateway reads.
pub fn jobs(stages: &[Stage], results: &[TensorIx]) -> Vec<Job> {
    let mut list: Vec<Job> = Vec::new();
    // Of every tensor made so far: the first task of its stage, and its place among the outputs.
    let mut makers: Vec<(TensorIx, usize, usize, usize)> = Vec::new();
    for (s, stage) in stages.iter().enumerate() {
        let first = list.len();
        for tile in &stage.tiles {
            let mut job = Job {
                macs: tile.macs,
                alone: stage.tiles.len() == 1,
                ..Job::default()
            };
            for (t, wanted) in stage.inputs.iter().zip(&tile.inputs) {
                if wanted.is_empty() {
                    continue;
                }
                match makers.iter().find(|m| m.0 == *t) {
                    None => job.needs.push(Need {
                        producer: None,
                        bytes: bytes(wanted),
                    }),
                    Some(&(_, at, maker, output)) => {
                        parts(&stages[maker], output, wanted, at, &mut job.needs);
                    }
                }
            }
            for (t, made) in stage.outputs.iter().zip(&tile.outputs) {
                job.outputs.push(bytes(made));
                if results.contains(t) {
                    job.result_bytes += bytes(made);
                }
            }
            list.push(job);
        }
        makers.extend(
            stage
                .outputs
                .iter()
                .enumerate()
                .map(|(k, t)| (*t, first, s, k)),
        );
    }
    list
}

/// The pieces of `wanted` by the tiles of the stage that makes them. Rows of tiles abut, and so
/// do columns, so that only the tiles in between are looked at.
fn parts(stage: &Stage, output: usize, wanted: &Region, first: usize, needs: &mut Vec<Need>) {
    let [rows, cols] = stage.grid;
    let at = |row: usize, col: usize| &stage.tiles[row * cols + col].outputs[output];
    let meets = |a: Span, b: Span| !a.meet(b).is_empty();
    for row in (0..rows).filter(|r| meets(at(*r, 0).y, wanted.y)) {
        for col in (0..cols).filter(|c| meets(at(0, *c).x, wanted.x)) {
            let piece = at(row, col).meet(*wanted);
            if !piece.is_empty() {
                needs.push(Need {
                    producer: Some(first + row * cols + col),
                    bytes: bytes(&piece),
                });
            }
        }
    }
}
