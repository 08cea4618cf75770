//! `bench --seal`: what a session costs a datagram, in executed instructions, on every target that this machine can count.
//!
//! A count is the difference of two runs with different numbers of datagrams, divided by the difference of these numbers, so
//! that start and handshake cancel out. Emulators show which of ring's routines the processor that they emulate would run;
//! they say nothing of latencies.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tessera_planner::options::Target;

use super::instructions::{Run, missing, qemu, valgrind};
use crate::{
    children,
    out::{note, outln},
    progress::Step,
    workspace,
};

/// Payloads: a control message, a chunk of a narrow path with its header, the largest chunk with its header.
const PAYLOADS: [usize; 3] = [48, 512, 1_440];
/// Datagrams of the two runs.
const DATAGRAMS: [u64; 2] = [100, 1_100];

/// A target, its triple, and how its instructions are counted.
struct Counted {
    target: Target,
    triple: &'static str,
    missing: fn() -> Option<String>,
}

const TARGETS: [Counted; 3] = [
    Counted {
        target: Target::X86_64V3,
        triple: "x86_64-unknown-linux-gnu",
        missing: valgrind::missing,
    },
    Counted {
        target: Target::Aarch64,
        triple: "aarch64-unknown-linux-gnu",
        missing: || missing(&["aarch64-linux-gnu-gcc", "qemu-aarch64", "cc"]),
    },
    Counted {
        target: Target::Armv7,
        triple: "armv7-unknown-linux-gnueabihf",
        missing: || missing(&["arm-linux-gnueabihf-gcc", "qemu-arm", "cc"]),
    },
];

/// Runs the command.
///
/// # Errors
/// When the bench cannot be built or counted.
pub fn run() -> Result<()> {
    outln!("target      payload bytes   instructions to seal   to open   a byte, both")?;
    for counted in TARGETS {
        if let Some(why) = (counted.missing)() {
            note!("note: {} is not counted: {why}", counted.target.name());
            continue;
        }
        let bench = build(counted.triple)?;
        for payload in PAYLOADS {
            let seal = each(&counted, &bench, "count-seal", payload)?;
            let both = each(&counted, &bench, "count", payload)?;
            outln!(
                "{:10} {payload:14} {seal:22.0} {:9.0} {:14.2}",
                counted.target.name(),
                both - seal,
                both / payload as f64
            )?;
        }
    }
    Ok(())
}

/// Instructions for one datagram.
fn each(counted: &Counted, bench: &Path, what: &str, payload: usize) -> Result<f64> {
    let count = |datagrams: u64| {
        let args = [what.to_owned(), datagrams.to_string(), payload.to_string()];
        match counted.target {
            Target::X86_64V3 => valgrind::count(&Run {
                node: bench.to_owned(),
                args: args.iter().map(Into::into).collect(),
            }),
            target => qemu::count(target, bench, &args),
        }
    };
    let [few, many] = [count(DATAGRAMS[0])?, count(DATAGRAMS[1])?];
    ensure!(many > few, "{many} instructions are not more than {few}");
    Ok((many - few) as f64 / (DATAGRAMS[1] - DATAGRAMS[0]) as f64)
}

/// Builds the bench `seal` for a target; returns its path.
fn build(triple: &str) -> Result<PathBuf> {
    let step = Step::begin(format!("Compiling the bench for {triple}"));
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(workspace::root())
        .args(["bench", "--quiet", "--no-run", "-p", "tessera-secure"])
        .args(["--bench", "seal", "--message-format", "json", "--target"])
        .arg(triple);
    let out = children::output(&mut cargo).context("cannot start cargo")?;
    ensure!(
        out.status.success(),
        "the bench does not compile for {triple}:\n{}",
        String::from_utf8_lossy(&out.stderr).trim_end()
    );
    step.done("");
    let said = String::from_utf8_lossy(&out.stdout);
    let mut built = said.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let is_bench = message.pointer("/target/name")? == "seal";
        let path = message.get("executable")?.as_str().filter(|_| is_bench)?;
        Some(PathBuf::from(path))
    });
    built.next_back().context("cargo named no program")
}
