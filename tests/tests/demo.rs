//! The demo's network finds what it was trained to find, through the committed crate,
//! `generated/demo-3x3-x86-64-v3`, built as it lies there.

use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, ensure};
use tessera_plan::{graph::Darknet, plan::ElementType};
use tessera_planner::{kernel::Storage, options::PlanOptions, wire::Wire};
use tessera_tests::{
    bundle::{self, Entry},
    model,
    precision::{self, Sheets},
    rig::NodeBinary,
    shipped::{self, Detected, detect, evaluated, expected, folder},
};

/// The committed node; a portable one where the processor cannot run it.
fn node() -> Result<&'static NodeBinary> {
    static NODE: OnceLock<Result<NodeBinary, String>> = OnceLock::new();
    let node = NODE.get_or_init(|| shipped::node().map_err(|e| format!("{e:#}")));
    node.as_ref().map_err(|e| anyhow!("{e}"))
}

/// Nodes of other precisions than the committed one's, on the best target here: float32 throughout; weights in half
/// precision; one format for each of two stages.
fn node_with(name: &str) -> Result<NodeBinary> {
    let dir = folder();
    let (cfg, weights) = (dir.join("demo.cfg"), dir.join("demo.weights"));
    let model = model::load(&cfg, &weights, Darknet::Alexey)?;
    let halves = PlanOptions {
        grids: vec![[3, 3]],
        weights: Storage::Halves,
        wire: Wire::floats(),
        ..PlanOptions::default()
    };
    let floats = PlanOptions {
        grids: vec![[3, 3]],
        wire: Wire::floats(),
        ..PlanOptions::default()
    };
    let stages = PlanOptions {
        grids: vec![[2, 2], [3, 3]],
        cuts: vec![4, 8],
        ..PlanOptions::default()
    };
    let mixed = PlanOptions {
        wire: Wire {
            frames: Some(ElementType::U8),
            objects: vec![ElementType::F32, ElementType::F16],
        },
        ..stages.clone()
    };
    let entries = [
        Entry::new("floats", &model, floats),
        Entry::new("weights", &model, halves),
        Entry::new("stages", &model, stages),
        Entry::new("mixed", &model, mixed),
    ];
    bundle::build("demo-precisions", bundle::host_targets()[0], &entries)?.node(name)
}

/// The six things of the shipped picture, as the Python reference found them.
#[test]
fn the_shipped_picture() -> Result<()> {
    finds_six(&node_with("floats")?, 1e-3)
}

/// The same things from frames of bytes and objects in half precision, which are the default: scores and boxes
/// stay within 0.01 of the reference.
#[test]
fn the_shipped_picture_in_bytes_and_halves() -> Result<()> {
    finds_six(node()?, 0.01)?;
    finds_six(&node_with("stages")?, 0.01)?;
    finds_six(&node_with("mixed")?, 0.01)
}

/// That a node finds the six things, with scores and boxes off by less than `most`.
fn finds_six(node: &NodeBinary, most: f32) -> Result<()> {
    let mut found = detect(node, &[folder().join("demo.png")], "0.25")?.remove(0);
    let want = expected()?.detections;
    ensure!(want.len() == 6 && found.len() == 6, "{found:?}");
    for w in want {
        let near = |f: &Detected| {
            let close = |(a, b): (f32, f32)| (a - b).abs() < most;
            f.class == w.class
                && close((f.score, w.score))
                && f.bbox.into_iter().zip(w.bbox()).all(close)
        };
        let at = found.iter().position(near);
        found.remove(at.with_context(|| format!("class {} is missing: {found:?}", w.class))?);
    }
    Ok(())
}

/// Mean average precision on 200 pictures of another seed, as `models/demo/README.md` states it.
#[test]
fn average_precision() -> Result<()> {
    precise(&node_with("floats")?)
}

/// Weights of 11 bits change none of the stated figures.
#[test]
fn average_precision_of_halves() -> Result<()> {
    precise(&node_with("weights")?)
}

/// Nor do frames of bytes and objects of 11 bits.
#[test]
fn average_precision_of_bytes_and_halves_on_the_wire() -> Result<()> {
    precise(node()?)?;
    precise(&node_with("stages")?)
}

/// That a node reaches the stated average precision.
fn precise(node: &NodeBinary) -> Result<()> {
    let sheets = Sheets::read(&folder().join("eval.json"))?;
    let dir = tempfile::tempdir()?;
    let pictures = sheets.cut(&folder(), dir.path())?;
    ensure!(pictures.len() == 200, "{} pictures", pictures.len());
    let found = evaluated(node, &pictures)?;
    let things = sheets.things();
    let stated = expected()?.average_precision;
    let mut mean = 0.0;
    for (class, name) in sheets.names.iter().enumerate() {
        let ap = precision::average(&found, &things, class, 0.5)?;
        let want = stated
            .get(name)
            .with_context(|| format!("{name} is not stated"))?;
        ensure!((ap - want).abs() < 2e-3, "{name}: {ap:.4}, stated {want}");
        mean += ap / sheets.names.len() as f64;
    }
    println!("mean average precision {mean:.4}");
    ensure!(mean >= 0.85, "mean average precision {mean:.4}");
    Ok(())
}
