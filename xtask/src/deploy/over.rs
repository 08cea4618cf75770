//! Boards that a command is for, and work on all of them at once.

use std::{path::Path, thread};

use anyhow::{Context, Result, bail, ensure};
use tessera_plan::files::cluster::{BYTES_MAX, ClusterFile};

use super::remote::Remote;
use crate::{files, flags::OverArgs, out::note};

/// Reads the cluster file.
///
/// # Errors
/// When it cannot be read or understood.
pub fn file(path: &Path) -> Result<ClusterFile> {
    let advice = "make one with cargo xtask cluster init, or see docs/cluster.md";
    let bytes = files::read(path, BYTES_MAX, advice).context("--cluster")?;
    let text = String::from_utf8(bytes).with_context(|| format!("{}: no text", path.display()))?;
    toml::from_str(&text).with_context(|| path.display().to_string())
}

/// The ways to the boards that were named, or to all; in the order of the file. `removed` ones only if they were named and
/// that is asked for.
///
/// # Errors
/// When a name is unknown, or that of an observer.
pub fn remotes(file: &ClusterFile, over: &OverArgs, removed_too: bool) -> Result<Vec<Remote>> {
    for name in &over.boards {
        let Some(board) = file.board.iter().find(|b| b.name == *name) else {
            let names: Vec<&str> = file.board.iter().map(|b| &*b.name).collect();
            bail!(
                "there is no board {name:?}; boards are {}",
                names.join(", ")
            );
        };
        ensure!(
            !board.is_observer(),
            "{name} is an observer: nothing is deployed there"
        );
        ensure!(
            removed_too || !board.removed,
            "{name} was removed from the cluster; cargo xtask cluster add {name} invites it again"
        );
    }
    let named = |name: &String| over.boards.contains(name);
    let wanted = file
        .board
        .iter()
        .filter(|b| !b.is_observer() && (named(&b.name) || over.boards.is_empty() && !b.removed));
    wanted
        .map(|b| Remote::of(b, over.ssh_config.as_deref()))
        .collect()
}

/// Does the same for every board at once; the results are in the same order.
pub fn each<T: Sync, R: Send>(all: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> = all.iter().map(|t| scope.spawn(move || work(t))).collect();
        let ended = running.into_iter().map(thread::ScopedJoinHandle::join);
        ended
            .map(|end| end.unwrap_or_else(|e| std::panic::resume_unwind(e)))
            .collect()
    })
}

/// The results of all boards; if one failed, every failure is told, and `state` says what that leaves behind.
///
/// # Errors
/// When one failed.
pub fn all_or_none<R>(results: Vec<Result<R>>, state: &str) -> Result<Vec<R>> {
    let mut good = Vec::new();
    let mut failed = 0;
    for result in results {
        match result {
            Ok(r) => good.push(r),
            Err(e) => {
                failed += 1;
                note!("error: {}", crate::exit::with_causes(&e));
            }
        }
    }
    ensure!(
        failed == 0,
        "{failed} of {} boards, see above; {state}",
        failed + good.len()
    );
    Ok(good)
}
