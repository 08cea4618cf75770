//! `cargo xtask paper`: the evaluation of the DeepThings paper again, and figures beyond it, as files.
//!
//! Every result is kept in a file of its own as soon as it is there, so a command that was interrupted goes on where it
//! was ([`kept`]).

mod kept;
mod live;
mod made;

use std::{
    path::Path,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tessera_evaluation::{
    case::Case,
    cell::{Cell, Results},
    figures::{self, FIGURES, Figure, File},
};
use tessera_planner::{model::Model, weights};

use crate::{
    files::{self, Output},
    flags::{Fork, PaperArgs},
    model,
    out::{note, outln},
    progress::Step,
    workspace,
};
use kept::Kept;

/// The network of the paper.
const NETWORK: &str = "yolov2.cfg";
/// Largest file of the evaluation, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 22;

/// Runs the command.
///
/// # Errors
/// When a plan is impossible, a frame does not end, or a file cannot be written.
pub fn run(args: &PaperArgs) -> Result<()> {
    let begun = Instant::now();
    let root = workspace::root();
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| root.join("docs/evaluation"));
    if args.live {
        return live::run(&out, &args.arena);
    }
    let folder = args.kept.clone().unwrap_or_else(|| root.join("out/paper"));
    files::check_folder("--out", &out)?;
    files::check_folder("--kept", &folder)?;
    let figures = chosen(&args.only)?;
    let (graph, _) = model::graph(Path::new(NETWORK), Fork::Alexey)?;
    let cfg = workspace::find_model(Path::new(NETWORK)).context(NETWORK)?;
    let kept = Kept::open(
        &folder,
        &std::fs::read(&cfg).with_context(|| cfg.display().to_string())?,
    )?;
    let model = weights::without(graph);
    let (results, found) = simulated(&figures::cases(&figures)?, &model, &kept, args.fresh)?;
    let step = Step::begin("Figures");
    if args.only.is_empty() {
        let cases = results.1;
        let seconds = begun.elapsed().as_secs_f64();
        let line = made::now(seconds, found, cases);
        let files = |made: &str| figures::files(&model, &results.0, made);
        let recorded = made::recorded(&out.join("README.md"));
        let before = recorded.map(|line| files(&line)).transpose()?;
        if before.is_some_and(|files| files.iter().all(|f| is_there(&out, f))) {
            step.done("all are there already");
        } else {
            write(&out, &files(&line)?)?;
            step.done("");
        }
        outln!("{}", workspace::show(&out.join("README.md")))?;
    } else {
        let files = figures::drawn(&figures, &model, &results.0)?;
        write(&out, &files)?;
        step.done("");
        for (name, _) in &files {
            outln!("{}", workspace::show(&out.join(name)))?;
        }
    }
    Ok(())
}

/// The figures of these names; all of them without names.
fn chosen(names: &[String]) -> Result<Vec<&'static Figure>> {
    let known = || FIGURES.iter().map(|f| f.key).collect::<Vec<_>>().join(", ");
    for name in names {
        if !FIGURES.iter().any(|f| f.key == name) {
            bail!(
                "--only {name}: there is no such figure; there are {}",
                known()
            );
        }
    }
    let wanted = |f: &&Figure| names.is_empty() || names.iter().any(|n| n == f.key);
    Ok(FIGURES.iter().filter(wanted).collect())
}

fn write(out: &Path, files: &[File]) -> Result<()> {
    for (name, text) in files {
        Output::check("--out", &out.join(name))?.write(text.as_bytes())?;
    }
    Ok(())
}

/// Whether a file of this content is there.
fn is_there(out: &Path, (name, text): &File) -> bool {
    let found = files::read(
        &out.join(name),
        FILE_BYTES_MAX,
        "no file of the evaluation is that large",
    );
    found.is_ok_and(|bytes| bytes == text.as_bytes())
}

/// Results of all cases: those that are kept, and new ones, made by all cores at the same time. Returns them with their
/// number, and how many were kept.
fn simulated(
    cases: &[Case],
    model: &Model,
    kept: &Kept,
    fresh: bool,
) -> Result<((Results, usize), usize)> {
    let read = |case: &Case| kept.read(&case.name).filter(|_| !fresh);
    let mut cells: Vec<Cell> = cases.iter().filter_map(read).collect();
    let found = cells.len();
    let missing = |case: &&Case| !cells.iter().any(|c| c.name == case.name);
    let missing: Vec<&Case> = cases.iter().filter(missing).collect();
    if found > 0 {
        note!(
            "{found} of {} results are kept from an earlier run; --fresh makes them anew",
            cases.len()
        );
    }
    let (next, all) = (AtomicUsize::new(0), missing.len());
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let step = Step::begin("Simulating");
    let begun = Instant::now();
    thread::scope(|scope| -> Result<()> {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..cores.min(all) {
            let (sender, next, missing) = (sender.clone(), &next, &missing);
            scope.spawn(move || {
                while let Some(case) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let from = Instant::now();
                    let made = case.run(model).with_context(|| case.name.clone());
                    if sender.send((made, from.elapsed())).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let outcome = receiver
            .iter()
            .enumerate()
            .try_for_each(|(done, (made, took))| {
                let cell = kept.write(made?)?;
                tell(&step, &cell, took, begun.elapsed(), [done + 1, all]);
                cells.push(cell);
                anyhow::Ok(())
            });
        // After an error no further case is begun.
        next.store(all, Ordering::Relaxed);
        outcome
    })?;
    step.done(&format!("{} cases", cases.len()));
    Ok(((cells.into_iter().collect(), cases.len()), found))
}

/// Says what a case gave, and how long the rest may take.
fn tell(step: &Step, cell: &Cell, took: Duration, since: Duration, [done, all]: [usize; 2]) {
    let left = since.mul_f64((all - done) as f64 / done as f64);
    step.line(&format!(
        "{done} of {all}, {}: {:.2} s, {:.2} MiB ({:.1} s)",
        cell.name,
        cell.latency_s,
        cell.values_mib,
        took.as_secs_f64()
    ));
    step.note(&format!(
        "{done} of {all}, about {:.0} s left",
        left.as_secs_f64()
    ));
}
