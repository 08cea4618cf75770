//! A network in the file formats of all engines, in a folder of its own.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::engines::{Peers, output};
use crate::{progress::Step, workspace};

/// A prepared network.
#[derive(Debug)]
pub struct Network {
    /// Name of the network and its leading layers, as `yolov2` or `yolov2-first16`.
    pub name: String,
    /// Folder of the network's files.
    pub dir: PathBuf,
    /// Number of leading layers; `None` for the whole network.
    pub first: Option<usize>,
    /// The cfg from which Tessera's node is made.
    pub cfg: PathBuf,
    /// Operations of a frame in units of 10^9, two per multiply-add.
    pub gflop: f64,
    /// True if the network has a single output, which all engines give in the same form.
    pub one_output: bool,
}

impl Network {
    /// Prepares layers `0..first` of a cfg, or all layers, unless an earlier run prepared them. Weights are random:
    /// no kernel's time depends on weights.
    ///
    /// # Errors
    /// When the scripts fail.
    pub fn prepare(peers: &Peers, model: &Path, first: Option<usize>) -> Result<Self> {
        let source = workspace::find_model(model)
            .with_context(|| format!("there is no cfg {}", model.display()))?;
        let stem = source
            .file_stem()
            .context("a cfg has a name")?
            .to_string_lossy();
        let name = match first {
            Some(n) => format!("{stem}-first{n}"),
            None => stem.into_owned(),
        };
        let root = workspace::root().join("target").join("peers");
        let dir = root.join(&name);
        // The cfg from which the folder was made; this file is written last.
        let stamp = dir.join("made-from.cfg");
        let text = fs::read(&source)?;
        if !fs::read(&stamp).is_ok_and(|old| old == text) {
            let step = Step::begin(format!("Preparing {name} for other engines"));
            fs::create_dir_all(&root)?;
            let mut command = peers.script("prepare.py");
            command.arg(&root).arg(&name).arg(&source);
            if let Some(n) = first {
                command.arg(format!("first={n}"));
            }
            output(&mut command).with_context(|| format!("cannot prepare {name}"))?;
            let _ = fs::remove_file(dir.join("net.mnn"));
            fs::write(&stamp, &text)?;
            step.done(&workspace::show(&dir));
        }
        let meta: Value = serde_json::from_slice(&fs::read(dir.join("meta.json"))?)?;
        let heads = meta["heads"].as_array().map_or(0, Vec::len);
        ensure!(heads > 0, "{name} was prepared without outputs");
        let network = Self {
            // With several heads, the scripts' cfg lacks the heads inside the network.
            cfg: if heads == 1 {
                dir.join("net.cfg")
            } else {
                source
            },
            gflop: meta["gflop"].as_f64().unwrap_or(0.0),
            one_output: heads == 1,
            name,
            dir,
            first,
        };
        network.convert_for_mnn(peers)?;
        Ok(network)
    }

    fn convert_for_mnn(&self, peers: &Peers) -> Result<()> {
        let wanted = peers.engines.iter().any(|e| e.starts_with("mnn"));
        let file = self.dir.join("net.mnn");
        if !wanted || file.is_file() {
            return Ok(());
        }
        let mut command = peers
            .tool("mnnconvert")
            .context("MNN came without mnnconvert")?;
        command
            .args(["-f", "ONNX", "--bizCode", "x", "--modelFile"])
            .arg(self.dir.join("net.onnx"))
            .arg("--MNNModel")
            .arg(&file);
        output(&mut command).context("mnnconvert failed")?;
        Ok(())
    }

    /// Path of the Darknet weights file.
    pub fn weights(&self) -> PathBuf {
        self.dir.join("net.weights")
    }

    /// The frame: C, H, W, float32.
    pub fn input(&self) -> PathBuf {
        self.dir.join("input.f32")
    }
}
