//! Rules that must hold under every fault, and the ways to break them.

use super::{exec::PieceError, frame_record::Tail};
use tessera_protocol::{DropReason, FrameId, FrameOutcome, NodeId, Refusal, TaskId};

/// A broken rule and the virtual time at which a node broke the rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at {at_us} us: {what}")]
pub struct Failure {
    /// Virtual time, in microseconds.
    pub at_us: u64,
    /// The broken rule.
    pub what: Violation,
}

/// Rules that may be broken. Nodes are ids; 0 is the gateway.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Violation {
    #[error("node {node:?} sent {bytes} bytes in one datagram")]
    Datagram { node: NodeId, bytes: usize },
    #[error("node {node:?} does not stop asking to be polled")]
    Spins { node: NodeId },
    #[error("node {node:?} has more than {most} jobs out")]
    TooManyJobs { node: NodeId, most: usize },
    #[error("node {node:?} gave two jobs one name")]
    JobTwice { node: NodeId },
    #[error("node {node:?} runs task {task}, which does not exist")]
    NoTask { node: NodeId, task: TaskId },
    #[error("node {node:?} says of a job of {frame:?} that stolen is {stolen}")]
    Stolen {
        node: NodeId,
        frame: FrameId,
        stolen: bool,
    },
    #[error("node {node:?} uses {frame:?}, which nobody brought")]
    UnknownFrame { node: NodeId, frame: FrameId },
    #[error("node {node:?} runs task {task} of its own {frame:?} after that ended")]
    RunAfterEnd {
        node: NodeId,
        frame: FrameId,
        task: TaskId,
    },
    #[error("node {node:?}, task {task} of {frame:?}: {error}")]
    Pieces {
        node: NodeId,
        frame: FrameId,
        task: TaskId,
        error: PieceError,
    },
    #[error("node {node:?} read wrong values for input {input} of task {task} of {frame:?}")]
    WrongInput {
        node: NodeId,
        frame: FrameId,
        task: TaskId,
        input: usize,
    },
    #[error(
        "the tail's input {input} of {frame:?} has wrong values, first at {position} of {values}"
    )]
    WrongTail {
        frame: FrameId,
        input: usize,
        position: usize,
        values: usize,
    },
    #[error("the tail got {found} inputs, not {expected}")]
    TailInputs { found: usize, expected: usize },
    #[error("{frame:?} came whole to the gateway with other values")]
    WrongPicture { frame: FrameId },
    #[error("the meta of {frame:?} came to the gateway changed")]
    Meta { frame: FrameId },
    #[error("{frame:?} ended twice")]
    EndedTwice { frame: FrameId },
    #[error("{frame:?} was dropped for {reason:?} when its tail was {tail:?}")]
    DropOutOfTurn {
        frame: FrameId,
        reason: DropReason,
        tail: Option<Tail>,
    },
    #[error("the source of {frame:?} heard of {outcome:?}, which no gateway had written")]
    FalseEnd {
        frame: FrameId,
        outcome: FrameOutcome,
    },
    #[error("the tail of {frame:?} ran twice in one incarnation of the gateway")]
    TailTwice { frame: FrameId },
    #[error("the tail of {frame:?} ran after its source knew of its end")]
    TailAfterEnd { frame: FrameId },
    #[error("refused were {found:?} instead of {expected:?}")]
    Refused {
        found: Vec<(usize, Refusal)>,
        expected: Vec<(usize, Refusal)>,
    },
    #[error("node {node:?} has grown: its state takes {bytes} bytes of text, idle")]
    Grown { node: NodeId, bytes: usize },
    #[error("node {node:?} left without being told to")]
    LeftAlone { node: NodeId },
    #[error("{frames} frames have not ended, first {first:?}")]
    Stuck { frames: usize, first: FrameId },
    #[error("node {node:?} waits for others that stand still")]
    HeldUp { node: NodeId },
    #[error("{frame:?} was dropped for {reason:?} though nothing happened to its source")]
    Spurious { frame: FrameId, reason: DropReason },
    #[error("{frame:?} of a lost source has no record")]
    NoRecord { frame: FrameId },
    #[error("node {node:?} keeps {slots} slots after all frames ended")]
    Leak { node: NodeId, slots: usize },
    #[error("node {node:?} has work left after all frames ended")]
    Unfinished { node: NodeId },
    #[error("idle, the nodes sent {datagrams} datagrams in {us} us; {most} would do")]
    Chatter { datagrams: u64, us: u64, most: u64 },
    #[error("node {node:?} says that node {accused:?} computed wrong, which it did not")]
    Accused { node: NodeId, accused: NodeId },
    #[error("node {node:?} does not leave at the end of the run")]
    Lingers { node: NodeId },
    #[error("{events} events are under way")]
    TooManyEvents { events: usize },
    #[error("{events} events have happened, and no end")]
    Endless { events: u64 },
}
