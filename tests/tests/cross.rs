//! Nodes emitted for 32- and 64-bit ARM, cross-built and run under qemu, give the golden results.
//!
//! Without cross compilers, emulators or golden cases, the tests that need them are ignored.

use std::{ffi::OsString, time::Duration};

use anyhow::{Context, Result, ensure};
use tessera_needs::needs;
use tessera_planner::{
    model::Model,
    options::{PlanOptions, Target},
    wire::Wire,
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

fn entry<'m>(name: &str, model: &'m Model) -> Entry<'m> {
    let options = PlanOptions {
        grids: vec![[2, 2]],
        cuts: vec![cuts::deepest(&model.graph)],
        dump: true,
        wire: Wire::floats(),
        ..PlanOptions::default()
    };
    Entry::new(name, model, options)
}

/// The project's own nets: every dumped layer and all boxes are the reference interpreter's.
fn own_nets(target: Target) -> Result<()> {
    let mut nets = mini::all()?;
    nets.retain(|n| NETS.contains(&n.name.as_str()));
    ensure!(nets.len() == NETS.len(), "{} nets", nets.len());
    let entries: Vec<Entry<'_>> = nets.iter().map(|n| entry(&n.name, &n.model)).collect();
    let bundle = bundle::build("cross", target, &entries)?;
    for net in &nets {
        net.check(&bundle.node(&net.name)?)
            .with_context(|| net.name.clone())?;
    }
    Ok(())
}

/// Darknet's nets: every dumped layer and all detections are Darknet's.
fn golden_nets(target: Target) -> Result<()> {
    let cases: Vec<golden::Case> = ["fastest-mini", "yolov2-mini"]
        .iter()
        .map(|n| golden::case(n))
        .collect::<Result<_>>()?;
    let entries: Vec<Entry<'_>> = cases
        .iter()
        .map(|c| entry(&c.model.graph.name, &c.model))
        .collect();
    let bundle = bundle::build("cross-golden", target, &entries)?;
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

#[needs(armv7)]
#[test]
fn armv7() -> Result<()> {
    own_nets(Target::Armv7)
}

#[needs(aarch64)]
#[test]
fn aarch64() -> Result<()> {
    own_nets(Target::Aarch64)
}

#[needs(armv7, golden)]
#[test]
fn armv7_golden() -> Result<()> {
    golden_nets(Target::Armv7)
}

#[needs(aarch64, golden)]
#[test]
fn aarch64_golden() -> Result<()> {
    golden_nets(Target::Aarch64)
}
