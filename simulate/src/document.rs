//! What a simulation showed, for programs: JSON, as `docs/simulate.md` describes it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use tessera_plan::plan::Plan;
use tessera_protocol::FrameOutcome;
use tessera_sim::timing::BoardTiming;

use crate::{
    cluster::SimulatedCluster,
    outcome::{Latency, Outcome, RunKind, kind_names},
    settings::Settings,
};

/// Version of the document's form.
pub const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    plan: PlanPart<'a>,
    settings: SettingsPart,
    summary: SummaryPart,
    frames: Vec<FramePart>,
    tasks: Vec<TaskPart>,
    transfers: Vec<TransferPart>,
    boards: Vec<BoardPart<'a>>,
    gateway: GatewayPart,
    network: NetworkPart,
}

#[derive(Serialize)]
struct PlanPart<'a> {
    name: &'a str,
    command: &'a str,
    stages: Vec<StagePart>,
    planned_s: &'a BTreeMap<String, f64>,
    planned_bytes: &'a BTreeMap<String, u64>,
}

#[derive(Serialize)]
struct StagePart {
    first_layer: usize,
    end_layer: usize,
    grid: [usize; 2],
    tasks: usize,
}

#[derive(Serialize)]
struct SettingsPart {
    seed: u64,
    sources: usize,
    frames: u32,
    in_flight: usize,
    interval_s: f64,
    loss: f64,
    verify: f64,
    kills: Vec<KillPart>,
}

#[derive(Serialize)]
struct KillPart {
    node: usize,
    at_s: f64,
}

#[derive(Serialize)]
struct SummaryPart {
    frames: usize,
    detected: usize,
    dropped: usize,
    unfinished: usize,
    latency_s: Option<LatencyPart>,
    merged_s: Option<LatencyPart>,
    frames_per_second: f64,
    steady_frames_per_second: Option<f64>,
    bytes_by_kind: BTreeMap<String, u64>,
    values_bytes: u64,
    sent_bytes: u64,
    datagrams: u64,
    stolen: usize,
    copies: usize,
    rerequested: u64,
    leases_lost: u64,
    ended_s: f64,
    finished: bool,
}

#[derive(Serialize)]
struct LatencyPart {
    first: f64,
    mean: f64,
    longest: f64,
}

#[derive(Serialize)]
struct FramePart {
    source: usize,
    number: u32,
    entered_s: f64,
    merged_s: Option<f64>,
    written_s: Option<f64>,
    outcome: &'static str,
}

#[derive(Serialize)]
struct TaskPart {
    source: usize,
    number: u32,
    task: u32,
    stage: u16,
    node: usize,
    start_s: f64,
    end_s: f64,
    why: &'static str,
}

#[derive(Serialize)]
struct TransferPart {
    source: usize,
    number: u32,
    kind: usize,
    task: Option<u32>,
    from: usize,
    to: usize,
    start_s: f64,
    end_s: f64,
    bytes: u64,
}

#[derive(Serialize)]
struct BoardPart<'a> {
    node: usize,
    name: &'a str,
    workers: usize,
    link_bits_per_s: u64,
    channel: Option<u8>,
    on_gateway: bool,
    task_s: f64,
    tasks: usize,
    stolen: usize,
    busy_s: f64,
    busy_share: f64,
    sent_bytes: u64,
    received_bytes: u64,
    counters: Value,
}

#[derive(Serialize)]
struct GatewayPart {
    tail_s: f64,
    link_bits_per_s: u64,
    channel: Option<u8>,
    counters: Value,
}

#[derive(Serialize)]
struct NetworkPart {
    datagrams: u64,
    datagram_bytes: u64,
    lost: u64,
    overflowed: u64,
    local: u64,
    local_bytes: u64,
}

/// The document of a simulation, with a line break at its end.
///
/// # Errors
/// When a counter has no form in JSON.
pub fn write(
    plan: &Plan,
    cluster: &SimulatedCluster,
    settings: &Settings,
    o: &Outcome,
) -> serde_json::Result<String> {
    let info = &cluster.info;
    let stages = plan.dataflow.stages.iter().map(|s| StagePart {
        first_layer: s.first_layer,
        end_layer: s.end_layer,
        grid: s.grid,
        tasks: s.tiles.len(),
    });
    let kills = settings.kills.iter().map(|k| KillPart {
        node: k.node,
        at_s: k.at_s,
    });
    let frames = o.course.frames.iter().map(|f| FramePart {
        source: f.source + 1,
        number: f.number,
        entered_s: f.entered_s,
        merged_s: f.merged_s,
        written_s: f.written_s,
        outcome: match f.outcome {
            Some(FrameOutcome::Detections) => "detections",
            Some(FrameOutcome::Dropped(_)) => "dropped",
            None => "unfinished",
        },
    });
    let tasks = o.course.tasks.iter().zip(&o.runs).map(|(t, why)| TaskPart {
        source: t.frame.source.0.into(),
        number: t.frame.number.0,
        task: t.task.0,
        stage: info.tasks[t.task.index()].stage,
        node: t.board + 1,
        start_s: t.start_s,
        end_s: t.end_s,
        why: match why {
            RunKind::Home => "home",
            RunKind::Stolen => "stolen",
            RunKind::Copy => "copy",
        },
    });
    let transfers = o.course.transfers.iter().map(|t| TransferPart {
        source: t.frame.source.0.into(),
        number: t.frame.number.0,
        kind: t.kind,
        task: t.task.map(|t| t.0),
        from: t.from,
        to: t.to,
        start_s: t.start_s,
        end_s: t.end_s,
        bytes: t.bytes,
    });
    let net = o.course.net;
    let document = Document {
        version: VERSION,
        plan: PlanPart {
            name: &plan.name,
            command: &plan.command,
            stages: stages.collect(),
            planned_s: &plan.estimates.seconds,
            planned_bytes: &plan.estimates.traffic,
        },
        settings: SettingsPart {
            seed: settings.seed,
            sources: settings.sources.boards.min(cluster.boards.len()),
            frames: settings.sources.frames,
            in_flight: settings.sources.in_flight,
            interval_s: settings.sources.interval_s,
            loss: settings.loss,
            verify: settings.verify,
            kills: kills.collect(),
        },
        summary: summary(plan, o),
        frames: frames.collect(),
        tasks: tasks.collect(),
        transfers: transfers.collect(),
        boards: boards(cluster, o)?,
        gateway: GatewayPart {
            tail_s: cluster.gateway.tail_s,
            link_bits_per_s: cluster.gateway.bits_per_s,
            channel: cluster.gateway.channel,
            counters: serde_json::to_value(&o.course.gateway)?,
        },
        network: NetworkPart {
            datagrams: net.sent,
            datagram_bytes: net.sent_bytes,
            lost: net.lost,
            overflowed: net.overflowed,
            local: net.local,
            local_bytes: net.local_bytes,
        },
    };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn summary(plan: &Plan, o: &Outcome) -> SummaryPart {
    let s = &o.summary;
    let latency = |l: Latency| LatencyPart {
        first: l.first,
        mean: l.mean,
        longest: l.most,
    };
    let names = kind_names(&plan.dataflow.stages);
    SummaryPart {
        frames: s.frames,
        detected: s.detected,
        dropped: s.dropped,
        unfinished: s.unfinished,
        latency_s: s.latency_s.map(latency),
        merged_s: s.merged_s.map(latency),
        frames_per_second: s.frames_per_second,
        steady_frames_per_second: s.steady_frames_per_second,
        bytes_by_kind: names.into_iter().zip(s.kinds.iter().copied()).collect(),
        values_bytes: s.values_bytes(),
        sent_bytes: s.sent_bytes,
        datagrams: s.datagrams,
        stolen: s.stolen,
        copies: s.copies,
        rerequested: s.rerequested,
        leases_lost: s.leases_lost,
        ended_s: o.course.ended_s,
        finished: o.course.finished,
    }
}

fn boards<'a>(
    cluster: &'a SimulatedCluster,
    o: &Outcome,
) -> serde_json::Result<Vec<BoardPart<'a>>> {
    let part = |(k, (name, timing)): (usize, &'a (String, BoardTiming))| {
        let used = &o.boards[k];
        Ok(BoardPart {
            node: k + 1,
            name,
            workers: timing.workers,
            link_bits_per_s: timing.bits_per_s,
            channel: timing.channel,
            on_gateway: timing.is_gateway,
            task_s: timing.task_s.iter().sum(),
            tasks: used.tasks,
            stolen: used.stolen,
            busy_s: used.busy_s,
            busy_share: used.busy_share,
            sent_bytes: used.sent_bytes,
            received_bytes: used.received_bytes,
            counters: serde_json::to_value(&o.course.boards[k])?,
        })
    };
    cluster.boards.iter().enumerate().map(part).collect()
}
