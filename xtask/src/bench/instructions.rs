//! `bench --instructions`: counts the instructions of a frame, for a fixed list of small networks.
//!
//! Counts do not depend on the load of the machine, so a higher count shows a slower kernel on any machine.
//! `xtask/instructions.toml` records counts per target, and `cargo xtask ci` compares new counts with the
//! record. Emulators count, so the counts say nothing of caches and little of latencies.
//!
//! A frame's count is the difference of two runs with different numbers of frames, divided by the difference
//! of those numbers: the instructions of start, file reads and exit occur in both runs and cancel out.

use std::{ffi::OsString, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};
use serde_json::json;
use tessera_planner::options::Target;

use self::{
    cases::Bundle,
    record::{Counts, Record, TOLERANCE},
};
use super::subject::Subject;
use crate::{
    flags::{BenchArgs, ModelArgs},
    out::{note, out, outln},
    progress::Step,
};

mod cases;
pub mod qemu;
mod record;
pub mod valgrind;

/// A program to count: a node's command line.
#[derive(Clone, Debug)]
pub struct Run {
    /// The node.
    pub node: PathBuf,
    /// Arguments of the node.
    pub args: Vec<OsString>,
}

/// A counter for the instructions of a target.
struct Counter {
    target: Target,
    /// Counts the instructions that a run executes.
    count: fn(&Run) -> Result<u64>,
    /// Why this machine cannot count; `None` if it can.
    missing: fn() -> Option<String>,
}

/// Targets that can be counted.
const COUNTERS: [Counter; 3] = [
    Counter {
        target: Target::X86_64V3,
        count: valgrind::count,
        missing: valgrind::missing,
    },
    Counter {
        target: Target::Armv7,
        count: |run| qemu::count(Target::Armv7, &run.node, &run.args),
        missing: || missing(&["arm-linux-gnueabihf-gcc", "qemu-arm", "cc"]),
    },
    Counter {
        target: Target::Aarch64,
        count: |run| qemu::count(Target::Aarch64, &run.node, &run.args),
        missing: || missing(&["aarch64-linux-gnu-gcc", "qemu-aarch64", "cc"]),
    },
];

/// A message that names the first of these programs that cannot be started; `None` if all start.
pub fn missing(programs: &[&str]) -> Option<String> {
    let runs = |p: &&&str| {
        let out = Command::new(p).arg("--version").output();
        out.is_ok_and(|o| o.status.success())
    };
    let program = programs.iter().find(|p| !runs(p))?;
    Some(format!("{program} is missing"))
}

/// Frames of the two runs.
const FRAMES: [u32; 2] = [1, 3];

/// Options of a count.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The target to count; `None` for all targets that this machine can count.
    pub target: Option<String>,
    /// Write the record.
    pub record: bool,
    /// Fail on counts above the record.
    pub check: bool,
    /// Fail if a target cannot be counted.
    pub strict: bool,
    /// Print JSON.
    pub json: bool,
}

impl From<&BenchArgs> for Asked {
    fn from(a: &BenchArgs) -> Self {
        Self {
            target: a.plan.target.clone(),
            record: a.record,
            check: a.check,
            strict: false,
            json: a.json,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// When a case cannot be built or counted, a tool that a named target needs is missing, or, with
/// `check`, a count is above its record.
pub fn run(args: &Asked) -> Result<()> {
    let mut record = Record::read()?;
    let mut found = Record::here()?;
    let mut slower = Vec::new();
    for Counter {
        target,
        count,
        missing,
    } in COUNTERS
    {
        let named = args.target.as_deref();
        if named.is_some_and(|n| n != target.name()) {
            continue;
        }
        if let Some(why) = missing() {
            if named.is_some() || args.strict {
                bail!("{why}");
            }
            note!("note: {} is not counted: {why}", target.name());
            continue;
        }
        let counts = count_all(target, count)?;
        let old = record.targets.get(target.name());
        if !args.json {
            out!("{}", record::table(target.name(), &counts, old))?;
        }
        slower.extend(record::slower(target.name(), &counts, old));
        found.targets.insert(target.name().to_owned(), counts);
    }
    if found.targets.is_empty() {
        let names: Vec<&str> = COUNTERS.iter().map(|c| c.target.name()).collect();
        match args.target.as_deref() {
            Some(t) if !names.contains(&t) => {
                bail!("--target {t} is not counted; {} are", names.join(", "))
            }
            _ => return Ok(()),
        }
    }
    if args.json {
        let value = json!({ "compiler": found.compiler, "targets": found.targets });
        outln!("{}", serde_json::to_string_pretty(&value)?)?;
    }
    if args.record {
        record.take(found);
        return record.write();
    }
    if args.check && !slower.is_empty() {
        bail!(
            "more instructions than recorded, by over {:.0} %:\n{}\n{}  help: if that is meant, record anew: cargo xtask bench --instructions --record",
            TOLERANCE * 100.0,
            slower.join("\n"),
            record.compiler_note(&found)
        );
    }
    Ok(())
}

/// Counts a frame of the model that flags name.
///
/// # Errors
/// When the model cannot be planned, compiled or counted.
pub fn one(args: &BenchArgs, from: &ModelArgs) -> Result<()> {
    let subject = Subject::make(args, from)?;
    let name = subject.target.name();
    let counter = COUNTERS.into_iter().find(|c| c.target == subject.target);
    let counter = counter.with_context(|| format!("{name} is not counted"))?;
    if let Some(why) = (counter.missing)() {
        bail!("{name} cannot be counted here: {why}");
    }
    let step = Step::begin(format!("Counting instructions, {name}"));
    let count = frame(counter.count, &|frames| {
        let mut words: Vec<OsString> = vec!["solo".into(), "--weights".into()];
        words.push(subject.built.weights.clone().into());
        words.extend(["--input-f32".into(), subject.frame().into()]);
        words.extend(["--threads", "1", "--repeat"].map(OsString::from));
        words.push(frames.to_string().into());
        Run {
            node: subject.built.node.clone(),
            args: words,
        }
    })?;
    step.done("");
    if args.json {
        outln!("{}", json!({ "target": name, "instructions": count }))?;
    } else {
        outln!("{count} instructions a frame on {name}")?;
    }
    Ok(())
}

/// Number of instructions of a frame; `run` returns the command line for a number of frames.
fn frame(count: fn(&Run) -> Result<u64>, run: &dyn Fn(u32) -> Run) -> Result<u64> {
    let [few, many] = FRAMES;
    let frames = count(&run(many))?.saturating_sub(count(&run(few))?);
    Ok(frames / u64::from(many - few))
}

/// Counts every case for a target.
fn count_all(target: Target, count: fn(&Run) -> Result<u64>) -> Result<Counts> {
    let bundle = Bundle::build(target)?;
    let step = Step::begin(format!("Counting instructions, {}", target.name()));
    let mut counts = Counts::new();
    for case in bundle.names() {
        step.note(case);
        let frame = frame(count, &|frames| bundle.run(case, frames))?;
        counts.insert(case.to_owned(), frame);
    }
    step.done(&format!("{} cases", counts.len()));
    Ok(counts)
}
