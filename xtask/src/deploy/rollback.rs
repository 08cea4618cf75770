//! `cargo xtask rollback`: all boards run the version before again. The one that runs becomes the one before.

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use super::{board::Seen, over, short, turn, turn::Turning};
use crate::{
    flags::RollbackArgs,
    out::{note, outln},
};

#[derive(Debug, Serialize)]
struct Told<'a> {
    version: u32,
    dry_run: bool,
    deployment: &'a str,
    boards: &'a [turn::Turned],
}

/// Runs the command.
///
/// # Errors
/// When a board cannot be reached or has no version before, or nodes do not start or join.
pub fn run(args: &RollbackArgs) -> Result<()> {
    let file = over::file(&args.cluster)?;
    ensure!(
        args.over.boards.is_empty(),
        "a version runs on all boards: give no names of boards"
    );
    let remotes = over::remotes(&file, &args.over, false)?;
    let seen = over::each(&remotes, Seen::look);
    let seen = over::all_or_none(seen, "nothing was changed on any board")?;
    let nodes = file.nodes();
    let gateway = nodes.iter().find(|n| n.number == 0);
    let gateway = gateway.context("the cluster file has no gateway")?.board;
    let its = seen.iter().find(|s| s.remote.name == gateway.name);
    let its = &its
        .context("the gateway's board was not looked at")?
        .installed;
    // After a rollback that a board has missed, the others run the version already.
    let missed = |id: &String| {
        seen.iter()
            .any(|s| s.installed.previous.as_ref() == Some(id))
    };
    let current = its.current.clone();
    let is_half = current.as_ref().is_some_and(|id| {
        missed(id)
            && seen
                .iter()
                .any(|s| s.installed.current.as_ref() != Some(id))
    });
    let id = if is_half {
        current
    } else {
        its.previous.clone()
    };
    let id = id.with_context(|| {
        format!(
            "{} has no version before: nothing was changed",
            gateway.name
        )
    })?;
    let lacking: Vec<&str> = seen
        .iter()
        .filter(|s| !s.installed.versions.contains(&id))
        .map(|s| s.remote.name.as_str())
        .collect();
    ensure!(
        lacking.is_empty(),
        "version {id} is not on {}: check out what it was made of, and deploy that. Nothing was changed",
        lacking.join(", ")
    );
    let plan = its.previous_plan.as_deref().map_or("?", short);
    note!("back to version {id} of plan {plan}");
    if args.dry_run {
        let same = |s: &&Seen| !s.installed.runs_version(&id);
        let boards: Vec<turn::Turned> = seen
            .iter()
            .filter(same)
            .map(|s| turn::Turned {
                board: s.remote.name.clone(),
                takes_part: s.installed.runs(),
                state: s.installed.status.clone().unwrap_or_default(),
            })
            .collect();
        let told = Told {
            version: 1,
            dry_run: true,
            deployment: &id,
            boards: &boards,
        };
        if args.over.json {
            return outln!("{}", serde_json::to_string_pretty(&told)?);
        }
        let names: Vec<&str> = boards.iter().map(|b| b.board.as_str()).collect();
        return outln!(
            "A dry run: would start version {id} on {}.",
            names.join(", ")
        );
    }
    let turning: Vec<Turning> = seen
        .into_iter()
        .map(|seen| {
            let is_gateway = seen.remote.name == gateway.name;
            let is_source = nodes
                .iter()
                .any(|n| n.is_source() && n.board.name == seen.remote.name);
            Turning {
                // Which edges that version numbers how, this machine's file does not say.
                edges: is_gateway.then(Vec::new),
                source: is_source,
                seen,
            }
        })
        .collect();
    let turned = turn::turn(&id, &turning, args.now)?;
    if args.over.json {
        let told = Told {
            version: 1,
            dry_run: false,
            deployment: &id,
            boards: &turned,
        };
        outln!("{}", serde_json::to_string_pretty(&told)?)?;
    } else {
        for t in &turned {
            outln!("{}: {}", t.board, t.state)?;
        }
    }
    turn::check(&turned)
}
