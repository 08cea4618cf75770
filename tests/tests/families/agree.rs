//! One network computed in several ways: the values agree.

use anyhow::{Context, Result, ensure};
use tessera_plan::plan::Chain;
use tessera_planner::{
    kernel::Family,
    model::Model,
    options::{PlanOptions, Rows, Target},
    wire::Wire,
};
use tessera_tests::{
    bundle::{self, Entry},
    compare,
};

use crate::{
    WITHIN,
    folders::{near, same},
};

/// A way to compute a network: its plan's name, how rows move, threads, and how often the plan does what is
/// compared.
pub type Way<'a> = (&'a str, &'a Model, Rows, usize, usize);

/// That networks computed in three ways, the first two by one plan, give equal values on `target`, by
/// direct kernels and, nearly, by Winograd's. `count` counts in the whole network's chain what is compared.
pub fn agree(
    bundle: &str,
    target: Target,
    ways: &[Way<'_>; 3],
    count: fn(&Chain) -> usize,
) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let input = dir.path().join("input.f32");
    let values = (0..ways[0].1.graph.input.len()).map(|i| ((i * 29) % 97) as f32 / 97.0);
    compare::write_f32(&input, &values.collect::<Vec<f32>>())?;
    let families = [
        ("direct", Family::Direct),
        ("winograd2", Family::Winograd(2)),
        ("winograd4", Family::Winograd(4)),
        ("winograd6", Family::Winograd(6)),
    ];
    let mut entries = Vec::new();
    for (family, kernels) in families {
        for (way, model, rows, ..) in &ways[1..] {
            let options = PlanOptions {
                offload: Some(0),
                kernels,
                rows: *rows,
                dump: true,
                wire: Wire::floats(),
                ..PlanOptions::default()
            };
            entries.push(Entry::new(format!("{family}-{way}"), model, options));
        }
    }
    let bundle = bundle::build(bundle, target, &entries)?;
    for (family, _) in families {
        let mut made = Vec::new();
        for (way, _, _, threads, wanted) in ways {
            let program = format!("{family}-{way}");
            let plan = bundle.plan(&program)?;
            let seen = count(&plan.target.values().next().context("a target")?.tail);
            ensure!(seen == *wanted, "{program}: {seen}, not {wanted}");
            let dump = tempfile::tempdir()?;
            bundle.node(&program)?.solo(
                std::slice::from_ref(&input),
                *threads,
                Some(dump.path()),
                WITHIN,
            )?;
            made.push(dump);
        }
        let what = || format!("{family} on {}", target.name());
        same(made[0].path(), made[1].path()).with_context(what)?;
        near(made[0].path(), made[2].path(), family == "direct").with_context(what)?;
    }
    Ok(())
}
