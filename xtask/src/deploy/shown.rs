//! What `deploy` tells: the boards and what is sent there, who runs what, and both as JSON.

use anyhow::Result;
use serde::Serialize;
use tessera_plan::files::cluster::ClusterFile;
use tessera_planner::text::{Table, bytes, plural};

use super::{
    Sent, installed::Installed, probe::Probe, send, short, turn::Turned, unit::Start,
    version::Deployment,
};
use crate::{
    build::Planned,
    out::{out, outln},
};

/// The outcome as JSON.
#[derive(Debug, Serialize)]
struct Told<'a> {
    /// Version of this form.
    version: u32,
    dry_run: bool,
    deployment: &'a str,
    plan: &'a str,
    boards: Vec<BoardTold<'a>>,
}

#[derive(Debug, Serialize)]
struct BoardTold<'a> {
    board: &'a str,
    ssh: &'a str,
    number: u16,
    target: &'static str,
    probe: &'a Probe,
    before: &'a Installed,
    files: &'a [send::Sending],
    sent_bytes: u64,
    takes_part: Option<bool>,
    state: Option<&'a str>,
}

/// Shows the boards and what they get.
///
/// # Errors
/// When standard output cannot be written.
pub fn plan(deployment: &Deployment, boards: &[Sent<'_>]) -> Result<()> {
    outln!(
        "Version {} of plan {}:",
        deployment.id,
        short(&deployment.plan)
    )?;
    let head = [
        "board",
        "is",
        "cores",
        "memory",
        "disk free",
        "runs",
        "sent",
        "there already",
    ];
    let mut table = Table::new("<<>>><><", &head);
    for b in boards {
        let (probe, installed) = (&b.seen.probe, &b.seen.installed);
        let what = probe.model.as_deref().unwrap_or(&probe.machine);
        let runs = match (&installed.current, installed.runs()) {
            (None, _) => "nothing",
            (Some(id), true) if *id == deployment.id => "this version",
            (Some(id), true) => id,
            (Some(_), false) => "does not run",
        };
        let kept: Vec<&str> = b
            .files
            .iter()
            .filter(|f| matches!(f.way, send::Way::Kept))
            .map(|f| f.item.name.trim_start_matches("secret/"))
            .collect();
        table.row(&[
            &b.seen.remote.name,
            what,
            &probe.cores.to_string(),
            &bytes(probe.memory_bytes),
            &probe.disk_bytes.map_or_else(String::new, bytes),
            runs,
            &bytes(send::bytes(&b.files)),
            &kept.join(" "),
        ]);
    }
    out!("{}", table.render(2))
}

/// Says what a dry run has found.
///
/// # Errors
/// When standard output cannot be written.
pub fn dry(deployment: &Deployment, boards: &[Sent<'_>], json: bool) -> Result<()> {
    if json {
        return told(deployment, boards, None);
    }
    let old: Vec<&Sent<'_>> = boards
        .iter()
        .filter(|b| !b.seen.installed.runs_version(&deployment.id))
        .collect();
    if old.is_empty() {
        return outln!("All boards run this version: nothing would be done.");
    }
    let list = |all: Vec<&str>| all.join(", ");
    let is_source = |b: &&&Sent<'_>| {
        matches!(b.version.start, Start::Edge { source: true, .. }) && b.seen.installed.runs()
    };
    let sources: Vec<&str> = old
        .iter()
        .filter(is_source)
        .map(|b| &*b.seen.remote.name)
        .collect();
    outln!("A dry run: nothing was changed on boards. Without --dry-run:")?;
    for b in &old {
        for f in b.files.iter().filter(|f| matches!(f.way, send::Way::Sent)) {
            outln!(
                "  send {} to {}: {}",
                f.item.name,
                b.seen.remote.name,
                bytes(f.item.needed_bytes)
            )?;
        }
    }
    if !sources.is_empty() {
        outln!(
            "  wait until {} took no more frames and ended those under way",
            list(sources)
        )?;
    }
    outln!(
        "  start version {} on {}",
        deployment.id,
        list(old.iter().map(|b| &*b.seen.remote.name).collect())
    )
}

/// Says who runs what.
///
/// # Errors
/// When standard output cannot be written.
pub fn done(
    planned: &Planned,
    deployment: &Deployment,
    boards: &[Sent<'_>],
    turned: &[Turned],
    file: &ClusterFile,
    json: bool,
) -> Result<()> {
    if json {
        return told(deployment, boards, Some(turned));
    }
    let head = [
        "board",
        "node",
        "target",
        "computes",
        "tasks a frame",
        "reads",
        "says",
    ];
    let mut table = Table::new("<<<<><<", &head);
    for (b, t) in boards.iter().zip(turned) {
        let v = b.version;
        let (node, computes) = match &v.start {
            Start::Gateway { threads, edge } => {
                let edge = edge.map_or_else(String::new, |(workers, threads)| {
                    format!(", tiles by {}", team(workers, threads))
                });
                (
                    "gateway".to_owned(),
                    format!("the tail by {}{edge}", plural(*threads, "thread")),
                )
            }
            Start::Edge {
                workers, threads, ..
            } => (format!("edge {}", v.number), team(*workers, *threads)),
        };
        let reads: Vec<String> = file
            .sources_of(&v.board)
            .map(|s| s.name.to_string())
            .collect();
        table.row(&[
            &v.board,
            &node,
            v.target.name(),
            &computes,
            &tasks(planned, v.number),
            &reads.join(" "),
            &t.state,
        ]);
    }
    out!("{}", table.render(2))
}

fn team(workers: usize, threads: usize) -> String {
    match threads {
        1 => plural(workers, "worker"),
        n => format!("{} of {}", plural(workers, "worker"), plural(n, "thread")),
    }
}

/// The tasks of a frame that belong to an edge; `any` where boards take tasks as they come.
fn tasks(planned: &Planned, number: u16) -> String {
    let plan = &planned.plan;
    let tiles = || plan.dataflow.stages.iter().flat_map(|s| &s.tiles);
    if number == 0 {
        return String::new();
    }
    if tiles().any(|t| t.home == tessera_plan::placement::ANYWHERE) {
        return "any".into();
    }
    let own = tiles().filter(|t| t.home + 1 == number).count();
    format!("{own} of {}", tiles().count())
}

fn told(deployment: &Deployment, boards: &[Sent<'_>], turned: Option<&[Turned]>) -> Result<()> {
    let each = boards.iter().enumerate().map(|(at, b)| {
        let turned = turned.and_then(|all| all.get(at));
        BoardTold {
            board: &b.seen.remote.name,
            ssh: &b.seen.remote.destination,
            number: b.version.number,
            target: b.version.target.name(),
            probe: &b.seen.probe,
            before: &b.seen.installed,
            files: &b.files,
            sent_bytes: send::bytes(&b.files),
            takes_part: turned.map(|t| t.takes_part),
            state: turned.map(|t| t.state.as_str()),
        }
    });
    let told = Told {
        version: 1,
        dry_run: turned.is_none(),
        deployment: &deployment.id,
        plan: &deployment.plan,
        boards: each.collect(),
    };
    outln!("{}", serde_json::to_string_pretty(&told)?)
}
