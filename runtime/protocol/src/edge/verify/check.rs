//! The check of one task's outputs, as the task table notes it.

use crate::peer::Peer;

/// A board's outputs that wait to be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// The process that made them.
    pub by: Peer,
    /// Its instruction set, as it says.
    pub arithmetic: u16,
}

/// The check of a task that another node has finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// What is checked.
    pub first: Made,
    /// How far the check is.
    pub step: Step,
}

/// How far a check is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// This node is to compute the task.
    Again,
    /// This node has computed the task: its outputs wait to be compared with the first ones.
    Compare,
    /// The outputs differ: a third node is to compute the task.
    Third,
    /// No third node has: this one is to compute it once more.
    ThirdHere,
    /// A third node has computed the task: its outputs wait to be compared with both.
    Judge(Made),
}

impl Check {
    /// True while other nodes may compute the task, and this one should not yet.
    pub const fn is_for_others(&self) -> bool {
        matches!(self.step, Step::Third)
    }

    /// True while nobody is to compute the task.
    pub const fn waits(&self) -> bool {
        matches!(self.step, Step::Compare | Step::Judge(_))
    }
}
