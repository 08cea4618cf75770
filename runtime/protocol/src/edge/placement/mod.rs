//! Placement: which node runs which task.
//!
//! The rest of [`super`] knows *how* work moves: leases, pulls, jobs, reports. This module alone decides
//! *which* work moves, from a [`Situation`] that a decision may read and not change:
//!
//! | question | asked when |
//! |---|---|
//! | [`Placement::next_own`] | this node may begin another job |
//! | [`Placement::backup`] | this node may begin another job, and no own task is ready |
//! | [`Placement::for_thief`] | a thief asks for a task |
//! | [`Placement::offers_work`] | a heartbeat tells the gateway whether there are tasks to steal |
//! | [`Placement::wants_work`] | this node might ask for a task |
//! | [`Placement::keeps_victim`] | a victim has given a task, and may be asked first the next time |
//!
//! The gateway chooses the victim for a thief from its ring: the victims take turns.

mod steal;

use super::own_frames::OwnFrames;
use crate::{EdgeConfig, FrameNumber, Micros, NodeIncarnation, Placement, ProgramInfo, TaskId};

/// The state that a decision may read.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The program's task graph and digests.
    pub info: &'a ProgramInfo,
    /// This node's bounds and periods.
    pub config: &'a EdgeConfig,
    /// Own frames and the state of their tasks.
    pub frames: &'a OwnFrames,
    /// Jobs of this node: loading, loaded and running.
    pub jobs: usize,
    /// Bytes that this node keeps for other nodes' frames.
    pub foreign_bytes: usize,
}

/// A task of an own frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

impl Placement {
    /// The ready task of an own frame that this node should begin next.
    pub fn next_own(self, s: &Situation<'_>) -> Option<Choice> {
        match self {
            Self::Steal => steal::next_own(s),
        }
    }

    /// The leased task of an own frame that this node should run as well.
    pub fn backup(self, s: &Situation<'_>, now_us: Micros) -> Backup {
        match self {
            Self::Steal => steal::backup(s, now_us),
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
        match self {
            Self::Steal => steal::for_thief(s, thief, fits),
        }
    }

    /// True when this node has a task that another node may have.
    pub fn offers_work(self, s: &Situation<'_>) -> bool {
        match self {
            Self::Steal => steal::offers_work(s),
        }
    }

    /// True when this node should ask other nodes for a task.
    pub fn wants_work(self, s: &Situation<'_>) -> bool {
        match self {
            Self::Steal => steal::wants_work(s),
        }
    }

    /// True when a victim that has given a task is asked for the next one before the gateway is.
    pub fn keeps_victim(self, info: &ProgramInfo) -> bool {
        match self {
            Self::Steal => steal::keeps_victim(info),
        }
    }
}
