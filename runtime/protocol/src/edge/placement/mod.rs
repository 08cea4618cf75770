//! Placement: which node runs which task.
//!
//! The rest of [`super`] knows *how* work moves: leases, pulls, jobs, reports. This module alone decides
//! *which* work moves, from a [`Situation`] that a decision may read and not change:
//!
//! | question | asked when |
//! |---|---|
//! | [`Policy::next_own`] | this node may begin another job |
//! | [`Policy::backup`] | this node may begin another job, and no own task is ready |
//! | [`Policy::for_thief`] | a thief asks for a task |
//! | [`Policy::for_home`] | tasks became ready, or a board has room |
//! | [`Policy::offers_work`] | a heartbeat tells the gateway whether there are tasks to steal |
//! | [`Policy::wants_work`] | this node might ask for a task |
//! | [`strips::late`] | time has passed, or tasks have ended, and tasks stand in for others |
//! | [`Policy::keeps_victim`] | a victim has given a task, and may be asked first the next time |
//!
//! The gateway chooses the victim for a thief from its ring: the victims take turns.

pub mod anywhere;
mod boards;
mod home;
mod late;
mod paces;
mod steal;
pub mod strips;
mod turns;

pub use self::paces::Paces;
use super::{own_frames::OwnFrames, peers::Peers, pending_job::PendingJobs};
use crate::{
    EdgeConfig, FrameNumber, Micros, NodeIncarnation, Placement, ProgramInfo, TaskId, peer::Peer,
};

/// Multiply-adds per microsecond that the slowest boards compute: tasks whose pace nobody knows may take as long as that.
pub const MACS_PER_US_MIN: u64 = 200;

/// The policy of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy(pub Placement);

/// The state that a decision may read.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The program's task graph and digests.
    pub info: &'a ProgramInfo,
    /// This node's bounds and periods.
    pub config: &'a EdgeConfig,
    /// This node.
    pub me: NodeIncarnation,
    /// The time of the decision.
    pub now_us: Micros,
    /// Own frames and the state of their tasks.
    pub frames: &'a OwnFrames,
    /// Other edges, and the room that they have.
    pub peers: &'a Peers,
    /// How fast nodes finish tasks.
    pub paces: &'a Paces,
    /// Time before which a home board may not have been heard yet.
    pub missing_after_us: Micros,
    /// Jobs of this node.
    pub pending: &'a PendingJobs,
    /// Number of them: loading, loaded and running.
    pub jobs: usize,
    /// Those of them that do not wait for objects that are not made yet.
    pub active: usize,
    /// Bytes that this node keeps for other nodes' frames.
    pub foreign_bytes: usize,
    /// Nodes that bring frames, as far as this node knows: this node, and those that it computes for.
    pub sources: usize,
}

/// A task of an own frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Choice {
    /// The frame's number.
    pub number: FrameNumber,
    /// The task of the frame.
    pub task: TaskId,
}

/// The decision on running a backup copy of a leased task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backup {
    /// Run this task now.
    Now(Choice),
    /// Run no backup before this time.
    NotBefore(Micros),
    /// Run no backup.
    No,
}

/// The decision on giving a task to a board that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// Lease this task to this board now.
    Now {
        /// The task.
        choice: Choice,
        /// The board.
        to: Peer,
        /// True when the task is late at its home.
        late: bool,
    },
    /// No task becomes late before this time.
    NotBefore(Micros),
    /// Give nothing until something changes.
    No,
}

impl Policy {
    /// The ready task of an own frame that this node should begin next.
    pub fn next_own(self, s: &Situation<'_>) -> Option<Choice> {
        if self.waits() {
            home::next_own(s)
        } else {
            steal::next_own(s)
        }
    }

    /// The leased task of an own frame that this node should run as well.
    pub fn backup(self, s: &Situation<'_>) -> Backup {
        if self.waits() {
            home::backup(s)
        } else {
            steal::backup(s)
        }
    }

    /// The ready task of an own frame that a thief should have; `fits` tells whether a lease can
    /// name all holders of a task's inputs.
    pub fn for_thief(
        self,
        s: &Situation<'_>,
        thief: NodeIncarnation,
        fits: impl Fn(Choice) -> bool,
    ) -> Option<Choice> {
        // Boards that wait for what is given are asked for nothing.
        if self.waits() {
            None
        } else {
            steal::for_thief(s, thief, fits)
        }
    }

    /// The task of an own frame that a waiting board should have; `fits` as in [`Self::for_thief`].
    pub fn for_home(self, s: &Situation<'_>, fits: impl Fn(Choice) -> bool) -> Grant {
        if self.waits() {
            home::for_home(s, fits)
        } else {
            Grant::No
        }
    }

    /// True when boards keep what they fetched for their other tasks of a frame.
    pub fn keeps_boxes(self) -> bool {
        self.0 == Placement::Home
    }

    /// True when boards wait for tasks that sources give, rather than ask for each.
    pub fn waits(self) -> bool {
        self.0.has_homes()
    }

    /// True when this node has a task that another node may have.
    pub fn offers_work(self, s: &Situation<'_>) -> bool {
        if self.waits() {
            home::offers_work(s)
        } else {
            steal::offers_work(s)
        }
    }

    /// True when this node should ask other nodes for a task.
    pub fn wants_work(self, s: &Situation<'_>) -> bool {
        if self.waits() {
            home::wants_work(s)
        } else {
            steal::wants_work(s)
        }
    }

    /// True when a victim that has given a task is asked for the next one before the gateway is.
    pub fn keeps_victim(self, info: &ProgramInfo) -> bool {
        if self.waits() {
            false
        } else {
            steal::keeps_victim(info)
        }
    }
}
