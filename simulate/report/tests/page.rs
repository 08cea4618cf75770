//! Pages of plans.
#![forbid(unsafe_code)]

use std::{error::Error, path::Path};

use tessera_plan::{graph::Darknet, plan::Plan};
use tessera_planner::{
    boards::Board,
    cfg, make,
    options::{PlanOptions, Target},
    weights,
};
use tessera_simulate::{Settings, SimulatedCluster};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A plan of the demo for three boards, and its page.
fn demo(change: impl Fn(&mut PlanOptions)) -> Result<(Plan, String)> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/demo/demo.cfg");
    let graph = cfg::read(&std::fs::read(file)?, "demo", Darknet::Alexey).0;
    let model = weights::without(graph.ok_or("the demo's cfg")?);
    let mut options = PlanOptions {
        grids: vec![[3, 3]],
        offload: Some(8),
        ..PlanOptions::of(3, &Board::new(Target::Aarch64))
    };
    change(&mut options);
    let plan = make::plan(&model, &options)?;
    let cluster = SimulatedCluster::new(&plan.network, &plan, &options)?;
    let settings = Settings::one_frame();
    let outcome = cluster.run(&settings)?;
    let page = tessera_report::render(&plan, &cluster, &settings, &outcome);
    Ok((plan, page))
}

#[test]
fn a_page_shows_every_stage_layer_and_reason() -> Result<()> {
    let (plan, page) = demo(|_| {})?;
    assert_eq!(page.matches("<figure>").count(), plan.dataflow.stages.len());
    for (k, layer) in plan.network.layers.iter().enumerate() {
        assert!(page.contains(&format!("layer {k}: {}", layer.kind)), "{k}");
    }
    let tiles = plan
        .dataflow
        .stages
        .iter()
        .map(|s| s.tiles.len())
        .sum::<usize>();
    // A tile is a coloured box and an outline, both with its numbers.
    assert_eq!(
        page.matches("<title>tile (").count(),
        2 * tiles + plan.dataflow.stages.len()
    );
    let reasons = plan.estimates.why.iter().filter(|w| !w.contains(" binds"));
    assert_eq!(page.matches("<li>").count(), reasons.count());
    assert_eq!(demo(|_| {})?.1, page, "the same plan has the same page");
    Ok(())
}

#[test]
fn a_page_loads_nothing_and_runs_nothing() -> Result<()> {
    let (_, page) = demo(|_| {})?;
    let named = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    for sign in [
        "http:", "https:", "//", "<script", "@import", "url(", " src=", " href=",
    ] {
        assert!(!named.contains(sign), "{sign}");
    }
    Ok(())
}

#[test]
fn a_plan_without_stages_has_a_page() -> Result<()> {
    let (plan, page) = demo(|o| (o.offload, o.grids) = (Some(0), Vec::new()))?;
    assert!(plan.dataflow.stages.is_empty());
    assert_eq!(page.matches("<figure>").count(), 0);
    assert!(page.contains("A frame's course"), "{}", page.len());
    Ok(())
}
