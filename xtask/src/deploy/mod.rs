//! `cargo xtask deploy`: brings the nodes of a plan to the boards of the cluster file, over the system's ssh, and starts them
//! there as a systemd unit. `rollback` goes back to the version before, `undeploy` removes all. docs/deploy.md is for people.
//!
//! ```text
//! look      every board at once: what it is, what it has         board, probe, installed
//! build     a node for each target, once                         version (what each board gets), content, unit
//! send      what a board has not, beside what runs               send
//! turn      drain sources, switch all, wait until all take part  turn, switch
//! ```
//!
//! Every step ends on all boards before the next begins, so a board that fails leaves the others as they were, and is named.

mod board;
mod content;
mod installed;
pub mod over;
pub mod places;
pub mod probe;
pub mod remote;
mod rollback;
mod send;
mod shown;
mod switch;
mod turn;
mod undeploy;
pub mod unit;
mod version;

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use tessera_plan::files::cluster::ClusterFile;
use tessera_planner::text;

use self::{
    board::Seen,
    send::Sending,
    turn::Turning,
    unit::Start,
    version::{BoardVersion, Deployment, Parts},
};
pub use self::{
    over::file as cluster_file, rollback::run as rollback, switch::unit as unit_property,
    undeploy::run as undeploy, version::start_of,
};
use crate::{build::Planned, compile, flags::DeployArgs, out::note, plan, strip};

/// Room that is left free beside what is sent, in bytes.
const SPARE_BYTES: u64 = 16 << 20;

/// A board, what it gets, and how.
struct Sent<'a> {
    seen: Seen,
    version: &'a BoardVersion,
    files: Vec<Sending>,
}

/// Runs `cargo xtask deploy`.
///
/// # Errors
/// When a board cannot be reached or does not fit, planning or building fails, or nodes do not start or join. What is done then
/// is told, and repeating the command goes on.
pub fn run(args: &DeployArgs) -> Result<()> {
    let mut flags = args.planned.clone();
    let path = flags
        .plan
        .cluster
        .get_or_insert_with(|| "cluster.toml".into())
        .clone();
    let file = over::file(&path)?;
    let remotes = over::remotes(&file, &args.over, false)?;
    note!("looking at {}", text::plural(remotes.len(), "board"));
    let seen = over::each(&remotes, Seen::look);
    let seen = over::all_or_none(seen, "nothing was changed on any board")?;
    let planned = Planned::of(&flags)?;
    let shown = flags.model.model.to_string_lossy();
    plan::require_weights(&planned.loaded.source, &shown)?;
    fits(&planned, &seen)?;
    let keys_there: Vec<String> = seen
        .iter()
        .filter(|s| s.installed.own_key)
        .map(|s| s.remote.name.clone())
        .collect();
    let (nodes, gateway_node) = build(&planned, &spoken(&args.with, &file))?;
    let deployment = Deployment::of(&Parts {
        plan: &planned.plan,
        options: &planned.options,
        nodes: &nodes,
        gateway_node: &gateway_node,
        file: &file,
        path: &path,
        keys_there: &keys_there,
    })?;
    same_plan(&file, args, &seen, &deployment)?;
    let mut boards = Vec::new();
    for seen in seen {
        let version = deployment
            .boards
            .iter()
            .find(|b| b.board == seen.remote.name);
        let Some(version) = version else {
            bail!("{} has no role of a node", seen.remote.name);
        };
        let files = send::plan(version, &seen.installed);
        boards.push(Sent {
            seen,
            version,
            files,
        });
    }
    room(&boards)?;
    if !args.over.json {
        shown::plan(&deployment, &boards)?;
    }
    if args.dry_run {
        return shown::dry(&deployment, &boards, args.over.json);
    }
    let id = &deployment.id;
    let sent = over::each(&boards, |b| stage(id, b));
    over::all_or_none(
        sent,
        "what runs there runs on; repeat the command, which sends what is missing",
    )?;
    let turning: Vec<Turning> = boards.iter().map(|b| turning(b, &boards, &file)).collect();
    let turned = turn::turn(id, &turning, args.now)?;
    shown::done(
        &planned,
        &deployment,
        &boards,
        &turned,
        &file,
        args.over.json,
    )?;
    turn::check(&turned)?;
    let pruned = over::each(&boards, |b| switch::prune(&b.seen.remote));
    over::all_or_none(pruned, "all run; old versions are left there").map(|_| ())
}

/// Checks that nodes for the targets of the cluster file run on the boards; says what may make trouble.
fn fits(planned: &Planned, seen: &[Seen]) -> Result<()> {
    let options = &planned.options;
    let mut wrong = 0;
    for s in seen {
        let name = &s.remote.name;
        for warning in s.probe.warnings() {
            note!("warning: {name}: {warning}");
        }
        let boards = options.boards.iter().chain([&options.gateway]);
        let Some(board) = boards.into_iter().find(|b| b.name == *name) else {
            continue;
        };
        let target = board.target;
        if !s.probe.runs(target) {
            wrong += 1;
            let help = match s.probe.best() {
                Some(best) => format!("write target = {:?} into its [[board]]", best.name()),
                None => "no target of Tessera's fits it".into(),
            };
            let bits = s
                .probe
                .bits
                .map_or(String::new(), |b| format!(", {b} bits"));
            note!(
                "error: {name}: its target is {}, but the board is {}{bits}: {help}",
                target.name(),
                s.probe.machine
            );
        }
        if board.cores > s.probe.cores {
            note!(
                "warning: {name}: the cluster file says {}, the board has {}",
                text::plural(board.cores, "core"),
                s.probe.cores
            );
        }
    }
    ensure!(
        wrong == 0,
        "{wrong} boards with another processor, see above; nothing was changed on any board"
    );
    Ok(())
}

/// The targets with folders and nodes of their own.
type Nodes = Vec<(tessera_planner::options::Target, PathBuf, PathBuf)>;

/// What the gateway's node is built with: what is asked for, and what tables of the cluster file ask for.
fn spoken(with: &[String], file: &ClusterFile) -> Vec<String> {
    let mut all = with.to_vec();
    for (asked, feature) in [
        (!file.alert.is_empty(), "alerts"),
        (file.service.is_some(), "service"),
    ] {
        if asked && !all.iter().any(|w| w == feature) {
            all.push(feature.into());
        }
    }
    all
}

/// Builds a node for each target, and the gateway's, which alone is built `with` what it speaks beside.
fn build(planned: &Planned, with: &[String]) -> Result<(Nodes, PathBuf)> {
    let options = &planned.options;
    // Different plans never share a folder.
    let out = compile::folder(&planned.plan);
    let mut nodes = Vec::new();
    let mut gateway = None;
    for target in options.targets() {
        let dir = planned.emit(target, &out)?;
        let is_gateways = options.gateway.target == target;
        if is_gateways && !with.is_empty() {
            let node = planned.compile(target, &dir, with)?;
            let kept = node.with_file_name("node-gateway");
            std::fs::copy(&node, &kept)?;
            gateway = Some(strip::stripped(&kept, target)?);
        }
        let others = options
            .boards
            .iter()
            .any(|b| b.target == target && !b.is_gateway);
        if others || !is_gateways || with.is_empty() {
            let node = planned.compile(target, &dir, &[])?;
            let node = strip::stripped(&node, target)?;
            if is_gateways && with.is_empty() {
                gateway = Some(node.clone());
            }
            nodes.push((target, dir, node));
        } else if let Some(node) = &gateway {
            nodes.push((target, dir, node.clone()));
        }
    }
    match gateway {
        Some(gateway) => Ok((nodes, gateway)),
        None => bail!("the plan has no target of the gateway's"),
    }
}

/// A plan runs on all boards: some alone can be given what belongs to the plan that runs.
fn same_plan(
    file: &ClusterFile,
    args: &DeployArgs,
    seen: &[Seen],
    deployment: &Deployment,
) -> Result<()> {
    if args.over.boards.is_empty() {
        return Ok(());
    }
    let nodes = file.nodes();
    let Some(gateway) = nodes.iter().find(|n| n.number == 0) else {
        return Ok(());
    };
    let is_named = seen.iter().any(|s| s.remote.name == gateway.board.name);
    let all_named = deployment
        .boards
        .iter()
        .all(|b| args.over.boards.contains(&b.board));
    let looked;
    let its = if is_named {
        seen.iter().find(|s| s.remote.name == gateway.board.name)
    } else {
        looked = Seen::look(&remote::Remote::of(
            gateway.board,
            args.over.ssh_config.as_deref(),
        )?)?;
        Some(&looked)
    };
    let runs = its.and_then(|s| s.installed.plan.as_deref());
    ensure!(
        all_named || runs == Some(deployment.plan.as_str()),
        "{} runs {}, and this is plan {}: a plan runs on all boards; deploy without names of boards. Nothing was changed",
        gateway.board.name,
        runs.map_or("no plan".into(), |p| format!("plan {}", short(p))),
        short(&deployment.plan)
    );
    Ok(())
}

/// The beginning of a hash, for people.
fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

/// Checks that what is sent has room.
fn room(boards: &[Sent<'_>]) -> Result<()> {
    let mut small = Vec::new();
    for b in boards {
        let wanted = send::bytes(&b.files) + SPARE_BYTES;
        if let Some(free) = b.seen.probe.disk_bytes.filter(|free| *free < wanted) {
            small.push(format!(
                "{} has {} free and needs {}",
                b.seen.remote.name,
                text::bytes(free),
                text::bytes(wanted)
            ));
        }
    }
    ensure!(
        small.is_empty(),
        "no room below /opt: {}; nothing was changed on any board",
        small.join(", ")
    );
    Ok(())
}

fn stage(id: &str, b: &Sent<'_>) -> Result<()> {
    let name = &b.seen.remote.name;
    if send::is_there(id, &b.files, &b.seen.installed) {
        note!("{name}: has version {id}");
        return Ok(());
    }
    send::send(&b.seen.remote, id, &b.files)?;
    let kept = b
        .files
        .iter()
        .filter(|f| matches!(f.way, send::Way::Kept))
        .count();
    note!(
        "{name}: got version {id}, {} sent, {} there already",
        text::bytes(send::bytes(&b.files)),
        text::plural(kept, "file")
    );
    Ok(())
}

fn turning(b: &Sent<'_>, all: &[Sent<'_>], file: &ClusterFile) -> Turning {
    let edges = match &b.version.start {
        Start::Edge { .. } => None,
        Start::Gateway { edge, .. } => {
            // Of boards that this command is not for, nothing is known.
            let edges = all.iter().filter(|o| o.version.number != 0);
            let mut numbers: Vec<u16> = edges.map(|o| o.version.number).collect();
            let nodes = file.nodes();
            let second = nodes.iter().find(|n| n.is_second);
            numbers.extend(edge.and(second).map(|n| n.number));
            numbers.sort_unstable();
            Some(numbers)
        }
    };
    Turning {
        seen: b.seen.clone(),
        edges,
        source: matches!(b.version.start, Start::Edge { source: true, .. }),
    }
}
