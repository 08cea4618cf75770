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
use tessera_report::{Bench, Beside, Drawing};
use tessera_simulate::{Settings, SimulatedCluster};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A plan of the demo for three boards, and its page.
fn demo(change: impl Fn(&mut PlanOptions)) -> Result<(Plan, String)> {
    demo_beside(change, &Beside::default())
}

/// The same with what other commands made.
fn demo_beside(change: impl Fn(&mut PlanOptions), beside: &Beside) -> Result<(Plan, String)> {
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
    let page = tessera_report::render(&plan, &cluster, &settings, &outcome, beside);
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

/// What a page says of a file from somewhere is text and pictures, whatever the file says.
#[test]
fn drawings_and_measurements_of_other_commands_are_on_the_page() -> Result<()> {
    let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\"><title>A &amp; &lt;B></title><script>alert(1)</script></svg>";
    let drawing = |name| Drawing::new(name, svg).ok_or("a drawing");
    let layer = r#"{"layer": "l02 conv", "kernel": "direct <b>", "min_s": 0.001, "median_s": 0.0015, "spread": 0.1, "gflops": 12.34}"#;
    let bench = format!(
        r#"[{{"plan": "another", "threads": 2, "frames": 10, "layers": [{layer}], "peak_bytes": 3,
        "parts": [{{"part": "frame", "min_s": 0.002, "median_s": 0.0025, "gflops": 1.0, "macs": 5}}]}}]"#
    );
    let benches: Vec<Bench> = serde_json::from_str(&bench)?;
    let beside = Beside {
        runs: vec![drawing("run")?],
        benches,
        figures: vec![drawing("one")?, drawing("two")?],
    };
    let (_, page) = demo_beside(|_| {}, &beside)?;
    assert_eq!(
        page.matches("src=\"data:image/svg+xml,%3Csvg%20").count(),
        3
    );
    assert_eq!(page.matches(" src=").count(), 3);
    assert!(!page.contains("<script") && !page.contains("alert(1)"));
    for text in [
        "Runs in virtual time",
        "Figures of the evaluation",
        "<figcaption>A &amp; &lt;B&gt;</figcaption>",
        "10 frames on 2 threads, of another plan, <code>another</code>",
        "<td>l02 conv</td><td><code>direct &lt;b&gt;</code></td><td class=\"n\">1.50 ms</td><td class=\"n\">1.00 ms</td><td class=\"n\">12.3</td>",
        "2.50 ms",
    ] {
        assert!(page.contains(text), "{text}");
    }
    assert!(Drawing::new("notes", "<html><svg></svg>").is_none());
    Ok(())
}
