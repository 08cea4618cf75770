//! `cargo xtask demo`: runs the shipped detector on the shipped picture, for the first five minutes with Tessera.

use anyhow::Result;

use crate::{
    flags::{DemoArgs, Fork, ModelArgs, PlanArgs, RunArgs, ServiceArgs, SourceArgs},
    out::{out, outln},
    predicted::Comparison,
    run, summary, workspace,
};

/// Flags of the demo's plan: nine tiles through four convolutions and four pools. The flags leave nothing to
/// search, so that the committed crate of this plan changes only with the emitted code.
pub fn plan_args(edges: u16) -> PlanArgs {
    PlanArgs {
        grid: Some("3x3".into()),
        offload: Some(8),
        edges,
        workers: 1,
        team: 4,
        cameras: 1,
        ..PlanArgs::default()
    }
}

/// Runs the shipped detector on the shipped picture.
///
/// # Errors
/// When any step fails.
pub fn run(args: &DemoArgs) -> Result<()> {
    let folder = workspace::root().join("models").join("demo");
    outln!(
        "Tessera demo: a small detector trained by this project, on a gateway and {} edges.\n",
        args.edges
    )?;
    let run_args = RunArgs {
        model: ModelArgs {
            model: folder.join("demo.cfg"),
            weights: None,
            darknet: Fork::Alexey,
        },
        plan: plan_args(args.edges),
        names: Some(folder.join("demo.names")),
        sources: 1,
        from: SourceArgs::default(),
        image: vec![folder.join("demo.png")],
        input_f32: Vec::new(),
        thresh: 0.25,
        nms: 0.45,
        letterbox: false,
        ignore_orientation: false,
        threads: None,
        dump: None,
        service: ServiceArgs::default(),
        trace: None,
        coco: None,
        yolo: None,
        yolo_scores: false,
        json: None,
        stats: None,
        annotate: Some(args.annotate.clone()),
    };
    let result = run::execute(&run_args)?;
    out!("\n{}", summary::detections(&result.images))?;
    out!("\n{}", summary::cluster(&result.run))?;
    let compared = Comparison::of(&result.plan, &result.run)?;
    out!("\n{}", compared.render(&result.plan))?;
    run::all_written(&result.unwritten)?;
    outln!(
        "\nThe picture with its boxes: {}",
        workspace::show(&args.annotate)
    )?;
    outln!("Next: cargo xtask plan --model yolov2.cfg --grid 5x5   (README.md has the tour)")?;
    Ok(())
}
