//! The boards of a plan as the simulator takes them.

use std::sync::Arc;

use tessera_plan::{
    dataflow::{DataflowError, TaskGraph},
    graph::Graph,
    plan::Plan,
};
use tessera_planner::{
    boards::{Board, Kinds, Link, Medium},
    options::PlanOptions,
    refine::task_times,
};
use tessera_protocol::ProgramInfo;
use tessera_sim::{
    ScheduledFault,
    course::{self, Course, Setup, Sources, TransferCourse},
    stream::{self, Stream},
    timing::{self, BoardTiming, GatewayTiming, LinkTiming, Timeline, TimingError},
};

use crate::settings::Settings;

/// Bytes on the channel for every byte of values: chunks have headers, and every few of them a request. Rates of links are
/// those of values.
pub const BYTES_PER_VALUE_BYTE: f64 = 1.05;

/// Why a plan cannot be simulated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// The plan contradicts itself.
    #[error(transparent)]
    Dataflow(#[from] DataflowError),
    /// The plan does not say how long its tail takes.
    #[error("the plan has no estimates; make it again with cargo xtask plan")]
    NoEstimates,
    /// A number of the plan is too large.
    #[error("the plan counts {boards} boards")]
    Boards {
        /// Boards that homes count.
        boards: usize,
    },
    /// The task times do not belong to the plan.
    #[error("the plan has {tasks} tasks, and {times} of them have a time")]
    Times {
        /// Tasks of the plan.
        tasks: usize,
        /// Times found.
        times: usize,
    },
    /// The simulation did not end as it should.
    #[error(transparent)]
    Timing(#[from] TimingError),
}

/// The boards of a plan: how long tasks take on each, and what joins them.
#[derive(Clone, Debug)]
pub struct SimulatedCluster {
    /// The program.
    pub info: ProgramInfo,
    /// The boards that compute, with their names; the first ones bring frames.
    pub boards: Vec<(String, BoardTiming)>,
    /// The gateway.
    pub gateway: GatewayTiming,
    links: LinkTiming,
}

impl SimulatedCluster {
    /// The cluster of a plan that was made with `options`.
    ///
    /// # Errors
    /// [`ClusterError`] when the plan contradicts itself or lacks estimates.
    pub fn new(graph: &Graph, plan: &Plan, options: &PlanOptions) -> Result<Self, ClusterError> {
        let options = options.as_planned(plan);
        let tail_s = plan.estimates.seconds.get("tail").copied();
        let tail_s = tail_s.ok_or(ClusterError::NoEstimates)?;
        let info = program(plan)?;
        let kinds = Kinds::new(&options.boards);
        let times = kinds.boards.iter().map(|b| {
            let times = task_times(graph, &options, plan, b);
            times.iter().map(|t| t.seconds).collect()
        });
        let times: Vec<Arc<[f64]>> = times.collect();
        if let Some(wrong) = times.iter().find(|t| t.len() != info.tasks.len()) {
            let (tasks, times) = (info.tasks.len(), wrong.len());
            return Err(ClusterError::Times { tasks, times });
        }
        let boards = options.boards.iter().zip(&kinds.of);
        Ok(Self {
            info,
            boards: boards
                .map(|(b, kind)| (b.name.clone(), board(b, Arc::clone(&times[*kind]))))
                .collect(),
            gateway: gateway(tail_s, &options.gateway),
            links: LinkTiming {
                shared_bits_per_s: 0,
                delay_s: options.gateway.link.delay_s,
                overhead_bytes: 0,
            },
        })
    }

    /// A cluster whose boards take given times for the tasks of a plan, and whose tail takes `tail_s`.
    ///
    /// # Errors
    /// [`ClusterError`] when the plan contradicts itself, or there is not a time for every task.
    pub fn of_times(
        plan: &Plan,
        boards: &[(&Board, Arc<[f64]>)],
        gateway: &Board,
        tail_s: f64,
    ) -> Result<Self, ClusterError> {
        let info = program(plan)?;
        if let Some((_, wrong)) = boards.iter().find(|(_, t)| t.len() != info.tasks.len()) {
            let (tasks, times) = (info.tasks.len(), wrong.len());
            return Err(ClusterError::Times { tasks, times });
        }
        Ok(Self {
            info,
            boards: (boards.iter())
                .map(|(b, times)| (b.name.clone(), board(b, Arc::clone(times))))
                .collect(),
            gateway: self::gateway(tail_s, gateway),
            links: LinkTiming {
                shared_bits_per_s: 0,
                delay_s: gateway.link.delay_s,
                overhead_bytes: 0,
            },
        })
    }

    /// This cluster with `count` boards beside the gateway's: the first ones, or all of them over and over.
    #[must_use]
    pub fn with_boards(mut self, count: usize) -> Self {
        let (own, others): (Vec<_>, Vec<_>) =
            (self.boards.into_iter()).partition(|(_, timing)| timing.is_gateway);
        let again = |k: usize| {
            let (name, timing) = others[k % others.len()].clone();
            match k / others.len() {
                0 => (name, timing),
                turn => (format!("{name} ({})", turn + 1), timing),
            }
        };
        let count = if others.is_empty() { 0 } else { count };
        self.boards = (0..count).map(again).chain(own).collect();
        self
    }

    /// Simulates frames; what happened.
    ///
    /// # Errors
    /// [`ClusterError`] when settings make no sense, or a machine breaks a rule of the simulator.
    pub fn course(&self, settings: &Settings) -> Result<Course, ClusterError> {
        Ok(course::run(&Setup {
            info: &self.info,
            boards: &self.timings(),
            gateway: &self.gateway,
            links: &self.links,
            sources: &settings.sources,
            faults: &settings.faults(),
            conditions: settings.conditions(),
            verify_ppm: settings.verify_ppm(),
            seed: settings.seed,
            values: settings.values,
            transfers: true,
            seconds_max: settings.seconds_max,
        })?)
    }

    /// One frame, with values that are checked.
    ///
    /// # Errors
    /// When the frame does not end.
    pub fn frame(&self) -> Result<Timeline, ClusterError> {
        let boards = self.timings();
        Ok(timing::run(
            &self.info,
            &boards,
            &self.gateway,
            &self.links,
        )?)
    }

    /// Frames of several sources, with values that are checked, and with faults at virtual times.
    ///
    /// # Errors
    /// When the frames do not end.
    pub fn stream(
        &self,
        sources: &Sources,
        faults: &[ScheduledFault],
    ) -> Result<Stream, ClusterError> {
        let boards = self.timings();
        Ok(stream::run(
            &self.info,
            &boards,
            &self.gateway,
            &self.links,
            sources,
            faults,
        )?)
    }

    /// Whether both ends of a transfer are on the gateway's board.
    pub fn is_local(&self, t: &TransferCourse) -> bool {
        let on_gateway = |node: usize| match node.checked_sub(1) {
            None => true,
            Some(board) => self.boards[board].1.is_gateway,
        };
        on_gateway(t.from) && on_gateway(t.to)
    }

    fn timings(&self) -> Vec<BoardTiming> {
        self.boards.iter().map(|(_, t)| t.clone()).collect()
    }

    /// Whole frames per second that all boards could compute if nothing had to travel.
    #[expect(clippy::cast_precision_loss, reason = "few workers")]
    pub fn frames_per_second_max(&self) -> f64 {
        let rate = |b: &BoardTiming| b.workers as f64 / b.task_s.iter().sum::<f64>();
        self.boards.iter().map(|(_, b)| rate(b)).sum()
    }
}

fn program(plan: &Plan) -> Result<ProgramInfo, ClusterError> {
    let boards = plan.dataflow.boards;
    Ok(ProgramInfo {
        plan_hash: [0; 32],
        model_digest: [0; 32],
        placement: plan.dataflow.placement,
        boards: u16::try_from(boards).map_err(|_| ClusterError::Boards { boards })?,
        graph: TaskGraph::with_progress(plan)?,
    })
}

fn board(b: &Board, task_s: Arc<[f64]>) -> BoardTiming {
    let (bits_per_s, channel) = carried(b.link);
    BoardTiming {
        task_s,
        workers: b.cores.max(1),
        bits_per_s,
        channel,
        delay_s: Some(b.link.delay_s),
        handled_bits_per_s: handled_bits_per_s(b),
        byte_s: b.network_s(1.0) / BYTES_PER_VALUE_BYTE,
        is_gateway: b.is_gateway,
    }
}

fn gateway(tail_s: f64, board: &Board) -> GatewayTiming {
    let (bits_per_s, channel) = carried(board.link);
    GatewayTiming {
        tail_s,
        bits_per_s,
        channel,
        handled_bits_per_s: handled_bits_per_s(board),
        delay_s: Some(board.link.delay_s),
    }
}

/// Bits per second of a link, and its channel.
fn carried(link: Link) -> (u64, Option<u8>) {
    let channel = match link.medium {
        // A file has at most 64 links.
        Medium::Shared(k) => Some(u8::try_from(k).unwrap_or(u8::MAX)),
        Medium::Switched => None,
    };
    (bits_per_s(link.bytes_per_s), channel)
}

/// Bits per second of datagrams that a board keeps up with; 0 where that is all that its link carries.
fn handled_bits_per_s(b: &Board) -> u64 {
    if b.keeps_up() < 1.0 {
        bits_per_s(b.keeps_up() * b.link.bytes_per_s)
    } else {
        0
    }
}

/// Bits per second that a board shares with no other; 0 where it keeps up with a channel that all share.
pub fn own_bits_per_s(b: &Board) -> u64 {
    match b.link.medium {
        Medium::Shared(_) => handled_bits_per_s(b),
        Medium::Switched => bits_per_s(b.link.bytes_per_s * b.keeps_up()),
    }
}

/// Bits per second of datagrams that carry so many bytes of values.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates are bounded"
)]
pub fn bits_per_s(bytes_per_s: f64) -> u64 {
    (8.0 * bytes_per_s * BYTES_PER_VALUE_BYTE) as u64
}
