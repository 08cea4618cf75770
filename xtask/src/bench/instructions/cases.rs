//! The networks of the instruction counts, and the one crate that holds all of them.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use tessera_codegen::{EmitOptions, emit_bundle};
use tessera_plan::plan::Plan;
use tessera_planner::{
    boards::Board,
    kernel::{Family, Storage},
    make,
    model::Model,
    options::{PlanOptions, Target},
    wire::Wire,
};

use super::Run;
use crate::{
    compile, emit,
    flags::{Fork, ModelArgs},
    model, workspace,
};

/// A network of a few layers.
struct Case {
    /// Names the kernel's side, the channels in and out, and the map's side.
    name: &'static str,
    /// Side and channels of the input.
    input: [usize; 2],
    /// The sections after `[net]`.
    layers: &'static str,
    kernels: Family,
    weights: Storage,
}

const CONV3X3: &str = "[convolutional]\nfilters=128\nsize=3\npad=1\nactivation=leaky\n";

const CASES: [Case; 6] = [
    Case::new("conv3x3-64-128-38", [38, 64], CONV3X3),
    // ncnn computes such layers the same way on ARM.
    Case {
        kernels: Family::Winograd(6),
        weights: Storage::Transformed,
        ..Case::new("winograd6-64-128-38", [38, 64], CONV3X3)
    },
    Case::new(
        "conv1x1-128-64-38",
        [38, 128],
        "[convolutional]\nfilters=64\nsize=1\nactivation=leaky\n",
    ),
    Case::new(
        "first3x3-3-32-152",
        [152, 3],
        "[convolutional]\nfilters=32\nsize=3\npad=1\nactivation=leaky\n",
    ),
    Case::new(
        "depthwise3x3-96-40",
        [40, 96],
        "[convolutional]\nfilters=96\ngroups=96\nsize=3\npad=1\nactivation=leaky\n",
    ),
    Case::new(
        "tiny",
        [96, 3],
        "[convolutional]\nfilters=16\nsize=3\npad=1\nactivation=leaky\n\
         [maxpool]\nsize=2\nstride=2\n\
         [convolutional]\nfilters=32\nsize=3\npad=1\nactivation=leaky\n\
         [maxpool]\nsize=2\nstride=2\n\
         [convolutional]\nfilters=64\nsize=3\npad=1\nactivation=leaky\n\
         [maxpool]\nsize=2\nstride=2\n\
         [convolutional]\nfilters=128\nsize=3\npad=1\nactivation=leaky\n\
         [convolutional]\nfilters=64\nsize=1\nactivation=leaky\n\
         [upsample]\nstride=2\n\
         [route]\nlayers=-1,4\n\
         [convolutional]\nfilters=64\nsize=3\nstride=2\npad=1\nactivation=leaky\n\
         [convolutional]\nfilters=36\nsize=1\nactivation=linear\n",
    ),
];

impl Case {
    /// A case with the kernels that the planner chooses.
    const fn new(name: &'static str, input: [usize; 2], layers: &'static str) -> Self {
        Self {
            name,
            input,
            layers,
            kernels: Family::Auto,
            weights: Storage::Auto,
        }
    }

    /// Loads and plans the network of the file `cfg`.
    fn plan(&self, cfg: &Path, target: Target) -> Result<(&'static str, Plan, Model)> {
        let loaded = model::load(&ModelArgs {
            model: cfg.to_path_buf(),
            weights: Some("random:1".into()),
            darknet: Fork::Alexey,
        })?;
        let options = PlanOptions {
            offload: Some(0),
            kernels: self.kernels,
            weights: self.weights,
            wire: Wire::floats(),
            command: format!(
                "cargo xtask bench --instructions --target {}",
                target.name()
            ),
            ..PlanOptions::of(1, &Board::new(target))
        };
        let plan = make::plan(&loaded.model, &options)
            .with_context(|| format!("{}: no plan", self.name))?;
        Ok((self.name, plan, loaded.model))
    }
}

/// The whole shipped detector.
const DEMO: Case = Case::new("demo", [0; 2], "");

/// All cases for one target, compiled as nodes are.
pub struct Bundle {
    dir: PathBuf,
    node: PathBuf,
    names: Vec<&'static str>,
}

impl Bundle {
    /// Plans every case as one board runs it, emits them as one crate, compiles it.
    ///
    /// # Errors
    /// When a case cannot be planned or the crate does not compile.
    pub fn build(target: Target) -> Result<Self> {
        let name = format!("instructions-{}", target.name());
        let dir = workspace::root().join("target").join("tessera").join(&name);
        fs::create_dir_all(dir.join("cases"))?;
        let mut made: Vec<(&'static str, Plan, Model)> = Vec::new();
        for case in CASES {
            let cfg = dir.join("cases").join(format!("{}.cfg", case.name));
            let ([side, channels], layers) = (case.input, case.layers);
            let net = format!("[net]\nwidth={side}\nheight={side}\nchannels={channels}\n{layers}");
            fs::write(&cfg, net)?;
            made.push(case.plan(&cfg, target)?);
        }
        made.push(DEMO.plan(Path::new("demo.cfg"), target)?);

        let programs: Vec<(&str, &Plan)> = made.iter().map(|(n, p, _)| (*n, p)).collect();
        let options = EmitOptions {
            runtime_path: "../../../runtime".into(),
        };
        let files = emit_bundle(&name, &programs, target.name(), &options)?;
        emit::write_sources(&dir, &files)?;
        for (case, plan, model) in &made {
            emit::write_case(&dir.join("cases"), case, plan, model, target)?;
        }
        let node = compile::compile(&name, target, &dir)?;
        Ok(Self {
            names: made.iter().map(|m| m.0).collect(),
            dir,
            node,
        })
    }

    /// Names of the cases.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.names.iter().copied()
    }

    /// The command line that computes a case `frames` times, by one thread.
    pub fn run(&self, case: &str, frames: u32) -> Run {
        let file = |ending: &str| self.dir.join("cases").join(format!("{case}.{ending}"));
        let words: [OsString; 11] = [
            "--program".into(),
            case.into(),
            "solo".into(),
            "--weights".into(),
            file("bin").into(),
            "--input-f32".into(),
            file("f32").into(),
            "--threads".into(),
            "1".into(),
            "--repeat".into(),
            frames.to_string().into(),
        ];
        Run {
            node: self.node.clone(),
            args: words.into(),
        }
    }
}
