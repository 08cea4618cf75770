//! What a simulation showed, for people.

use std::fmt::Write as _;

use tessera_plan::plan::Plan;
use tessera_planner::text::{Table, bytes, count, plural};
use tessera_protocol::EdgeStats;

use crate::{
    cluster::SimulatedCluster,
    outcome::{BoardUse, Latency, Outcome, kind_names},
    settings::Settings,
};

/// Most boards that are listed.
const BOARDS_MAX: usize = 16;

/// The outcome of a simulation of `plan` as a text.
pub fn render(plan: &Plan, cluster: &SimulatedCluster, settings: &Settings, o: &Outcome) -> String {
    let s = &o.summary;
    let sources = settings.sources.boards.min(cluster.boards.len());
    let mut text = format!(
        "{} of {} on {}, in virtual time\n",
        plural(s.frames, "frame"),
        plural(sources, "source"),
        plural(cluster.boards.len(), "board"),
    );
    text += &numbers(plan, o).render(2);
    text += "Bytes of values that travelled\n";
    text += &traffic(plan, o).render(2);
    text += "Boards\n";
    text += &boards(cluster, &o.boards).render(2);
    if cluster.boards.len() > BOARDS_MAX {
        let busy = || o.boards.iter().map(|b| 100.0 * b.busy_share);
        let _ = writeln!(
            text,
            "  and {} more, in --json; all are busy for {:.0} % to {:.0} % of the time",
            cluster.boards.len() - BOARDS_MAX,
            busy().fold(f64::INFINITY, f64::min),
            busy().fold(0.0, f64::max),
        );
    }
    text + &without_homes(plan, cluster)
}

/// What there is to say when more boards are there than the plan has homes on.
fn without_homes(plan: &Plan, cluster: &SimulatedCluster) -> String {
    let (homes, boards) = (plan.dataflow.boards, cluster.boards.len());
    if !plan.dataflow.placement.has_homes() || boards <= homes {
        return String::new();
    }
    format!(
        "The plan is for {}: tasks are at home on these, and the other {} compute only what is late there, and what their own\n         frames need. Plan for {boards} boards (--edges), or for boards that steal (--placement steal).\n",
        plural(homes, "board"),
        boards - homes,
    )
}

fn numbers(plan: &Plan, o: &Outcome) -> Table {
    let s = &o.summary;
    let planned = |key: &str| plan.estimates.seconds.get(key);
    let mut table = Table::new("<>>>>", &["", "first frame", "mean", "longest", "planned"]);
    let mut latency = |name: &str, l: Option<Latency>, key: &str| {
        let cell = |s: f64| format!("{s:.3} s");
        let [first, mean, most] = l.map_or([const { String::new() }; 3], |l| {
            [l.first, l.mean, l.most].map(cell)
        });
        let planned = planned(key).map_or_else(String::new, |s| cell(*s));
        table.row(&[name, &first, &mean, &most, &planned]);
    };
    latency("to the last value at the gateway", s.merged_s, "stages");
    latency("to the record", s.latency_s, "frame");
    let rate = |fps: f64| format!("{fps:.4}");
    let steady = s.steady_frames_per_second;
    let fps = rate(steady.unwrap_or(s.frames_per_second));
    let planned = planned("period").map_or_else(String::new, |s| rate(1.0 / s));
    let name = match steady {
        Some(_) => "frames per second, while all sources bring frames",
        None => "frames per second, of the whole run",
    };
    table.row(&[name, "", &fps, "", &planned]);
    let mut number = |name: &str, n: u64| {
        if n > 0 {
            table.row(&[name, "", &count(n), "", ""]);
        }
    };
    number("frames given up", s.dropped as u64);
    number("frames that had not ended", s.unfinished as u64);
    number("tasks away from home", s.stolen as u64);
    number("tasks run again", s.copies as u64);
    let checks = |b: &EdgeStats| b.checks.equal + b.checks.close;
    let checked = o.course.boards.iter().flatten().map(checks).sum();
    number("of these, to check what others had made", checked);
    number("leases without a result", s.leases_lost);
    number("chunks asked for again", s.rerequested);
    number("datagrams lost", o.course.net.lost);
    table
}

fn traffic(plan: &Plan, o: &Outcome) -> Table {
    let s = &o.summary;
    let frames = s.frames.max(1) as u64;
    let mut table = Table::new("<>>>", &["", "all", "per frame", "planned"]);
    let planned = |kind: usize| {
        let key = match kind.checked_sub(1) {
            None => "expected.frame".to_owned(),
            Some(stage) => format!("expected.stage{stage}"),
        };
        plan.estimates.traffic.get(&key).copied()
    };
    let mut row = |name: &str, n: u64, planned: Option<u64>| {
        let planned = planned.map_or_else(String::new, bytes);
        table.row(&[name, &bytes(n), &bytes(n / frames), &planned]);
    };
    for (kind, name) in kind_names(&plan.dataflow.stages).iter().enumerate() {
        let n = s.kinds.get(kind).copied().unwrap_or(0);
        row(name, n, planned(kind));
    }
    let values = s.values_bytes();
    let total = plan.estimates.traffic.get("expected.total").copied();
    row("together", values, total);
    let rest = s.sent_bytes.saturating_sub(values);
    row("headers and messages", rest, None);
    table
}

fn boards(cluster: &SimulatedCluster, uses: &[BoardUse]) -> Table {
    let head = ["", "tasks", "of others", "busy", "sent", "received"];
    let mut table = Table::new("<>>>>>", &head);
    for ((name, _), b) in cluster.boards.iter().zip(uses).take(BOARDS_MAX) {
        let busy = format!("{:.0} %", 100.0 * b.busy_share);
        table.row(&[
            name,
            &count(b.tasks as u64),
            &count(b.stolen as u64),
            &busy,
            &bytes(b.sent_bytes),
            &bytes(b.received_bytes),
        ]);
    }
    table
}
