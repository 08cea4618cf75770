//! The layers that the command times, and the crate that computes the layers.

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
    kernel::{
        Family,
        costs::{Kernel, Row},
    },
    make,
    model::Model,
    options::{PlanOptions, Target},
    wire::Wire,
};

use crate::{
    compile, emit,
    flags::{Fork, ModelArgs},
    model,
    progress::Step,
    workspace,
};

/// Channels in and out, and sides of the map: common sizes of networks' maps and of their tiles. The largest are those of
/// a whole frame, whose rows do not stay in the caches between two turns.
const SHAPES: [(usize, usize, &[usize]); 7] = [
    (16, 32, &[208, 104, 26]),
    (32, 64, &[304, 104, 26]),
    (64, 128, &[152, 76, 26, 10]),
    (128, 256, &[76, 52, 26, 10]),
    (256, 512, &[38, 13, 8]),
    (512, 1024, &[19, 10]),
    (1024, 1024, &[19]),
];
/// Approximate number of multiply-adds of a timed case: small layers repeat.
const ENOUGH: usize = 1 << 31;

/// A layer: a 3x3 convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    cin: usize,
    filters: usize,
    side: usize,
}

/// A layer and the kernel that computes the layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    kernel: Kernel,
    shape: Shape,
}

fn shapes() -> impl Iterator<Item = Shape> {
    SHAPES.iter().flat_map(|&(cin, filters, sides)| {
        sides.iter().map(move |&side| Shape { cin, filters, side })
    })
}

/// All cases: every kernel at every size.
pub fn all() -> impl Iterator<Item = Case> {
    shapes().flat_map(|shape| Kernel::ALL.map(|kernel| Case { kernel, shape }))
}

impl Shape {
    /// Name of the shape, as `64-128-26`. All kernels share the shape's input.
    fn name(self) -> String {
        format!("{}-{}-{}", self.cin, self.filters, self.side)
    }

    const fn macs(self) -> usize {
        9 * self.cin * self.filters * self.side * self.side
    }

    /// Makes a network of the layer, and writes its cfg to `dir`.
    fn model(self, dir: &Path) -> Result<Model> {
        let cfg = dir.join(format!("{}.cfg", self.name()));
        let net = format!(
            "[net]\nwidth={0}\nheight={0}\nchannels={1}\n[convolutional]\nfilters={2}\nsize=3\npad=1\nactivation=leaky\n",
            self.side, self.cin, self.filters
        );
        fs::write(&cfg, net).with_context(|| format!("cannot write {}", cfg.display()))?;
        let loaded = model::load(&ModelArgs {
            model: cfg,
            weights: Some("random:1".into()),
            darknet: Fork::Alexey,
        })?;
        Ok(loaded.model)
    }
}

impl Case {
    /// Name of the case, as `winograd4-64-128-26`.
    pub fn name(&self) -> String {
        let kernel = format!("{:?}", self.kernel).to_lowercase();
        format!("{kernel}-{}", self.shape.name())
    }

    /// Number of frames to time.
    fn frames(&self) -> usize {
        (ENOUGH / self.shape.macs()).clamp(3, 50)
    }

    /// Makes the case's entry of the cost table.
    #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
    pub fn row(&self, seconds: f64) -> Row {
        Row {
            kernel: self.kernel,
            cin: self.shape.cin,
            filters: self.shape.filters,
            side: self.shape.side,
            gmacs: self.shape.macs() as f64 / seconds.max(1e-9) / 1e9,
        }
    }

    fn family(&self) -> Family {
        match self.kernel {
            Kernel::Direct => Family::Direct,
            Kernel::Winograd2 => Family::Winograd(2),
            Kernel::Winograd4 => Family::Winograd(4),
            Kernel::Winograd6 => Family::Winograd(6),
        }
    }

    /// Plans the layer with the case's kernel; `None` if the target has no such kernel for the layer.
    fn plan(&self, model: &Model, target: Target) -> Result<Option<Plan>> {
        let board = Board {
            team: 1,
            ..Board::new(target)
        };
        let options = PlanOptions {
            offload: Some(0),
            kernels: self.family(),
            wire: Wire::floats(),
            command: format!("cargo xtask calibrate --target {}", target.name()),
            ..PlanOptions::of(1, &board)
        };
        let plan =
            make::plan(model, &options).with_context(|| format!("{}: no plan", self.name()))?;
        let steps = plan.target.values().flat_map(|t| &t.tail.steps);
        let tile = steps
            .filter_map(|s| s.conv.as_ref())
            .find_map(|k| k.algorithm.tile());
        let made = tile.map_or(Some(Kernel::Direct), Kernel::of_tile);
        Ok((made == Some(self.kernel)).then_some(plan))
    }
}

/// Name of the case's weights files. All kernels that read trained weights unchanged share the files.
fn weights_name(case: &Case, plan: &Plan) -> String {
    let mut packing = plan.target.values().flat_map(|t| &t.packing);
    if packing.all(|p| p.weights.is_f32()) {
        case.shape.name()
    } else {
        case.name()
    }
}

/// All cases in one crate, compiled, with their weights and inputs, in one folder.
pub struct Bundle {
    target: Target,
    dir: PathBuf,
    cases: Vec<Case>,
    /// Name of the weights and input of each case.
    files: Vec<String>,
}

impl Bundle {
    /// Plans, emits, packs and compiles all cases into `dir`, with a script that times the cases.
    ///
    /// # Errors
    /// When one of these steps fails.
    pub fn build(target: Target, dir: &Path) -> Result<Self> {
        let made = dir.join("cases");
        fs::create_dir_all(&made).with_context(|| format!("cannot make {}", made.display()))?;
        let step = Step::begin("Planning layers");
        let models: Vec<(Shape, Model)> = shapes()
            .map(|s| Ok((s, s.model(&made)?)))
            .collect::<Result<_>>()?;
        let mut list: Vec<(Case, String, Plan, &Model)> = Vec::new();
        for (shape, model) in &models {
            for kernel in Kernel::ALL {
                let case = Case {
                    kernel,
                    shape: *shape,
                };
                if let Some(plan) = case.plan(model, target)? {
                    list.push((case, case.name(), plan, model));
                }
            }
        }
        step.done(&format!("{} of them", list.len()));
        let name = format!("calibrate-{}", target.name());
        let programs: Vec<(&str, &Plan)> =
            list.iter().map(|(_, n, p, _)| (n.as_str(), p)).collect();
        // The crate lies where the runtime's path is known; `dir` receives only the node.
        let sources = workspace::root()
            .join("target/tessera")
            .join(&name)
            .join("crate");
        fs::create_dir_all(&sources)?;
        let options = EmitOptions {
            runtime_path: "../../../../runtime".into(),
        };
        let files = emit_bundle(&name, &programs, target.name(), &options)?;
        emit::write_sources(&sources, &files)?;
        let mut names = Vec::new();
        for (case, _, plan, model) in &list {
            let name = weights_name(case, plan);
            if !names.contains(&name) {
                emit::write_case(&made, &name, plan, model, target)?;
            }
            names.push(name);
        }
        let node = compile::compile(&name, target, &sources)?;
        fs::copy(&node, dir.join("node")).context("cannot copy the node")?;
        let bundle = Self {
            target,
            dir: dir.to_path_buf(),
            cases: list.iter().map(|l| l.0).collect(),
            files: names,
        };
        bundle.write_script()?;
        Ok(bundle)
    }

    /// The cases that the bundle can time.
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// Path of the compiled node.
    pub fn node(&self) -> PathBuf {
        self.dir.join("node")
    }

    /// Arguments of the node that computes a case `frames` times with one thread.
    pub fn args(&self, case: &Case, frames: usize) -> Vec<OsString> {
        let mut known = self.cases.iter().zip(&self.files);
        let name = known.find(|(c, _)| *c == case).map_or("", |(_, f)| f);
        let file = |ending: &str| {
            let file = format!("{name}.{ending}");
            self.dir.join("cases").join(file).into_os_string()
        };
        vec![
            "--program".into(),
            case.name().into(),
            "solo".into(),
            "--weights".into(),
            file("bin"),
            "--input-f32".into(),
            file("f32"),
            "--threads".into(),
            "1".into(),
            "--repeat".into(),
            frames.to_string().into(),
        ]
    }

    /// Writes a script for any shell. The script prints a line that names the core, then for each case a line and
    /// the node's output.
    fn write_script(&self) -> Result<()> {
        let mut text = format!(
            "#!/bin/sh\n# Generated by tessera: times every layer, by one thread. Let nothing else run meanwhile.\n\
             cd \"$(dirname \"$0\")\" || exit 1\n\
             echo \"target {}\"\n\
             echo \"core $(sed -n 's/^\\(model name\\|Model\\|CPU part\\)[^:]*: *//p' /proc/cpuinfo | tail -n 1)\"\n\
             layer() {{\n    echo \"case $1\"\n    ./node --program \"$1\" solo --weights \"cases/$2.bin\" \\\n        \
             --input-f32 \"cases/$2.f32\" --threads 1 --repeat \"$3\" | grep '\"timing\"' || exit 1\n}}\n",
            self.target.name()
        );
        for (c, file) in self.cases.iter().zip(&self.files) {
            text += &format!("layer {} {file} {}\n", c.name(), c.frames());
        }
        text += "echo end\n";
        let file = self.dir.join("measure.sh");
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        let mut mode = fs::metadata(&file)?.permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
        fs::set_permissions(&file, mode)?;
        Ok(())
    }
}
