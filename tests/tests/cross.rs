//! Nodes emitted for 32- and 64-bit ARM, cross-built and run under qemu, give the golden results.
//!
//! What is missing for that is named, and the tests pass; with `TESSERA_CROSS=1` they fail.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use tessera_planner::{
    model::Model,
    options::{PlanOptions, Target},
};
use tessera_tests::{
    bundle::{self, Entry},
    cuts, golden, mini,
};

const WITHIN: Duration = Duration::from_secs(300);
/// Nets of the project's own that go along: heads, pools, flat layers, several activations.
const NETS: [&str; 5] = [
    "activations-conv",
    "conv-groups",
    "dense",
    "pools-stride-1",
    "yolo",
];

fn in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

fn sysroot() -> Result<PathBuf> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let out = Command::new(rustc).args(["--print", "sysroot"]).output()?;
    ensure!(out.status.success(), "rustc --print sysroot fails");
    Ok(Path::new(String::from_utf8(out.stdout)?.trim()).to_path_buf())
}

/// What this machine lacks, with how to get it.
fn missing(target: Target) -> Result<Vec<String>> {
    let triple = target.triple();
    let mut list = Vec::new();
    if !sysroot()?
        .join("lib/rustlib")
        .join(triple)
        .join("lib")
        .is_dir()
    {
        list.push(format!("the standard library (rustup target add {triple})"));
    }
    for tool in [bundle::linker(target)?, bundle::runner(target)?[0].clone()] {
        if !in_path(&tool.to_string_lossy()) {
            list.push(format!("{}", tool.display()));
        }
    }
    Ok(list)
}

fn entry<'m>(name: &str, model: &'m Model) -> Entry<'m> {
    let options = PlanOptions {
        grids: vec![[2, 2]],
        cuts: vec![cuts::deepest(&model.graph)],
        dump: true,
        ..PlanOptions::default()
    };
    Entry::new(name, model, options)
}

fn check(target: Target) -> Result<()> {
    let missing = missing(target)?;
    if !missing.is_empty() {
        let said = format!("{}: no {}", target.name(), missing.join(", no "));
        if std::env::var_os("TESSERA_CROSS").is_some_and(|v| v == *"1") {
            bail!("{said}");
        }
        println!("note: {said}; nothing compared");
        return Ok(());
    }
    let mut nets = mini::all()?;
    nets.retain(|n| NETS.contains(&n.name.as_str()));
    ensure!(nets.len() == NETS.len(), "{} nets", nets.len());
    let cases: Vec<golden::Case> = ["fastest-mini", "yolov2-mini"]
        .iter()
        .filter_map(|n| golden::case(n).transpose())
        .collect::<Result<_>>()?;
    let mut entries: Vec<Entry<'_>> = nets.iter().map(|n| entry(&n.name, &n.model)).collect();
    entries.extend(cases.iter().map(|c| entry(&c.model.graph.name, &c.model)));
    let bundle = bundle::build("cross", target, &entries)?;
    for net in &nets {
        net.check(&bundle.node(&net.name)?)
            .with_context(|| net.name.clone())?;
    }
    for case in &cases {
        let name = &case.model.graph.name;
        let dump = tempfile::tempdir()?;
        let flags: Vec<OsString> = vec![
            "--dump".into(),
            dump.path().into(),
            "--threads".into(),
            "2".into(),
            "--input-f32".into(),
            case.input().into(),
        ];
        let records = bundle.node(name)?.solo_with(&flags, WITHIN)?;
        let (layers, _) = case.check_dump(dump.path()).with_context(|| name.clone())?;
        let found = case
            .check_detections(&records[0])
            .with_context(|| name.clone())?;
        println!(
            "{name} on {}: {layers} layers, {found} detections",
            target.name()
        );
    }
    Ok(())
}

#[test]
fn armv7() -> Result<()> {
    check(Target::Armv7)
}

#[test]
fn aarch64() -> Result<()> {
    check(Target::Aarch64)
}
