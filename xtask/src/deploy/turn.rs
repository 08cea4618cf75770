//! The turn from what runs to a version that all boards have: drain, switch, wait for all. Deploy and rollback share it.

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use super::{board::Seen, over, switch};
use crate::{exit, out::note};

/// A board that is to run the version.
#[derive(Clone, Debug)]
pub struct Turning {
    /// The board.
    pub seen: Seen,
    /// It is the gateway's; with the numbers of the edges that are to take part.
    pub edges: Option<Vec<u16>>,
    /// It brings frames.
    pub source: bool,
}

/// How a board has come out of the turn.
#[derive(Clone, Debug, Serialize)]
pub struct Turned {
    /// Its name.
    pub board: String,
    /// Its node does what it is for.
    pub takes_part: bool,
    /// What the node says of itself, or what went wrong.
    pub state: String,
}

/// Turns all boards to the version `id`. With `now`, frames under way are not waited for.
///
/// # Errors
/// When frames do not end, or a node does not start or does not join; the error and the lines before it name every board.
pub fn turn(id: &str, all: &[Turning], now: bool) -> Result<Vec<Turned>> {
    let runs = |t: &&Turning| t.seen.installed.runs_version(id);
    let (ready, to_turn): (Vec<&Turning>, Vec<&Turning>) = all.iter().partition(runs);
    for t in &ready {
        note!("{}: runs this version already", t.seen.remote.name);
    }
    let drained = |t: &&&Turning| t.source && t.seen.installed.runs();
    let sources: Vec<_> = to_turn.iter().filter(drained).collect();
    if !now && !sources.is_empty() {
        note!("sources take no more frames; waiting until those under way have their records");
        let ended = over::each(&sources, |t| switch::drain(&t.seen.remote));
        let mut late = 0;
        for (t, end) in sources.iter().zip(ended) {
            let name = &t.seen.remote.name;
            match end {
                Ok(None) => note!("{name}: drained"),
                Ok(Some(state)) => {
                    late += 1;
                    note!("error: {name}: {state}");
                }
                Err(e) => {
                    late += 1;
                    note!("error: {}", exit::with_causes(&e));
                }
            }
        }
        ensure!(
            late == 0,
            "frames under way did not end; the version before still runs everywhere, and its sources take no more frames. \
             Repeat the command to wait on, add --now to lose those frames, or go on as before with `systemctl restart tessera` on: {}",
            names(sources.iter().map(|t| &t.seen))
        );
    }
    // The gateway first: it turns away nodes of another plan.
    let (gateways, edges): (Vec<&Turning>, Vec<&Turning>) =
        to_turn.iter().copied().partition(|t| t.edges.is_some());
    let before = "Repeat the command when that is mended, or go back with cargo xtask rollback";
    start(id, &gateways).with_context(|| {
        format!(
            "the gateway does not run version {id}, and the edges were not switched: {}; their sources take no more frames. {before}",
            names(edges.iter().map(|t| &t.seen))
        )
    })?;
    start(id, &edges).with_context(|| format!("the others run version {id}. {before}"))?;
    let ended = over::each(all, |t| {
        let name = t.seen.remote.name.clone();
        match switch::join(&t.seen.remote, t.edges.as_deref()) {
            Ok(j) => {
                if !j.takes_part && !j.log.is_empty() {
                    note!("{name} says:\n{}", j.log);
                }
                Turned {
                    board: name,
                    takes_part: j.takes_part,
                    state: j.state,
                }
            }
            Err(e) => Turned {
                board: name,
                takes_part: false,
                state: exit::with_causes(&e),
            },
        }
    });
    Ok(ended)
}

/// Starts the version on boards.
fn start(id: &str, group: &[&Turning]) -> Result<()> {
    let mut failed = Vec::new();
    let ended = over::each(group, |t| switch::switch(&t.seen.remote, id));
    for (t, end) in group.iter().zip(ended) {
        match end {
            Ok(()) => note!("{}: started", t.seen.remote.name),
            Err(e) => {
                note!("error: {}", exit::with_causes(&e));
                failed.push(&t.seen);
            }
        }
    }
    ensure!(
        failed.is_empty(),
        "no start on {}, see above",
        names(failed.into_iter())
    );
    Ok(())
}

/// Says which boards do not take part.
///
/// # Errors
/// When there are some.
pub fn check(turned: &[Turned]) -> Result<()> {
    let absent: Vec<String> = turned
        .iter()
        .filter(|t| !t.takes_part)
        .map(|t| format!("{} ({})", t.board, t.state))
        .collect();
    ensure!(
        absent.is_empty(),
        "started, but these do not take part: {}. Look at journalctl -u tessera there; cargo xtask rollback goes back",
        absent.join(", ")
    );
    Ok(())
}

fn names<'a>(all: impl Iterator<Item = &'a Seen>) -> String {
    let names: Vec<&str> = all.map(|s| s.remote.name.as_str()).collect();
    names.join(", ")
}
