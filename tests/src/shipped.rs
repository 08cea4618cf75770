//! The shipped demo network: what it was trained to find, and what a node finds.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Result, ensure};
use serde::Deserialize;
use tessera_plan::graph::Darknet;
use tessera_planner::options::{PlanOptions, Target};

use crate::{
    bundle::{self, Entry},
    model,
    precision::{Found, Thing},
    rig::NodeBinary,
};

const WITHIN: Duration = Duration::from_secs(120);

/// The folder of the network, its weights and its pictures.
pub fn folder() -> PathBuf {
    bundle::root().join("models/demo")
}

/// The committed node; a portable one where the processor cannot run it.
///
/// # Errors
/// When a node cannot be compiled.
pub fn node() -> Result<NodeBinary> {
    let dir = folder();
    let (cfg, weights) = (dir.join("demo.cfg"), dir.join("demo.weights"));
    let model = model::load(&cfg, &weights, Darknet::Alexey)?;
    if bundle::host_targets().contains(&Target::X86_64V3) {
        let committed = bundle::root().join("generated/demo-3x3-x86-64-v3");
        return bundle::committed(&committed, &model);
    }
    let options = PlanOptions {
        grids: vec![[3, 3]],
        ..PlanOptions::default()
    };
    let entry = Entry::new("demo", &model, options);
    bundle::build("demo", Target::Portable, &[entry])?.node("demo")
}

/// The network's input: height and width.
pub const SIZE: [usize; 2] = [160, 192];

/// The shipped picture as pixels of the network's size: rows of red, green and blue bytes.
///
/// # Errors
/// When the picture cannot be read.
pub fn pixels() -> Result<Vec<u8>> {
    let picture = tessera_picture::load(&folder().join("demo.png"))?;
    let [h, w] = SIZE;
    let mut rgb = vec![0; h * w * 3];
    tessera_picture::to_input(&picture, [h, w, 3], false, |at, row| {
        for (byte, value) in rgb[at..].iter_mut().zip(row) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "values are 0..1"
            )]
            let rounded = (value * 255.0).round() as u8;
            *byte = rounded;
        }
    });
    Ok(rgb)
}

/// What a record says of a detection.
#[derive(Debug, Deserialize)]
pub struct Detected {
    /// Number of the class.
    pub class: usize,
    /// Score, from 0 to 1.
    pub score: f32,
    /// Centre, width and height, as parts of the picture's sides.
    #[serde(rename = "box")]
    pub bbox: [f32; 4],
}

/// What the Python reference found, in float32: `expected.json`.
#[derive(Debug, Deserialize)]
pub struct Expected {
    /// Average precision on the evaluation's pictures, by class name.
    pub average_precision: BTreeMap<String, f64>,
    /// The things of the shipped picture.
    pub detections: Vec<Want>,
}

/// A thing of the shipped picture.
#[derive(Debug, Deserialize)]
pub struct Want {
    /// Number of the class.
    pub class: usize,
    /// Score, from 0 to 1.
    pub score: f32,
    cx: f32,
    cy: f32,
    w: f32,
    h: f32,
}

impl Want {
    /// Centre, width and height, as [`Detected::bbox`] has them.
    pub const fn bbox(&self) -> [f32; 4] {
        [self.cx, self.cy, self.w, self.h]
    }
}

/// Reads what is expected.
///
/// # Errors
/// When the file cannot be read.
pub fn expected() -> Result<Expected> {
    let file = fs::read(folder().join("expected.json"))?;
    Ok(serde_json::from_slice(&file)?)
}

/// A node's detections on every picture, in order.
///
/// # Errors
/// When the node fails, or a picture has no record.
pub fn detect(
    node: &NodeBinary,
    pictures: &[impl AsRef<Path>],
    thresh: &str,
) -> Result<Vec<Vec<Detected>>> {
    let mut flags: Vec<OsString> = ["--thresh", thresh, "--nms", "0.45", "--threads", "2"]
        .map(OsString::from)
        .to_vec();
    flags.push("--image".into());
    flags.extend(pictures.iter().map(|p| p.as_ref().into()));
    let records = node.solo_with(&flags, WITHIN)?;
    ensure!(records.len() == pictures.len(), "{} records", records.len());
    records
        .iter()
        .map(|r| Ok(serde_json::from_value(r["detections"].clone())?))
        .collect()
}

/// A node's detections on the evaluation's pictures, as average precision takes them.
///
/// # Errors
/// As [`detect`].
pub fn evaluated(node: &NodeBinary, pictures: &[PathBuf]) -> Result<Vec<Found>> {
    let found = detect(node, pictures, "0.005")?;
    let each = found.into_iter().enumerate();
    let each = each.flat_map(|(picture, boxes)| {
        boxes.into_iter().map(move |b| Found {
            picture,
            score: b.score,
            thing: Thing {
                class: b.class,
                bbox: b.bbox,
            },
        })
    });
    Ok(each.collect())
}
