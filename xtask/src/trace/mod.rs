//! `cargo xtask trace`: what nodes wrote with `--trace FILE`, or write now (`--cluster`), as one file on the gateway's clock
//! (`docs/trace.md`).

mod boards;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tessera_trace::{Merged, merge, read};

use crate::{flags::TraceArgs, out::note};

/// Runs the command.
///
/// # Errors
/// When a file cannot be read, or the files do not go together.
pub fn run(args: &TraceArgs) -> Result<()> {
    match &args.cluster {
        Some(cluster) => boards::run(cluster, args),
        None => write(&args.files, &args.out),
    }
}

/// Puts nodes' files together.
///
/// # Errors
/// As [`run`].
pub fn write(files: &[PathBuf], out: &Path) -> Result<()> {
    let mut nodes = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let (events, wrong) = read(&text);
        if events.is_empty() {
            bail!("{} holds no events of a node", file.display());
        }
        // A node that was killed leaves a line without its end.
        if wrong > 0 {
            note!("{}: {wrong} lines are left out", file.display());
        }
        nodes.push(events);
    }
    let merged = merge(nodes)?;
    std::fs::write(out, merged.json()?)
        .with_context(|| format!("cannot write {}", out.display()))?;
    say(&merged, out);
    Ok(())
}

fn say(merged: &Merged, out: &Path) {
    let flows = merged.events.iter().filter(|e| e.flow_in).count();
    note!(
        "{}: {} events, {flows} arrows, clocks within {:.0} us; open it at https://ui.perfetto.dev",
        out.display(),
        merged.events.len(),
        merged.residual_us()
    );
    if merged.uncertain > 0 {
        note!(
            "{} arrows are left out: the clocks do not tell which end was first",
            merged.uncertain
        );
    }
}
