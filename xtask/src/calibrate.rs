//! `cargo xtask calibrate`: measures the speed of kernels and writes a cost table, from which the planner chooses
//! kernels.
//!
//! Every kernel computes layers of several sizes, each layer as a network of its own. The command times kernels
//! that run on this machine. For another board, the command writes programs, weights and a script to a folder;
//! the script's output becomes the table. For ARM cores without a board at hand, the command counts
//! instructions under qemu instead. With `--cluster`, running nodes measure their links and their speed.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use tessera_planner::{
    kernel::costs::{CostTable, Row, SCHEMA},
    options::Target,
};

use self::{cases::Bundle, results::Results};
use crate::{
    bench::instructions::qemu,
    boards, children,
    files::{self, Output},
    flags::CalibrateArgs,
    out::outln,
    progress::Step,
    workspace,
};

mod cases;
mod cluster;
mod results;

/// A core for estimates from instruction counts: the clock in Hz and the instructions per cycle, which are
/// LLVM's for the inner loop of the target's direct kernel (codegen/src/kernel/README.md).
struct Core {
    name: &'static str,
    target: Target,
    board: &'static str,
    hz: f64,
    per_cycle: f64,
}

const CORES: [Core; 4] = [
    Core {
        name: "cortex-a53",
        target: Target::Aarch64,
        board: "Raspberry Pi 3 B",
        hz: 1.2e9,
        per_cycle: 189.0 / 256.0,
    },
    Core {
        name: "cortex-a72",
        target: Target::Aarch64,
        board: "Raspberry Pi 4 B",
        hz: 1.5e9,
        per_cycle: 189.0 / 160.2,
    },
    Core {
        name: "cortex-a53",
        target: Target::Armv7,
        board: "Raspberry Pi 3 B",
        hz: 1.2e9,
        per_cycle: 85.0 / 213.0,
    },
    Core {
        name: "cortex-a72",
        target: Target::Armv7,
        board: "Raspberry Pi 4 B",
        hz: 1.5e9,
        per_cycle: 85.0 / 64.1,
    },
];

/// Largest accepted output of measure.sh, in bytes; usual outputs have a few hundred lines.
const RESULTS_BYTES_MAX: u64 = 64 << 20;

/// Runs the command.
///
/// # Errors
/// When a layer cannot be built, run or counted, results are invalid, or a file cannot be written.
pub fn run(args: &CalibrateArgs) -> Result<()> {
    if let Some(file) = &args.cluster {
        return cluster::run(file, args.plan.as_deref(), args.out.as_deref());
    }
    let target = boards::target(args.target.as_deref())?;
    if let Some(dir) = &args.build_only {
        files::check_folder("--build-only", dir)?;
        return build_only(target, dir);
    }
    let out = args.out.clone().unwrap_or_else(|| {
        let name = format!("costs-{}.toml", target.name());
        workspace::root().join("out").join(name)
    });
    let file = Output::check("--out", &out)?;
    let table = if let Some(file) = &args.from {
        let text = files::read(file, RESULTS_BYTES_MAX, "give what measure.sh printed")?;
        let results = Results::read(&String::from_utf8_lossy(&text))
            .and_then(|r| r.are_all_of(target.name()).map(|()| r))
            .with_context(|| file.display().to_string())?;
        measured(target, &results, "by measure.sh")?
    } else if let Some(core) = &args.core {
        estimate(target, core)?
    } else {
        measure(target, args.rounds)?
    };
    // The table that the command writes must parse.
    let text = table.to_toml();
    CostTable::from_toml(&text)?;
    file.write(text.as_bytes())?;
    outln!("{}: {}", table.core, table.how)?;
    outln!("wrote {}: plan with --costs {0}", workspace::show(&out))?;
    Ok(())
}

/// Writes the folder with everything that a board needs to measure.
fn build_only(target: Target, dir: &Path) -> Result<()> {
    let bundle = Bundle::build(target, dir)?;
    outln!(
        "{} has a node, its layers and a script. On the board:",
        workspace::show(dir)
    )?;
    outln!(
        "  ./measure.sh > results.txt    # {} layers, some minutes",
        bundle.cases().len()
    )?;
    outln!("and here, with what it wrote:")?;
    outln!(
        "  cargo xtask calibrate --target {} --from results.txt",
        target.name()
    )?;
    Ok(())
}

/// The folder of the programs that run on this machine.
fn folder(target: Target) -> PathBuf {
    let name = format!("calibrate-{}", target.name());
    workspace::root().join("target").join("tessera").join(name)
}

/// Times all cases on this machine, in `rounds` rounds.
fn measure(target: Target, rounds: u16) -> Result<CostTable> {
    if target.triple() != Target::Portable.triple() {
        bail!(
            "kernels of {} do not run here\n  help: --build-only DIR writes what a board needs to measure them; \
             --core cortex-a53 or cortex-a72 estimates them from counted instructions",
            target.name()
        );
    }
    let dir = folder(target);
    let bundle = Bundle::build(target, &dir)?;
    let step = Step::begin(format!(
        "Timing {} layers, {rounds} rounds",
        bundle.cases().len()
    ));
    let mut all = Results::default();
    for round in 0..rounds {
        step.note(&format!("round {} of {rounds}", round + 1));
        let out = children::output(Command::new("sh").arg(dir.join("measure.sh")))
            .context("cannot start sh")?;
        let said = String::from_utf8_lossy(&out.stderr);
        ensure!(
            out.status.success(),
            "measure.sh failed:\n{}",
            said.trim_end()
        );
        all.add(Results::read(&String::from_utf8_lossy(&out.stdout))?);
    }
    step.done("");
    let by = format!("in {rounds} rounds");
    measured(target, &all, &by)
}

/// Makes a cost table from measured times.
fn measured(target: Target, results: &Results, by: &str) -> Result<CostTable> {
    let rows = cases::all()
        .filter_map(|c| Some((c, results.best(&c.name())?)))
        .map(|(c, seconds)| c.row(seconds))
        .collect::<Vec<Row>>();
    ensure!(
        !rows.is_empty(),
        "no layer was timed: give the whole output of measure.sh"
    );
    Ok(CostTable {
        schema: SCHEMA,
        target: target.name().into(),
        core: results.core().unwrap_or("unknown").into(),
        how: format!(
            "measured {by}, one thread, the least time of each layer; times of a layer spread {:.0} % (median)",
            100.0 * results.spread()
        ),
        rows,
    })
}

/// Makes a cost table from instruction counts.
fn estimate(target: Target, core: &str) -> Result<CostTable> {
    let Some(core) = CORES.iter().find(|c| (c.name, c.target) == (core, target)) else {
        let known = CORES.map(|c| format!("--target {} --core {}", c.target.name(), c.name));
        bail!(
            "--core {core} for {}: unknown; known are {}",
            target.name(),
            known.join(", ")
        );
    };
    let bundle = Bundle::build(target, &folder(target))?;
    let step = Step::begin(format!(
        "Counting instructions of {} layers",
        bundle.cases().len()
    ));
    let mut rows = Vec::new();
    for c in bundle.cases() {
        step.note(&c.name());
        let count = |frames| -> Result<u64> {
            qemu::count(target, &bundle.node(), &bundle.args(c, frames))
        };
        // Both counts contain start and exit, which cancel out.
        let frame = count(1)?.saturating_sub(count(0)?).max(1);
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        rows.push(c.row(frame as f64 / (core.hz * core.per_cycle)));
    }
    step.done("");
    Ok(CostTable {
        schema: SCHEMA,
        target: target.name().into(),
        core: core.name.into(),
        how: format!(
            "estimated: instructions of a frame under qemu, at {:.1} GHz ({}) and {:.2} a cycle, which is llvm-mca's \
             figure for the inner loop of direct kernels; caches and memory are not in it",
            core.hz / 1e9,
            core.board,
            core.per_cycle
        ),
        rows,
    })
}
