//! Outputs of the real Darknet, in `../shared/golden` beside the workspace, outside of the repository.
//! Tests that read these outputs say `#[needs(golden)]`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tessera_plan::graph::Darknet;
use tessera_planner::model::Model;

use crate::{bundle, compare, model};

/// Names of the networks with outputs of Darknet.
pub const NETS: [&str; 7] = [
    "yolov2-mini",
    "yolov3-tiny-mini",
    "darknet53-mini",
    "yolov4-tiny-mini",
    "fastest-mini",
    "resnet-mini",
    "yolo-fastest-1.1-dog",
];

/// [`Case::close`] of float32 throughout.
const CLOSE: f64 = 1e-3;

/// A network, its input, and Darknet's outputs.
#[derive(Debug)]
pub struct Case {
    /// Folder of the case's files.
    pub dir: PathBuf,
    /// The network with its weights.
    pub model: Model,
    /// Largest accepted distance of a layer's output from Darknet's.
    pub tolerance: f64,
    /// Largest accepted distance of scores and relative boxes from Darknet's. A score this close to the threshold
    /// may fall on either side.
    pub close: f64,
    expected: Value,
}

/// Loads the case of `name`.
///
/// # Errors
/// When `../shared/golden` is missing or the case cannot be used.
pub fn case(name: &str) -> Result<Case> {
    let dir = bundle::root().join("../shared/golden").join(name);
    let expected = dir.join("expected.json");
    let expected =
        fs::read(&expected).with_context(|| format!("{} is missing", expected.display()))?;
    let expected: Value = serde_json::from_slice(&expected)?;
    let darknet = match expected["fork"].as_str() {
        Some("pj") => Darknet::Pjreddie,
        _ => Darknet::Alexey,
    };
    let model = model::load(&dir.join("model.cfg"), &dir.join("model.weights"), darknet)
        .with_context(|| name.to_owned())?;
    Ok(Case {
        tolerance: expected["tolerance"].as_f64().context("a tolerance")?,
        close: CLOSE,
        dir,
        model,
        expected,
    })
}

impl Case {
    /// Path of the input tensor's file.
    pub fn input(&self) -> PathBuf {
        self.dir.join("input.f32")
    }

    /// Shape of layer `k` as Darknet reports it: C, H, W.
    pub fn shape(&self, k: usize) -> Vec<usize> {
        let sides = self.expected["layers"][k]["shape"].as_array();
        sides.map_or_else(Vec::new, |s| {
            s.iter()
                .filter_map(|v| usize::try_from(v.as_u64()?).ok())
                .collect()
        })
    }

    /// Darknet's output of every layer, in C, H, W order; only one case has this file.
    ///
    /// # Errors
    /// When the file is missing or has another length.
    pub fn all_layers(&self) -> Result<Vec<Vec<f32>>> {
        let all = compare::read_f32(&self.dir.join("all_layers.f32"))?;
        let mut rest = all.as_slice();
        let layers = self.expected["layers"].as_array().context("layers")?;
        let mut list = Vec::new();
        for k in 0..layers.len() {
            let len = self.shape(k).iter().product();
            let (layer, behind) = rest.split_at_checked(len).context("a short file")?;
            list.push(layer.to_vec());
            rest = behind;
        }
        ensure!(rest.is_empty(), "a long file");
        Ok(list)
    }

    /// Detections that Darknet printed: label, then percent, left, top, width and height, the last four in pixels
    /// of the picture. Only one case has this file.
    ///
    /// # Errors
    /// When the file is missing or has another form.
    pub fn printed(&self) -> Result<Vec<(String, [i64; 5])>> {
        let text = fs::read_to_string(self.dir.join("dets.printed.txt"))?;
        let number = |word: &str| -> Result<i64> { Ok(word.trim_end_matches(['%', ')']).parse()?) };
        text.lines()
            .map(|line| {
                let (label, rest) = line.split_once(':').context("a label")?;
                let words: Vec<&str> = rest.split_whitespace().collect();
                let [percent, _, left, _, top, _, width, _, height] = words[..] else {
                    anyhow::bail!("{line:?} is no detection");
                };
                let mut values = [0; 5];
                for (v, word) in values.iter_mut().zip([percent, left, top, width, height]) {
                    *v = number(word)?;
                }
                Ok((label.to_owned(), values))
            })
            .collect()
    }

    /// Width and height, in pixels, of the picture that became the input.
    ///
    /// # Errors
    /// When the case does not give the picture's size.
    pub fn image_size(&self) -> Result<[u32; 2]> {
        let side = |i: usize| -> Result<u32> {
            let v = self.expected["input"]["image_size"][i].as_u64();
            Ok(u32::try_from(v.context("a size")?)?)
        };
        Ok([side(0)?, side(1)?])
    }

    /// Compares all tensors in the folder `dump` with Darknet's: whole tensors where the case holds whole tensors,
    /// 16 values where the case holds only these. Returns the numbers of both kinds of comparison.
    ///
    /// # Errors
    /// When a tensor differs too much, or an output is missing in `dump`.
    pub fn check_dump(&self, dump: &Path) -> Result<(usize, usize)> {
        let (mut whole, mut sampled) = (0, 0);
        let layers = self.expected["layers"].as_array().context("layers")?;
        for (k, layer) in layers.iter().enumerate() {
            let file = format!("layer_{k}.f32");
            let (want, have) = (self.dir.join(&file), dump.join(&file));
            if want.exists() {
                let d = compare::distance(&compare::read_f32(&have)?, &compare::read_f32(&want)?);
                ensure!(
                    d <= self.tolerance,
                    "layer {k} is {d:.2e} away from Darknet's"
                );
                whole += 1;
            } else if have.exists() {
                self.check_samples(k, layer, &compare::read_f32(&have)?)?;
                sampled += 1;
            }
        }
        Ok((whole, sampled))
    }

    fn check_samples(&self, k: usize, layer: &Value, have: &[f32]) -> Result<()> {
        let number = |key: &str| layer[key].as_f64().context("a number");
        let rms = number("mean")?.hypot(number("std")?);
        let samples = layer["samples"].as_array().context("samples")?;
        ensure!(!samples.is_empty(), "no samples of layer {k}");
        for sample in samples {
            let at = usize::try_from(sample[0].as_u64().context("an index")?)?;
            let want = sample[1].as_f64().context("a value")?;
            let have = *have
                .get(at)
                .with_context(|| format!("layer {k} is short"))?;
            let d = (f64::from(have) - want).abs() / (1e-6 + rms);
            ensure!(
                d <= self.tolerance,
                "layer {k} at {at}: {have}, not {want}: {d:.2e}"
            );
        }
        Ok(())
    }

    /// Compares the scores and boxes of a record's detections with Darknet's, class by class. Returns the number
    /// of detections, 0 for a network without heads.
    ///
    /// # Errors
    /// When a detection is missing, superfluous, or differs too much.
    pub fn check_detections(&self, record: &Value) -> Result<usize> {
        let Some(file) = self.expected["detections"]["file"].as_str() else {
            return Ok(0);
        };
        let thresh = self.expected["detections"]["thresh"]
            .as_f64()
            .context("a threshold")?;
        let text = fs::read_to_string(self.dir.join(file))?;
        let mut want: Vec<Vec<f64>> = text
            .lines()
            .filter_map(|l| l.strip_prefix("nms "))
            .map(|l| l.split_whitespace().map(str::parse).collect())
            .collect::<Result<_, _>>()?;
        ensure!(!want.is_empty(), "no detections to compare with");
        let count = want.len();
        let list = record["detections"].as_array().context("detections")?;
        for d in list {
            let mut have = vec![
                d["class"].as_f64().context("a class")?,
                d["score"].as_f64().context("a score")?,
                d["objectness"].as_f64().context("an objectness")?,
            ];
            let sides = d["box"].as_array().context("a box")?;
            have.extend(sides.iter().filter_map(Value::as_f64));
            let close = |w: &Vec<f64>| {
                w.len() == have.len()
                    && w.iter()
                        .zip(&have)
                        .all(|(a, b)| (a - b).abs() <= self.close)
            };
            match want.iter().position(close) {
                Some(i) => {
                    want.swap_remove(i);
                }
                None => ensure!(
                    (have[1] - thresh).abs() <= self.close,
                    "Darknet has no {have:?}; left: {want:?}"
                ),
            }
        }
        want.retain(|w| (w[1] - thresh).abs() > self.close);
        ensure!(want.is_empty(), "Darknet also has {want:?}");
        Ok(count)
    }
}
