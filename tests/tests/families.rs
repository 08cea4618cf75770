//! Every family of kernels, forced on wherever it is possible, computes what the real Darknet
//! computed; and the same bits whatever number of threads share a layer.
//!
//! Cases come from `../shared/golden`; without that folder the tests say so and pass.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use tessera_planner::{
    kernel::Family,
    model::Model,
    options::PlanOptions,
    plan::{Algorithm, Plan},
};
use tessera_tests::{
    bundle::{self, Bundle, Entry},
    cuts, golden,
};

/// Longest run of a node.
const WITHIN: Duration = Duration::from_secs(120);

/// Output pixels of a tile's side.
const TILES: [usize; 3] = [2, 4, 6];

/// Convolutions that a plan computes by F(m x m, 3 x 3).
fn counted(plan: &Plan, m: usize) -> usize {
    let chains = plan
        .target
        .values()
        .flat_map(|t| t.stages.iter().flatten().chain([&t.tail]));
    let kernels = chains.flat_map(|c| c.steps.iter().filter_map(|s| s.conv.as_ref()));
    kernels
        .filter(|k| matches!(k.algorithm, Algorithm::Winograd { m: found, .. } if found == m))
        .count()
}

fn check(bundle: &Bundle, case: &golden::Case, program: &str) -> Result<()> {
    let node = bundle.node(program)?;
    let dumps = [tempfile::tempdir()?, tempfile::tempdir()?];
    for (dump, threads) in dumps.iter().zip([1, 3]) {
        let records = node.solo(&[case.input()], threads, Some(dump.path()), WITHIN)?;
        ensure!(records.len() == 1, "{} records", records.len());
        let (whole, _) = case.check_dump(dump.path())?;
        ensure!(whole > 0, "nothing to compare");
        case.check_detections(&records[0])?;
    }
    for entry in fs::read_dir(dumps[0].path())? {
        let path = entry?.path();
        let other = dumps[1].path().join(path.file_name().context("a name")?);
        let same = fs::read(&path)? == fs::read(&other)?;
        ensure!(same, "{} depends on threads", path.display());
    }
    Ok(())
}

#[test]
fn winograd_stays_within_golden_tolerances() -> Result<()> {
    let target = bundle::host_targets()[0];
    let models: Vec<(&str, Model)> = golden::NETS
        .iter()
        .filter_map(|n| Some(golden::case(n).transpose()?.map(|c| (*n, c.model))))
        .collect::<Result<_>>()?;
    let name = |net: &str, m: usize| format!("{}-winograd{m}", net.replace('.', "-"));
    let mut entries = Vec::new();
    for (net, model) in &models {
        for m in TILES {
            let options = PlanOptions {
                grids: vec![[1, 1]],
                cuts: vec![cuts::deepest(&model.graph)],
                kernels: Family::Winograd(m),
                dump: true,
                ..PlanOptions::default()
            };
            entries.push(Entry::new(name(net, m), model, options));
        }
    }
    if entries.is_empty() {
        return Ok(());
    }
    let bundle = bundle::build("families", target, &entries)?;
    let mut layers = 0;
    for (net, _) in &models {
        let case = golden::case(net)?.context("the case was there before")?;
        for m in TILES {
            let program = name(net, m);
            layers += counted(bundle.plan(&program)?, m);
            check(&bundle, &case, &program).with_context(|| program.clone())?;
        }
    }
    ensure!(layers > 30, "{layers} layers by Winograd");
    Ok(())
}
