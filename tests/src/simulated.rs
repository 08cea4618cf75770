//! A plan on its simulated cluster: real machines, with the planner's seconds of tasks and its links.

use anyhow::{Context, Result, ensure};
use tessera_plan::{dataflow::TaskGraph, graph::Graph, plan::Plan};
use tessera_planner::{
    boards::{Board, Medium},
    options::PlanOptions,
    refine::task_times,
};
use tessera_protocol::ProgramInfo;
use tessera_sim::{
    ScheduledFault,
    stream::{self, Sources, Stream},
    timing::{self, BoardTiming, GatewayTiming, LinkTiming, Timeline},
};

/// Bytes on the channel for every byte of values: chunks have headers, and every few of them a request.
pub const BYTES_PER_VALUE_BYTE: f64 = 1.05;

/// Bits per second of datagrams that carry so many bytes of values.
pub fn bits_per_s(bytes_per_s: f64) -> u64 {
    (8.0 * bytes_per_s * BYTES_PER_VALUE_BYTE) as u64
}

/// Bits per second of a board's own link; 0 where the board keeps up with a channel that all share.
pub fn own_bits_per_s(b: &Board) -> u64 {
    match b.link.medium {
        Medium::Shared(_) if b.keeps_up() >= 1.0 => 0,
        _ => bits_per_s(b.link.bytes_per_s * b.keeps_up()),
    }
}

/// The boards of a plan. What the gateway's board computes travels to its gateway too, as over any link: the simulator
/// knows no boards of two nodes.
#[derive(Debug)]
pub struct SimulatedCluster {
    info: ProgramInfo,
    boards: Vec<BoardTiming>,
    gateway: GatewayTiming,
    links: LinkTiming,
}

impl SimulatedCluster {
    /// The cluster of a plan that was made with `options`.
    ///
    /// # Errors
    /// When the boards have links of several kinds, or the plan lacks estimates.
    pub fn new(graph: &Graph, plan: &Plan, options: &PlanOptions) -> Result<Self> {
        let options = options.as_planned(plan);
        let link = options.gateway.link;
        ensure!(
            options.boards.iter().all(|b| b.link == link),
            "boards with links of several kinds are not simulated"
        );
        let shared_bits_per_s = match link.medium {
            Medium::Shared(_) => bits_per_s(link.bytes_per_s),
            Medium::Switched => 0,
        };
        let board = |b: &Board| {
            let times = task_times(graph, &options, plan, b);
            BoardTiming {
                task_s: times.iter().map(|t| t.seconds).collect(),
                workers: b.cores,
                bits_per_s: own_bits_per_s(b),
                byte_s: b.network_s(1.0) / BYTES_PER_VALUE_BYTE,
            }
        };
        let tail_s = plan.estimates.seconds.get("tail").copied();
        Ok(Self {
            info: ProgramInfo {
                plan_hash: [0; 32],
                model_digest: [0; 32],
                placement: plan.dataflow.placement,
                boards: u16::try_from(plan.dataflow.boards)?,
                graph: TaskGraph::with_progress(plan)?,
            },
            boards: options.boards.iter().map(board).collect(),
            gateway: GatewayTiming {
                tail_s: tail_s.context("a plan without seconds")?,
                bits_per_s: own_bits_per_s(&options.gateway),
            },
            links: LinkTiming {
                shared_bits_per_s,
                delay_s: link.delay_s,
                overhead_bytes: 0,
            },
        })
    }

    /// One frame.
    ///
    /// # Errors
    /// When the frame does not end.
    pub fn frame(&self) -> Result<Timeline> {
        Ok(timing::run(
            &self.info,
            &self.boards,
            &self.gateway,
            &self.links,
        )?)
    }

    /// Frames of several sources, with faults.
    ///
    /// # Errors
    /// When the frames do not end.
    pub fn stream(&self, sources: &Sources, faults: &[ScheduledFault]) -> Result<Stream> {
        Ok(stream::run(
            &self.info,
            &self.boards,
            &self.gateway,
            &self.links,
            sources,
            faults,
        )?)
    }

    /// Whole frames per second that all boards could compute if nothing had to travel.
    pub fn frames_per_second_max(&self) -> f64 {
        let rate = |b: &BoardTiming| b.workers as f64 / b.task_s.iter().sum::<f64>();
        self.boards.iter().map(rate).sum()
    }
}
