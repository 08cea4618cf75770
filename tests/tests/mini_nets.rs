//! Nets of the project's own, `nets/*.cfg`, with random weights: every layer type, option and
//! activation that target networks use, through emitted, compiled code, against the reference
//! interpreter (which `reference.rs` checks against Darknet).

use std::{fs, path::PathBuf, sync::OnceLock, time::Duration};

use anyhow::{Context, Result, anyhow, ensure};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};
use serde_json::Value;
use tessera_planner::{
    graph::Darknet,
    model::Model,
    options::{PlanOptions, Target},
    weights,
};
use tessera_tests::{
    bundle::{self, Bundle, Entry},
    compare, cuts, model,
    reference::{self, Fork, Layer},
};

/// `max|a - b| / (1e-6 + rms(b))` of float32 against double precision.
const TOLERANCE: f64 = 5e-5;
/// The same for scores and boxes, absolute.
const CLOSE: f64 = 2e-4;
const THRESH: f64 = 0.2;
const WITHIN: Duration = Duration::from_secs(60);

/// A net with what it should compute.
struct Net {
    name: String,
    text: String,
    model: Model,
    input: Vec<f32>,
    layers: Vec<Layer>,
}

fn nets() -> Result<&'static [Net]> {
    static NETS: OnceLock<Result<Vec<Net>, String>> = OnceLock::new();
    let nets = NETS.get_or_init(|| load().map_err(|e| format!("{e:#}")));
    nets.as_deref().map_err(|e| anyhow!("{e}"))
}

fn load() -> Result<Vec<Net>> {
    let folder = bundle::root().join("tests/nets");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)?
        .map(|e| Ok(e?.path()))
        .collect::<Result<_>>()?;
    files.sort();
    let mut nets = Vec::new();
    for (seed, file) in (1..).zip(files) {
        let name = file.file_stem().context("a name")?.to_string_lossy();
        let text = fs::read_to_string(&file)?;
        let forks: &[Darknet] = match &*name {
            "shortcuts-resized" => &[Darknet::Pjreddie],
            "region-logistic" => &[Darknet::Alexey, Darknet::Pjreddie],
            _ => &[Darknet::Alexey],
        };
        for fork in forks {
            let name = match fork {
                Darknet::Alexey => name.to_string(),
                Darknet::Pjreddie => format!("{name}-pj"),
            };
            nets.push(net(&name, &text, *fork, seed).context(name)?);
        }
    }
    Ok(nets)
}

fn net(name: &str, text: &str, darknet: Darknet, seed: u64) -> Result<Net> {
    let graph = model::graph(name, text, darknet)?;
    let bytes = weights::random_file(&graph, seed);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let input: Vec<f32> = (0..graph.input.len())
        .map(|_| (random.next_u32() >> 8) as f32 / (1 << 24) as f32)
        .collect();
    let fork = match darknet {
        Darknet::Alexey => Fork::Alexey,
        Darknet::Pjreddie => Fork::Original,
    };
    Ok(Net {
        name: name.to_owned(),
        text: text.to_owned(),
        layers: reference::run(text, &bytes, &input, fork)?,
        model: weights::from_bytes(name, &bytes, graph)?.0,
        input,
    })
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
            ..PlanOptions::default()
        };
        entries.push(Entry::new(&net.name, &net.model, options));
    }
    bundle::build("mini", target, &entries)
}

fn check(bundle: &Bundle, net: &Net) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let input = dir.path().join("input.f32");
    compare::write_f32(&input, &net.input)?;
    let mut flags: Vec<std::ffi::OsString> = vec!["--input-f32".into(), input.into()];
    flags.extend(["--dump".into(), dir.path().into()]);
    flags.extend(["--thresh", &THRESH.to_string(), "--nms", "1"].map(Into::into));
    flags.extend(["--threads", "2"].map(Into::into));
    let records = bundle.node(&net.name)?.solo_with(&flags, WITHIN)?;
    let mut compared = 0;
    for (k, layer) in net.layers.iter().enumerate() {
        let file = dir.path().join(format!("layer_{k}.f32"));
        if file.exists() {
            let d = compare::distance(&compare::read_f32(&file)?, &layer.map.to_f32());
            ensure!(d <= TOLERANCE, "layer {k} [{}] is {d:.2e} away", layer.kind);
            compared += 1;
        }
    }
    ensure!(compared > 0, "nothing to compare");
    check_boxes(net, &records[0])
}

fn check_boxes(net: &Net, record: &Value) -> Result<()> {
    let mut want = reference::boxes(&net.text, &net.layers, THRESH)?;
    let list = record["detections"].as_array().context("detections")?;
    ensure!(
        net.model.graph.heads.is_empty() || !want.is_empty(),
        "the reference finds nothing"
    );
    for found in list {
        let score = found["score"].as_f64().context("a score")?;
        let class = found["class"].as_u64().context("a class")?;
        let sides = found["box"].as_array().context("a box")?;
        let bbox: Vec<f64> = sides.iter().filter_map(Value::as_f64).collect();
        let near = |f: &reference::Found| {
            f.class as u64 == class
                && (f.score - score).abs() <= CLOSE
                && bbox.len() == 4
                && (f.bbox.iter().zip(&bbox)).all(|(a, b)| (a - b).abs() <= CLOSE * b.max(1.0))
        };
        match want.iter().position(near) {
            Some(at) => {
                want.swap_remove(at);
            }
            None => ensure!((score - THRESH).abs() <= CLOSE, "{found} is not expected"),
        }
    }
    want.retain(|f| (f.score - THRESH).abs() > CLOSE);
    ensure!(
        want.is_empty(),
        "{} boxes missing: {:?}",
        want.len(),
        want[0]
    );
    Ok(())
}

fn check_all(target: Target) -> Result<()> {
    let bundle = bundle(target)?;
    let bad: Vec<String> = nets()?
        .iter()
        .filter_map(|net| {
            let e = check(&bundle, net).err()?;
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
