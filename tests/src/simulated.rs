//! A plan's frame in the simulated cluster: real machines, with the planner's seconds of tasks and its links.

use anyhow::{Context, Result, ensure};
use tessera_plan::{dataflow::TaskGraph, graph::Graph, plan::Plan};
use tessera_planner::{
    boards::{Board, Medium},
    options::PlanOptions,
    refine::task_times,
};
use tessera_protocol::ProgramInfo;
use tessera_sim::timing::{self, BoardTiming, GatewayTiming, LinkTiming, Timeline};

/// Bytes on the channel for every byte of values: chunks have headers, and every few of them a request.
pub const BYTES_PER_VALUE_BYTE: f64 = 1.05;

/// Simulates a frame of a plan that was made with `options`. What the gateway's board computes travels to its gateway too,
/// as over any link: the simulator knows no boards of two nodes.
///
/// # Errors
/// When the boards have links of several kinds, or the frame does not end.
pub fn frame(graph: &Graph, plan: &Plan, options: &PlanOptions) -> Result<Timeline> {
    let options = options.as_planned(plan);
    let tasks = TaskGraph::of(&plan.dataflow)?;
    let link = options.gateway.link;
    ensure!(
        options.boards.iter().all(|b| b.link == link),
        "boards with links of several kinds are not simulated"
    );
    let bits_per_s = (8.0 * link.bytes_per_s * BYTES_PER_VALUE_BYTE) as u64;
    let (shared, own) = match link.medium {
        Medium::Shared(_) => (bits_per_s, 0),
        Medium::Switched => (0, bits_per_s),
    };
    let board = |b: &Board| {
        let times = task_times(graph, &options, plan, b);
        BoardTiming {
            task_s: times.iter().map(|t| t.seconds).collect(),
            workers: b.cores,
            bits_per_s: own,
        }
    };
    let boards: Vec<BoardTiming> = options.boards.iter().map(board).collect();
    let tail_s = plan.estimates.seconds.get("tail").copied();
    let gateway = GatewayTiming {
        tail_s: tail_s.context("a plan without seconds")?,
        bits_per_s: own,
    };
    let links = LinkTiming {
        shared_bits_per_s: shared,
        delay_s: link.delay_s,
        overhead_bytes: 0,
    };
    let info = ProgramInfo {
        plan_hash: [0; 32],
        model_digest: [0; 32],
        placement: plan.dataflow.placement,
        boards: u16::try_from(plan.dataflow.boards)?,
        graph: tasks,
    };
    Ok(timing::run(&info, &boards, &gateway, &links)?)
}
