//! Emitted, compiled nodes compute what the real Darknet computed, however the network is cut.
//!
//! Cases come from `../shared/golden`; without that folder the tests are ignored.
//! `mini_nets.rs` has nets of the same kinds that the project made itself.

use std::{sync::OnceLock, time::Duration};

use anyhow::{Context, Result, anyhow, ensure};
use tessera_needs::needs;
use tessera_node::detect::ImageFrame;
use tessera_plan::{graph::Graph, plan::ElementType};
use tessera_planner::{
    model::Model,
    options::{PlanOptions, Target},
    wire::Wire,
};
use tessera_tests::{
    bundle::{self, Bundle, Entry},
    compare, cuts,
    golden::{self, Case},
    rig::{Cluster, Edge, Setup},
};

/// Longest run of a node.
const WITHIN: Duration = Duration::from_secs(120);

/// A plan of a case: a name, grids (one, or one a stage), stage ends.
type Cut = (&'static str, Vec<[usize; 2]>, Vec<usize>);

/// Every case on three grids and on stages with halos between them; one layer by layer.
fn plans(name: &str, graph: &Graph) -> Vec<Cut> {
    let deep = cuts::deepest(graph);
    // Where the 2x2 and the 3x3 grid end, and the stages.
    let (two, three, stages): (usize, usize, &[usize]) = match name {
        // The reorg is layer 27: inside a stage, in stages of its own, and behind the convolution that it reads.
        "yolov2-mini" => (deep, 12, &[4, 8, 12, 17, 27, 28, 31]),
        "yolov3-tiny-mini" => (deep, 8, &[4, 8, 12, deep]),
        "darknet53-mini" => (deep, 9, &[5, 9, 16]),
        "yolov4-tiny-mini" => (deep, 10, &[9, 17, deep]),
        "fastest-mini" => (deep, 17, &[9, 22, 38, deep]),
        "resnet-mini" => (deep, 10, &[6, 14, deep]),
        _ => (38, 9, &[9, 21]),
    };
    let mut list: Vec<Cut> = vec![
        ("1x1", vec![[1, 1]], vec![deep]),
        ("2x2", vec![[2, 2]], vec![two]),
        ("3x3", vec![[3, 3]], vec![three]),
        ("stages", vec![[2, 2]], stages.to_vec()),
        (HALVES, vec![[2, 2]], stages.to_vec()),
    ];
    if name == "yolo-fastest-1.1-dog" {
        list.push((BYTES, vec![[2, 2]], stages.to_vec()));
    }
    if name == "yolov3-tiny-mini" {
        list.push(("every", vec![[1, 1]], cuts::every(graph, deep)));
        list.push(("tail", vec![], vec![]));
    }
    if name == "yolov2-mini" {
        list.push(("late", vec![[3, 2]], vec![16, 25, 28, 30]));
    }
    list
}

/// The plan whose objects are in half precision. Frames are float32, as they are for raw tensors.
const HALVES: &str = "halves";
/// The plan whose frames are bytes too, as they are for pictures. All others are float32 throughout.
const BYTES: &str = "bytes";

/// Largest accepted distances from Darknet's of [`HALVES`] plans: of layers, and of scores and relative boxes.
const HALVES_TOLERANCES: [(&str, f64, f64); golden::NETS.len()] = [
    // Its boxes are up to five pictures wide: exponents stretch what rounding moved.
    ("yolov2-mini", 0.1, 0.08),
    ("yolov3-tiny-mini", 0.007, 0.005),
    ("darknet53-mini", 0.006, 0.005),
    ("yolov4-tiny-mini", 0.008, 0.01),
    ("fastest-mini", 0.06, 0.04),
    ("resnet-mini", 0.006, 0.005),
    ("yolo-fastest-1.1-dog", 0.006, 0.001),
];
/// The same of the [`BYTES`] plan. Most of the network's outputs are scores near 0, which makes distances of
/// layers large.
const BYTES_TOLERANCES: (f64, f64) = (0.8, 0.012);

/// The case of `name`, with the tolerances of one of its plans.
fn case(name: &str, program: &str) -> Result<Case> {
    let mut case = golden::case(name)?;
    if program == self::program(name, HALVES) {
        let mut all = HALVES_TOLERANCES.iter();
        let (_, layers, close) = all.find(|(n, ..)| *n == name).context("tolerances")?;
        (case.tolerance, case.close) = (*layers, *close);
    } else if program == self::program(name, BYTES) {
        (case.tolerance, case.close) = BYTES_TOLERANCES;
    }
    Ok(case)
}

fn options((name, grids, cuts): &Cut) -> PlanOptions {
    PlanOptions {
        grids: grids.clone(),
        offload: cuts.is_empty().then_some(0),
        cuts: cuts.clone(),
        dump: true,
        wire: match *name {
            BYTES => Wire::default(),
            HALVES => Wire {
                frames: Some(ElementType::F32),
                ..Wire::default()
            },
            _ => Wire::floats(),
        },
        ..PlanOptions::default()
    }
}

/// All cases and plans of a target in one crate.
fn bundle(target: Target) -> Result<&'static Bundle> {
    static BUNDLES: [OnceLock<Result<Bundle, String>>; Target::ALL.len()] =
        [const { OnceLock::new() }; Target::ALL.len()];
    let at = Target::ALL.iter().position(|t| *t == target);
    let cell = &BUNDLES[at.context("a target")?];
    let bundle = cell.get_or_init(|| make(target).map_err(|e| format!("{e:#}")));
    bundle.as_ref().map_err(|e| anyhow!("{e}"))
}

fn make(target: Target) -> Result<Bundle> {
    let models: Vec<(&str, Model)> = golden::NETS
        .iter()
        .map(|n| Ok((*n, golden::case(n)?.model)))
        .collect::<Result<_>>()?;
    let mut entries = Vec::new();
    for (name, model) in &models {
        for plan in plans(name, &model.graph) {
            if target != bundle::host_targets()[0] && !["1x1", "3x3", "tail"].contains(&plan.0) {
                continue;
            }
            entries.push(Entry::new(program(name, plan.0), model, options(&plan)));
        }
    }
    // The portable kernels as they are shipped; of the others, too many for that.
    let level = if target == Target::Portable { 3 } else { 1 };
    bundle::build_at(level, "golden", target, &entries)
}

fn program(case: &str, plan: &str) -> String {
    format!("{}-{plan}", case.replace('.', "-"))
}

fn run(case: &Case, bundle: &Bundle, program: &str) -> Result<()> {
    let dump = tempfile::tempdir()?;
    let node = bundle.node(program)?;
    let records = node.solo(&[case.input()], 2, Some(dump.path()), WITHIN)?;
    ensure!(records.len() == 1, "{} records", records.len());
    let (whole, sampled) = case.check_dump(dump.path())?;
    ensure!(whole > 0, "nothing to compare");
    let found = case.check_detections(&records[0])?;
    println!("{program}: {whole} layers, {sampled} by samples, {found} detections");
    Ok(())
}

fn check(name: &str) -> Result<()> {
    for target in bundle::host_targets() {
        let bundle = bundle(target)?;
        let prefix = program(name, "");
        let mut ran = 0;
        for program in bundle.names().filter(|n| n.starts_with(&prefix)) {
            run(&case(name, program)?, bundle, program)
                .with_context(|| format!("{program} on {}", target.name()))?;
            ran += 1;
        }
        ensure!(ran > 0, "no plans of {name}");
    }
    Ok(())
}

#[needs(golden)]
#[test]
fn yolov2_mini() -> Result<()> {
    check("yolov2-mini")
}

#[needs(golden)]
#[test]
fn yolov3_tiny_mini() -> Result<()> {
    check("yolov3-tiny-mini")
}

/// One layer a stage: every layer's map travels, and all of them are Darknet's.
#[needs(golden)]
#[test]
fn every_layer_of_yolov3_tiny_mini() -> Result<()> {
    let case = golden::case("yolov3-tiny-mini")?;
    let bundle = bundle(bundle::host_targets()[0])?;
    let dump = tempfile::tempdir()?;
    let node = bundle.node("yolov3-tiny-mini-every")?;
    node.solo(&[case.input()], 1, Some(dump.path()), WITHIN)?;
    let mut compared = 0;
    for (k, want) in case.all_layers()?.iter().enumerate() {
        let file = dump.path().join(format!("layer_{k}.f32"));
        if file.exists() {
            let d = compare::distance(&compare::read_f32(&file)?, want);
            ensure!(d <= case.tolerance, "layer {k} is {d:.2e} away");
            compared += 1;
        }
    }
    // A route to one layer is that layer under another name, and not dumped again.
    ensure!(compared == 23, "{compared} layers");
    Ok(())
}

#[needs(golden)]
#[test]
fn darknet53_mini() -> Result<()> {
    check("darknet53-mini")
}

#[needs(golden)]
#[test]
fn yolov4_tiny_mini() -> Result<()> {
    check("yolov4-tiny-mini")
}

#[needs(golden)]
#[test]
fn fastest_mini() -> Result<()> {
    check("fastest-mini")
}

#[needs(golden)]
#[test]
fn resnet_mini() -> Result<()> {
    check("resnet-mini")
}

#[needs(golden)]
#[test]
fn yolo_fastest_on_the_dog() -> Result<()> {
    check("yolo-fastest-1.1-dog")
}

/// The same labels at the same pixels as Darknet printed.
#[needs(golden)]
#[test]
fn yolo_fastest_prints_the_same_objects() -> Result<()> {
    let case = golden::case("yolo-fastest-1.1-dog")?;
    let bundle = bundle(bundle::host_targets()[0])?;
    let labels = std::fs::read_to_string(case.dir.join("coco.names"))?;
    let labels: Vec<&str> = labels.lines().collect();
    let [width, height] = case.image_size()?;
    let image = ImageFrame {
        width,
        height,
        letterbox: false,
    };
    let node = bundle.node(&program("yolo-fastest-1.1-dog", "stages"))?;
    let records = node.solo(&[case.input()], 1, None, WITHIN)?;
    let mut printed = case.printed()?;
    for found in records[0]["detections"].as_array().context("detections")? {
        let detection: Found = serde_json::from_value(found.clone())?;
        let [left, top, w, h] = image.pixels(detection.bbox).map(i64::from);
        let have = [(detection.score * 100.0).round() as i64, left, top, w, h];
        // Rounding to whole percents and pixels may fall on either side.
        let same = |(label, values): &(String, [i64; 5])| {
            label == labels[detection.class]
                && values.iter().zip(have).all(|(a, b)| (a - b).abs() <= 1)
        };
        let at = printed.iter().position(same);
        printed.remove(at.with_context(|| format!("not printed: {found}"))?);
    }
    ensure!(printed.is_empty(), "not found: {printed:?}");
    Ok(())
}

/// A gateway, the source, and an edge with two workers, as processes: what crosses between them is
/// what Darknet computed.
#[needs(golden)]
#[test]
fn through_clusters() -> Result<()> {
    let bundle = bundle(bundle::host_targets()[0])?;
    for (name, plan) in [
        ("yolov2-mini", "3x3"),
        ("yolov3-tiny-mini", "every"),
        ("yolov4-tiny-mini", "2x2"),
        ("fastest-mini", "stages"),
        ("resnet-mini", "stages"),
        ("yolo-fastest-1.1-dog", "stages"),
        ("yolo-fastest-1.1-dog", HALVES),
        ("yolo-fastest-1.1-dog", BYTES),
    ] {
        let program = program(name, plan);
        let case = case(name, &program)?;
        let setup = Setup {
            edges: vec![Edge::source(1, [case.input()]), Edge::thief(2)],
            threads: 2,
            ..Setup::default()
        };
        let cluster = Cluster::start(&bundle.node(&program)?, setup)?;
        let check = || -> Result<usize> {
            let records = cluster.wait_records(1, WITHIN)?;
            let (whole, _) = case.check_dump(&cluster.dump())?;
            ensure!(whole > 0, "nothing to compare");
            case.check_detections(&records[0])
        };
        let found = check().with_context(|| program.clone())?;
        println!("{program} through a cluster: {found} detections");
        cluster.stop()?;
    }
    Ok(())
}

/// What a record says of a detection.
#[derive(serde::Deserialize)]
struct Found {
    class: usize,
    score: f32,
    #[serde(rename = "box")]
    bbox: [f32; 4],
}
