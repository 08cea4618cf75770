//! Every family computes what the real Darknet computed.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use tessera_plan::plan::{Algorithm, Plan};
use tessera_planner::{
    kernel::{Family, Storage},
    model::Model,
    options::{PlanOptions, Target},
    wire::Wire,
};
use tessera_tests::{
    bundle::{self, Bundle, Entry},
    cuts, golden,
};

use crate::{WITHIN, folders::same};

/// Families, grids, and how weights are stored.
const PLANS: [(&str, Family, [usize; 2], Storage); 5] = [
    ("direct", Family::Direct, [1, 1], Storage::Trained),
    ("winograd2", Family::Winograd(2), [1, 1], Storage::Trained),
    ("winograd4", Family::Winograd(4), [1, 1], Storage::Trained),
    ("winograd6", Family::Winograd(6), [1, 1], Storage::Trained),
    (
        "winograd6-2x2-stored",
        Family::Winograd(6),
        [2, 2],
        Storage::Transformed,
    ),
];

/// Convolutions of a plan by the side of their Winograd tiles, 0 for direct ones.
fn counted(plan: &Plan) -> BTreeMap<usize, usize> {
    let chains = plan
        .target
        .values()
        .flat_map(|t| t.stages.iter().flatten().chain([&t.tail]));
    let kernels = chains.flat_map(|c| c.steps.iter().filter_map(|s| s.conv.as_ref()));
    let mut count = BTreeMap::new();
    for k in kernels {
        let side = match k.algorithm {
            Algorithm::Direct => 0,
            Algorithm::Winograd { m, .. } => m,
        };
        *count.entry(side).or_default() += 1;
    }
    count
}

/// The case by one program, with one thread and with three.
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
    same(dumps[0].path(), dumps[1].path()).context("one thread and three")
}

/// Every family on every golden case, on one target.
fn families(target: Target) -> Result<()> {
    let models: Vec<(&str, Model)> = golden::NETS
        .iter()
        .map(|n| Ok((*n, golden::case(n)?.model)))
        .collect::<Result<_>>()?;
    let name = |net: &str, plan: &str| format!("{}-{plan}", net.replace('.', "-"));
    let mut entries = Vec::new();
    for (net, model) in &models {
        for (plan, kernels, grid, weights) in PLANS {
            let options = PlanOptions {
                grids: vec![grid],
                cuts: vec![cuts::deepest(&model.graph)],
                kernels,
                weights,
                dump: true,
                wire: Wire::floats(),
                ..PlanOptions::default()
            };
            entries.push(Entry::new(name(net, plan), model, options));
        }
    }
    let bundle = bundle::build("families", target, &entries)?;
    let mut layers: BTreeMap<usize, usize> = BTreeMap::new();
    for (net, _) in &models {
        let case = golden::case(net)?;
        for (plan, ..) in PLANS {
            let program = name(net, plan);
            for (m, n) in counted(bundle.plan(&program)?) {
                *layers.entry(m).or_default() += n;
            }
            check(&bundle, &case, &program)
                .with_context(|| format!("{program} on {}", target.name()))?;
        }
    }
    for m in [0, 2, 4, 6] {
        let n = layers.get(&m).copied().unwrap_or(0);
        ensure!(
            n > models.len(),
            "{n} layers by F({m}) on {}",
            target.name()
        );
    }
    println!(
        "{}: convolutions by side of tiles {layers:?}",
        target.name()
    );
    Ok(())
}

on_every_processor!(families, golden);
