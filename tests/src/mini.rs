//! The project's own nets, `nets/*.cfg`, with random weights and the outputs of the reference interpreter.

use std::{ffi::OsString, fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tessera_plan::graph::Darknet;
use tessera_planner::{model::Model, weights};

use crate::{
    bundle, compare, model,
    random::{self, RandomSource},
    reference::{self, Fork, Layer},
    rig::NodeBinary,
};

/// Largest accepted distance `max|a - b| / (1e-6 + rms(b))` between float32 and double precision.
const TOLERANCE: f64 = 5e-5;
/// Largest accepted absolute difference of scores and boxes.
const CLOSE: f64 = 2e-4;
const THRESH: f64 = 0.2;
const WITHIN: Duration = Duration::from_secs(120);

/// A net with its expected outputs.
#[derive(Debug)]
pub struct Net {
    /// Stem of the cfg's file name, followed by `-pj` for the original fork.
    pub name: String,
    /// The network with its weights.
    pub model: Model,
    text: String,
    input: Vec<f32>,
    layers: Vec<Layer>,
}

/// All nets in the order of their names; some nets occur in both forks.
///
/// # Errors
/// When a net cannot be read or run.
pub fn all() -> Result<Vec<Net>> {
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
    let mut random = RandomSource::new(seed);
    let input: Vec<f32> = (0..graph.input.len())
        .map(|_| random::unit(&mut random))
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

impl Net {
    /// Runs `node` and compares every dumped layer and all boxes before suppression.
    ///
    /// # Errors
    /// When the node fails, or a layer or box differs too much.
    pub fn check(&self, node: &NodeBinary) -> Result<()> {
        let dir = tempfile::tempdir()?;
        let input = dir.path().join("input.f32");
        compare::write_f32(&input, &self.input)?;
        let mut flags: Vec<OsString> = vec!["--input-f32".into(), input.into()];
        flags.extend(["--dump".into(), dir.path().into()]);
        flags.extend(["--thresh", &THRESH.to_string(), "--nms", "1"].map(Into::into));
        flags.extend(["--threads", "2"].map(Into::into));
        let records = node.solo_with(&flags, WITHIN)?;
        let mut compared = 0;
        for (k, layer) in self.layers.iter().enumerate() {
            let file = dir.path().join(format!("layer_{k}.f32"));
            if file.exists() {
                let d = compare::distance(&compare::read_f32(&file)?, &layer.map.to_f32());
                ensure!(d <= TOLERANCE, "layer {k} [{}] is {d:.2e} away", layer.kind);
                compared += 1;
            }
        }
        ensure!(compared > 0, "nothing to compare");
        self.check_boxes(&records[0])
    }

    fn check_boxes(&self, record: &Value) -> Result<()> {
        let mut want = reference::boxes(&self.text, &self.layers, THRESH)?;
        let list = record["detections"].as_array().context("detections")?;
        ensure!(
            self.model.graph.heads.is_empty() || !want.is_empty(),
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
}
