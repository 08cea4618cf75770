//! Loads the model that the user names, and reports errors of its files.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tessera_plan::graph::{Darknet, Graph};
use tessera_planner::{
    cfg::{self, diag::Severity},
    model::Model,
    weights,
};

use crate::{
    diagnostics,
    exit::Unsupported,
    files,
    flags::{Fork, ModelArgs},
    out::note,
    progress::Step,
    workspace,
};

/// Largest accepted cfg, in bytes: the longest published cfg has under 40 KB.
const CFG_BYTES_MAX: u64 = 16 << 20;

/// Source of a loaded model's weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A Darknet weights file.
    File(PathBuf),
    /// Random weights of a seed, as `random:SEED`.
    Random(u64),
    /// No weights: the model can be planned and emitted, but cannot run.
    None {
        /// Path where the weights were expected.
        looked: PathBuf,
    },
}

/// A model ready to be planned.
#[derive(Debug)]
pub struct Loaded {
    /// The network and its weights, if any.
    pub model: Model,
    /// Path of the model's cfg.
    pub cfg: PathBuf,
    /// Source of the model's weights.
    pub source: Source,
}

impl From<Fork> for Darknet {
    fn from(f: Fork) -> Self {
        match f {
            Fork::Alexey => Self::Alexey,
            Fork::Pjreddie => Self::Pjreddie,
        }
    }
}

/// Reads a cfg; prints every warning and error to stderr.
///
/// # Errors
/// When the file cannot be read, or does not describe a network that Tessera can run.
pub fn graph(path: &Path, fork: Fork) -> Result<(Graph, PathBuf)> {
    let Some(file) = workspace::find_model(path) else {
        bail!(
            "there is no cfg {}\n  help: give the path of a Darknet cfg, or one of models/: {}",
            path.display(),
            workspace::shipped_models().join(", ")
        );
    };
    const ADVICE: &str = "no cfg is that large; were --model and --weights swapped?";
    let text = files::read(&file, CFG_BYTES_MAX, ADVICE)?;
    let name = file
        .file_stem()
        .and_then(|s| s.to_str())
        .unwrap_or("model")
        .to_string();
    let (graph, diagnostics) = cfg::read(&text, &name, fork.into());
    let shown = workspace::show(&file);
    diagnostics::print(&diagnostics, &shown, &text);
    let count = |s: Severity| diagnostics.iter().filter(|d| d.severity == s).count();
    let (errors, unsupported) = (count(Severity::Error), count(Severity::Unsupported));
    match graph {
        Some(g) if errors + unsupported == 0 => Ok((g, file)),
        _ if errors == 0 && unsupported > 0 => Err(Unsupported.into()),
        _ => bail!("{shown}: {} problem(s), see above", errors + unsupported),
    }
}

/// Checks, before planning, that the network takes pictures.
///
/// # Errors
/// When the number of channels of the network's input is not that of pictures.
pub fn takes_pictures(graph: &Graph) -> Result<()> {
    let channels = graph.input.c;
    if !matches!(channels, 1 | 3) {
        bail!(
            "the network takes {channels} channels, pictures have 1 or 3\n  \
             help: give it tensors with --input-f32, or correct `channels` in [net]"
        );
    }
    Ok(())
}

/// Loads cfg and weights.
///
/// # Errors
/// When either cannot be used; the message says what to do.
pub fn load(args: &ModelArgs) -> Result<Loaded> {
    let (graph, cfg) = graph(&args.model, args.darknet)?;
    let beside = cfg.with_extension("weights");
    let source = match args.weights.as_deref() {
        Some(w) => source(w)?,
        None if beside.exists() => Source::File(beside),
        None => Source::None { looked: beside },
    };
    let model = read(&source, graph)?;
    Ok(Loaded { model, cfg, source })
}

/// The source that `--weights` names: a file, or `random:SEED`.
///
/// # Errors
/// When the seed is not a number.
pub fn source(weights: &str) -> Result<Source> {
    Ok(match weights.strip_prefix("random:") {
        Some(seed) => Source::Random(seed.parse().with_context(|| {
            format!("--weights {weights}: the seed must be a whole number, as in random:1")
        })?),
        None => Source::File(PathBuf::from(weights)),
    })
}

/// Reads and folds the weights of a network.
///
/// # Errors
/// When the weights do not belong to the network; the message says what to do.
pub fn read(source: &Source, graph: Graph) -> Result<Model> {
    let step = Step::begin("Reading weights");
    let model = match source {
        Source::File(path) => {
            let (model, warnings) = weights::load(path, graph)
                .with_context(|| format!("cannot use {}", path.display()))?;
            for w in warnings {
                note!("warning: {}: {w}", path.display());
            }
            model
        }
        Source::Random(seed) => {
            weights::from_bytes(
                "random weights",
                &weights::random_file(&graph, *seed),
                graph,
            )?
            .0
        }
        Source::None { .. } => weights::without(graph),
    };
    step.done(&match source {
        Source::File(p) => workspace::show(p),
        Source::Random(s) => format!("random, seed {s}"),
        Source::None { .. } => "none".into(),
    });
    Ok(model)
}
