//! The planner's schedule of a frame against the simulated cluster: the same plan, the same seconds of
//! tasks, the same channel, and real machines that steal.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use tessera_plan::{
    dataflow::{TaskGraph, TaskId},
    graph::Darknet,
};
use tessera_planner::{
    boards::Board,
    cost::{self, Orders, Schedule, TaskTime},
    make,
    options::{PlanOptions, Target},
    stages, weights,
    wire::Wire,
};
use tessera_protocol::{Placement, ProgramInfo};
use tessera_sim::timing::{self, BoardTiming, GatewayTiming, LinkTiming, Timeline};
use tessera_simulate::cluster::{BYTES_PER_VALUE_BYTE, bits_per_s, own_bits_per_s};
use tessera_tests::model;

/// Most that the schedule of a cluster's own placement may differ from the simulated time, as a share of that. One
/// plan, which fills the channel, was at 12.7 %: transfers that look lost are asked for again. Half of all are within 1 %.
const SHARE_MAX: f64 = 0.14;

/// The same where objects are in half precision, which makes latencies count for more. One plan, of short tasks, is at
/// 11.3 %: what is left of its transfers are messages.
const SHORT_SHARE_MAX: f64 = 0.13;

/// Most by which the schedule of a frame with home boards may differ from the simulated time, as a share of that.
/// It leaves out how sources and boards find each other, late tasks, and that the first rows of a transfer come in few
/// datagrams at a time. One plan is at 7.5 %; half of all are within 1.3 %.
const HOME_SHARE_MAX: f64 = 0.08;

/// A plan on so many edges.
struct Case {
    net: &'static str,
    cuts: &'static [usize],
    grids: &'static [[usize; 2]],
    edges: usize,
}

const fn case(
    net: &'static str,
    cuts: &'static [usize],
    grids: &'static [[usize; 2]],
    edges: usize,
) -> Case {
    Case {
        net,
        cuts,
        grids,
        edges,
    }
}

impl Case {
    fn name(&self) -> String {
        let Self {
            net,
            cuts,
            grids,
            edges,
        } = self;
        format!("{net} {cuts:?} {grids:?} on {edges}")
    }
}

/// What was found of a case.
struct Found {
    /// The planner's estimate, by its own choice of who computes what.
    estimate: Schedule,
    /// The planner's schedule of what the simulated cluster chose.
    placed: Schedule,
    simulated: Timeline,
    /// The planner's estimate with the homes that it chooses, and the simulated cluster with them.
    at_home: (Schedule, Timeline),
    /// The tasks with these homes.
    homes: TaskGraph,
}

/// Per board the tasks that it computed, in the order of their starts; of copies the one that ended first.
fn orders(line: &Timeline, boards: usize) -> Orders {
    let mut first: Vec<&timing::TaskSpan> = Vec::new();
    for span in &line.tasks {
        if first.iter().all(|s| s.task != span.task) {
            first.push(span);
        }
    }
    first.sort_by(|a, b| a.start_s.total_cmp(&b.start_s));
    let of_board = |b| first.iter().filter(move |s| s.board == b);
    (0..boards)
        .map(|b| of_board(b).map(|s| s.task.index()).collect())
        .collect()
}

fn compared(case: &Case, wire: Wire, board: &Board) -> Result<Found> {
    let cfg = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../models")
        .join(case.net)
        .with_extension("cfg");
    let text = std::fs::read_to_string(cfg)?;
    let graph = model::graph("net", &text, Darknet::Alexey)?;
    let options = PlanOptions {
        grids: case.grids.to_vec(),
        cuts: case.cuts.to_vec(),
        wire,
        ..PlanOptions::of(case.edges, board)
    };
    let (staged, _) = stages::stages(&graph, case.cuts, false)?;
    let layers = cost::LayerTimes::new(&graph, &options, options.first());
    let mut times: Vec<TaskTime> = Vec::new();
    for (stage, grid) in staged.iter().zip(case.grids.iter().cycle()) {
        let [ys, xs] = stages::grid_parts(&graph, stage, *grid, options.split)?;
        times.extend(cost::stage_times(
            &layers,
            stage,
            [&ys, &xs],
            options.first(),
        ));
    }
    let plan = make::plan(&weights::without(graph), &options)?;
    let tasks = TaskGraph::with_progress(&plan)?;
    ensure!(tasks.tasks.len() == times.len(), "{} times", times.len());
    let of_boards: Vec<&[TaskTime]> = options.boards.iter().map(|_| &times[..]).collect();
    let info = ProgramInfo {
        plan_hash: [0; 32],
        model_digest: [0; 32],
        placement: Placement::Steal,
        boards: 1,
        graph: tasks.clone(),
    };
    let board = BoardTiming {
        workers: options.first().cores,
        byte_s: options.first().network_s(1.0) / BYTES_PER_VALUE_BYTE,
        bits_per_s: own_bits_per_s(options.first()),
        ..BoardTiming::new(times.iter().map(|t| t.seconds).collect())
    };
    let link = options.first().link;
    let links = LinkTiming {
        // The planner's bytes per second are those of values.
        shared_bits_per_s: bits_per_s(link.bytes_per_s),
        delay_s: link.delay_s,
        overhead_bytes: 0,
    };
    let boards = vec![board; case.edges];
    let simulated = timing::run(&info, &boards, &GatewayTiming::default(), &links)?;
    let (edges, gateway) = (&options.boards, &options.gateway);
    let homes = cost::place(&tasks, edges, gateway, &of_boards);
    let mut info = info;
    (info.placement, info.boards) = (Placement::Home, u16::try_from(case.edges)?);
    for (task, home) in info.graph.tasks.iter_mut().zip(&homes.homes) {
        task.home = u16::try_from(*home)?;
    }
    let at_home = timing::run(&info, &boards, &GatewayTiming::default(), &links)?;
    let boards = edges;
    let orders = orders(&simulated, case.edges);
    Ok(Found {
        estimate: cost::schedule(&tasks, boards, gateway, &of_boards),
        placed: cost::schedule_placed(&tasks, boards, gateway, &of_boards, &orders)?,
        simulated,
        at_home: (homes.schedule, at_home),
        homes: info.graph,
    })
}

const CASES: &[Case] = &[
    case("demo/demo", &[10], &[[3, 3]], 2),
    case("demo/demo", &[10], &[[3, 3]], 3),
    case("demo/demo", &[4, 10], &[[3, 3]], 2),
    case("yolov3-tiny", &[8], &[[3, 3]], 2),
    case("yolov3-tiny", &[4, 8], &[[3, 3]], 4),
    case("yolov4-tiny", &[3, 11, 19], &[[2, 3]], 4),
    case("yolov4-tiny", &[3, 19], &[[3, 3]], 6),
    case("yolov2", &[16], &[[5, 5]], 6),
    case("yolov2", &[4, 8, 12, 16], &[[3, 2]], 3),
];

/// Plans of one net for the same boards, at least a fifth apart from the first.
const FASTER_FIRST: &[Case] = &[
    case("yolov2", &[12], &[[3, 4]], 6),
    case("yolov2", &[8, 10, 12], &[[2, 6]], 6),
    case("yolov2", &[8, 16], &[[3, 3]], 6),
    case("yolov2", &[6, 8, 12], &[[5, 5]], 6),
    case("yolov2", &[4, 8, 12, 16], &[[3, 2]], 6),
];

/// Compares and prints.
fn shown(case: &Case, wire: Wire) -> Result<Found> {
    shown_on(case, wire, &Board::new(Target::Aarch64))
}

/// Compares and prints, for boards like this one.
fn shown_on(case: &Case, wire: Wire, board: &Board) -> Result<Found> {
    let name = case.name();
    let found = compared(case, wire, board).with_context(|| name.clone())?;
    let simulated_s = found.simulated.merged_s;
    let off = |s: &Schedule| {
        let percent = 100.0 * (s.seconds / simulated_s - 1.0);
        format!("{:.3} s ({percent:+.1} %)", s.seconds)
    };
    let (homes, at_home) = &found.at_home;
    println!(
        "{name}: at home simulated {:.3} s, scheduled {:.3} s; {} bytes, {} if tiles of a board shared nothing",
        at_home.merged_s,
        homes.seconds,
        received(at_home),
        crossing(&found.homes, at_home, false),
    );
    println!(
        "{name}: simulated {simulated_s:.3} s, the same placement scheduled {}, estimated {}",
        off(&found.placed),
        off(&found.estimate),
    );
    Ok(found)
}

/// Bytes of objects that all nodes received.
fn received(line: &Timeline) -> u64 {
    let nodes = line.boards.iter().chain([&line.gateway]);
    nodes.map(|b| b.objects_received_bytes).sum()
}

/// Bytes that cross with the tasks where they ran; `shared` if tasks at home fetch what they share once.
fn crossing(graph: &TaskGraph, line: &Timeline, shared: bool) -> u64 {
    let mut makers = vec![0; graph.tasks.len()];
    for span in line.tasks.iter().rev() {
        makers[span.task.index()] = span.board + 1;
    }
    let at_home =
        |task: TaskId, node| shared && usize::from(graph.tasks[task.index()].home) + 1 == node;
    graph.crossing(1, &makers, 0, at_home).iter().sum()
}

/// Every byte travels once, but for what was asked for again in vain.
fn same_bytes(name: &str, scheduled: &Schedule, simulated: &Timeline) -> Result<()> {
    let bytes = scheduled.frame_bytes + scheduled.halo_bytes + scheduled.result_bytes;
    let received = received(simulated);
    ensure!(
        received == bytes,
        "{name}: scheduled {bytes} bytes, simulated {received}"
    );
    Ok(())
}

#[test]
fn the_same_placement_takes_what_was_simulated() -> Result<()> {
    let mut off = Vec::new();
    let wires = [
        (Wire::floats(), SHARE_MAX),
        (Wire::default(), SHORT_SHARE_MAX),
    ];
    let cases = CASES.iter().chain(FASTER_FIRST);
    for (case, (wire, share_max)) in cases.flat_map(|c| wires.iter().map(move |w| (c, w))) {
        let name = format!("{}, {wire:?}", case.name());
        let Found {
            placed,
            simulated,
            at_home: (homes, at_home),
            homes: graph,
            ..
        } = shown(case, wire.clone())?;
        let share = placed.seconds / simulated.merged_s - 1.0;
        if share.abs() > *share_max {
            off.push(format!("{name}: {:+.1} %", 100.0 * share));
        }
        // Idle boards take tasks that the schedule leaves at home.
        let share = homes.seconds / at_home.merged_s - 1.0;
        if share.abs() > HOME_SHARE_MAX {
            off.push(format!("{name} at home: {:+.1} %", 100.0 * share));
        }
        same_bytes(&name, &placed, &simulated)?;
        let (found, counted) = (received(&at_home), crossing(&graph, &at_home, true));
        // On a full channel a task may look late although nothing is wrong, and runs twice.
        ensure!(
            at_home.tasks.len() <= graph.tasks.len() + 1 && found == counted,
            "{name} at home: {} runs of {} tasks, {found} bytes instead of {counted}",
            at_home.tasks.len(),
            graph.tasks.len()
        );
    }
    ensure!(
        off.is_empty(),
        "schedules that differ from what was simulated:\n{}",
        off.join("\n")
    );
    Ok(())
}

#[test]
fn the_plan_that_is_estimated_fastest_is_fastest() -> Result<()> {
    let found = FASTER_FIRST
        .iter()
        .map(|case| shown(case, Wire::default()))
        .collect::<Result<Vec<_>>>()?;
    let (best, others) = found.split_first().context("no case")?;
    for (other, case) in others.iter().zip(&FASTER_FIRST[1..]) {
        ensure!(
            best.estimate.seconds < other.estimate.seconds,
            "{} is estimated faster",
            case.name()
        );
        ensure!(
            best.simulated.merged_s < other.simulated.merged_s,
            "{} is faster",
            case.name()
        );
    }
    Ok(())
}

/// A part of each core's time and a slow channel: inputs take as long as tasks, so what is won by rows that stream shows.
#[test]
fn tasks_begin_while_their_inputs_travel() -> Result<()> {
    let mut board = Board {
        share: 0.0725,
        ..Board::new(Target::X86_64V4)
    };
    board.link.bytes_per_s = 4.8e6;
    board.link.delay_s = 3e-3;
    let case = case("yolov2", &[4, 8, 12, 16], &[[3, 2]], 6);
    let found = shown_on(&case, Wire::default(), &board)?;
    let (homes, at_home) = &found.at_home;
    let share = homes.seconds / at_home.merged_s - 1.0;
    ensure!(
        (-HOME_SHARE_MAX..SHORT_SHARE_MAX).contains(&share),
        "scheduled {:+.1} %",
        100.0 * share
    );
    // The frame's boxes have crossed the channel when the last board ends its first task; it began before.
    let first_stage = (at_home.tasks.iter()).filter(|s| s.task.index() < 6 && s.board > 0);
    let begun_s = first_stage.clone().map(|s| s.start_s).fold(0.0, f64::max);
    let channel_s = homes.frame_bytes as f64 / board.link.bytes_per_s;
    ensure!(
        begun_s < channel_s / 2.0,
        "the last task of the first stage begins after {begun_s:.3} s; its inputs take {channel_s:.3} s"
    );
    Ok(())
}
