//! `paper --live`: the arena's script, which runs the paper's systems in namespaces and simulates the same.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use crate::{
    children,
    files::{self, Output},
    out::outln,
    workspace,
};

/// The page that receives both.
const PAGE: &str = "live.md";

/// Runs `tests/arena/table.py` with these flags.
///
/// # Errors
/// When it cannot be started, or fails.
pub fn run(out: &Path, flags: &[String]) -> Result<()> {
    files::check_folder("--out", out)?;
    let page = std::path::absolute(out.join(PAGE))?;
    // Before hours of runs: whether their result can be written.
    Output::check("--out", &page)?;
    let script = workspace::root().join("tests/arena/table.py");
    let mut python = Command::new("python3");
    python
        .arg(&script)
        .args(["--simulate", "--live"])
        .arg(&page)
        .args(flags);
    let ended = children::status(&mut python)
        .with_context(|| format!("cannot start python3 {}", script.display()))?;
    ensure!(
        ended.success(),
        "{} failed: {ended}",
        workspace::show(&script)
    );
    outln!("{}", workspace::show(&page))
}
