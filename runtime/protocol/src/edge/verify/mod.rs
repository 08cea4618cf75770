//! Verification: a source has a share of the tasks that other boards computed computed again, and compares the bits.
//!
//! A task is a pure function, and kernels have one order of sums, so two boards of one instruction set make the same bits
//! (`docs/security.md` says what is compared where boards differ). The rules:
//!
//! | question | answer |
//! |---|---|
//! | which tasks | those that [`chosen::chosen`] names: a function of a random number that only the source has, so nobody can tell before |
//! | who computes again | the source, of which a frame is lost anyway if it is wrong |
//! | what is compared | all that the task made: the source fetches it from the board, as any reader does |
//! | meanwhile | the task is not finished: nothing reads its outputs, neither other tasks nor the gateway. What counts then is what the source itself has made |
//! | outputs differ | a third computation decides who was wrong: by another board, or once more here if nobody takes it |
//! | then | every frame in flight that the board had a part in begins anew, without the board ([`restart`]); the second time it gets no more tasks ([`suspects`]) |
//!
//! ```text
//!            Done           own job           fetched           third job, fetched
//! (leased) ───────> Again ───────> Compare ─┬─ equal ──> finished here
//!                                           └─ differs ─> Third ──> Judge ──> frames begin anew
//!                                                           └ nobody took it ─> ThirdHere ──┘
//! ```
//!
//! One comparison runs at a time, and one dispute; what waits for them is marked in the task table. So the memory that all
//! this takes is one slot, and two copies of one output.

pub mod check;
pub mod chosen;
mod compare;
mod dispute;
mod restart;
mod same;
mod suspects;
#[cfg(test)]
mod tests;

use self::{compare::Comparison, dispute::Dispute, suspects::Suspects};
use crate::Micros;

/// What a source knows of checks under way and of boards that were wrong.
#[derive(Debug, Default)]
pub struct Verifier {
    /// Boards that were wrong, or do not hand over what they made.
    pub suspects: Suspects,
    comparison: Option<Comparison>,
    /// Number of comparisons so far.
    comparisons: u32,
    dispute: Option<Dispute>,
}

impl Verifier {
    /// When to look again at a third computation.
    pub fn next(&self) -> Option<Micros> {
        self.dispute.as_ref().map(|d| d.look_us)
    }
}
