//! Nodes emitted for 32- and 64-bit ARM, cross-built and run under qemu, give the golden results.
//!
//! What is missing for that is named, and the tests pass; with `TESSERA_CROSS=1` they fail.

use std::{ffi::OsString, time::Duration};

use anyhow::{Context, Result, ensure};
use tessera_planner::{
    model::Model,
    options::{PlanOptions, Target},
};
use tessera_tests::{
    bundle::{self, Entry},
    cross, cuts, golden, mini,
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
    if !cross::is_able(target)? {
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
