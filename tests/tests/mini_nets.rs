//! Every layer type, option and activation that target networks use, through emitted, compiled code:
//! the nets of `nets/*.cfg` against the reference interpreter (which `reference.rs` checks against
//! Darknet).

use std::sync::OnceLock;

use anyhow::{Result, anyhow, ensure};
use tessera_planner::{
    options::{PlanOptions, Target},
    wire::Wire,
};
use tessera_tests::{
    bundle::{self, Bundle, Entry},
    cuts,
    mini::{self, Net},
};

fn nets() -> Result<&'static [Net]> {
    static NETS: OnceLock<Result<Vec<Net>, String>> = OnceLock::new();
    let nets = NETS.get_or_init(|| mini::all().map_err(|e| format!("{e:#}")));
    nets.as_deref().map_err(|e| anyhow!("{e}"))
}

/// Every net in one crate: as deep as it can be tiled, on the best target in one stage, on others in
/// two.
fn bundle(target: Target) -> Result<Bundle> {
    let best = bundle::host_targets()[0];
    let mut entries = Vec::new();
    for net in nets()? {
        let graph = &net.model.graph;
        let deep = cuts::deepest(graph);
        let half = deep / 2;
        let (grids, cuts) = if deep == 0 {
            (vec![], vec![])
        } else if target == best || !cuts::computes(graph, 0, half) {
            (vec![[2, 2]], vec![deep])
        } else {
            (vec![[1, 2], [2, 1]], vec![half, deep])
        };
        let options = PlanOptions {
            offload: (deep == 0).then_some(0),
            grids,
            cuts,
            dump: true,
            wire: Wire::floats(),
            ..PlanOptions::default()
        };
        entries.push(Entry::new(&net.name, &net.model, options));
    }
    bundle::build("mini", target, &entries)
}

fn check_all(target: Target) -> Result<()> {
    let bundle = bundle(target)?;
    let bad: Vec<String> = nets()?
        .iter()
        .filter_map(|net| {
            let e = bundle.node(&net.name).and_then(|n| net.check(&n)).err()?;
            Some(format!("{}: {e:#}", net.name))
        })
        .collect();
    ensure!(bad.is_empty(), "{} bad:\n{}", bad.len(), bad.join("\n"));
    Ok(())
}

#[test]
fn nets_agree_with_the_reference() -> Result<()> {
    check_all(bundle::host_targets()[0])
}

#[test]
fn nets_agree_with_the_reference_on_portable_kernels() -> Result<()> {
    check_all(Target::Portable)
}
