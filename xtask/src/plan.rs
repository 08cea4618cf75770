//! `cargo xtask plan`: makes a plan from flags and search, reports the plan, and writes the crate.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tessera_plan::plan::{Border, ElementType, Plan, Split};
use tessera_planner::{
    kernel::{Family, Storage, winograd::TILES},
    make,
    model::Model,
    options::{Goal, PlanOptions, Rows},
    report, text,
    wire::Wire,
};

use crate::{
    boards::{self, Boards},
    command, emit, files,
    flags::{
        BorderFlag, FrameFlag, KernelsFlag, ModelArgs, PlanArgs, PlanCommand, SplitFlag,
        WeightsFlag, WireFlag,
    },
    measured,
    model::{self, Source},
    names,
    out::{note, outln},
    progress::Step,
    ranges, systems, workspace,
};

/// The grids that `--grid` names, and for each whether its columns are ranges of channels.
fn grids(text: Option<&str>) -> Result<(Vec<[usize; 2]>, Vec<bool>)> {
    let Some(text) = text else {
        return Ok((Vec::new(), Vec::new()));
    };
    let each = text.split(',').map(|g| {
        let g = g.trim();
        let rows = || -> Option<[usize; 2]> {
            let (r, c) = g.split_once(['x', 'X'])?;
            Some([r.parse().ok()?, c.parse().ok()?])
        };
        let ranges = || g.strip_suffix(['c', 'C'])?.parse().ok();
        let named = rows().map(|grid| (grid, false));
        named
            .or_else(|| ranges().map(|n: usize| ([1, n], true)))
            .with_context(|| {
                format!(
                    "--grid {text}: {g:?} is no grid; write rows x columns, as in 5x5 or 5x5,3x2, or a number of \
                     ranges of channels, as in 6c"
                )
            })
    });
    let list: Vec<_> = each.collect::<Result<_>>()?;
    Ok(list.into_iter().unzip())
}

/// The goal that `--goal` names.
fn goal(text: Option<&str>) -> Result<Goal> {
    let Some(text) = text else {
        return Ok(Goal::Latency);
    };
    let frames = text
        .strip_prefix("fps=")
        .and_then(|n| n.parse::<f64>().ok());
    match (text, frames) {
        ("latency", _) => Ok(Goal::Latency),
        ("throughput", _) => Ok(Goal::Throughput),
        (_, Some(n)) if (1e-6..=1e6).contains(&n) => Ok(Goal::FramesPerSecond(n)),
        _ => bail!("--goal {text}: give latency, throughput, or for example fps=1.5"),
    }
}

/// The border policies that `--border` names.
fn borders(flags: &[BorderFlag]) -> Vec<Border> {
    let each = flags.iter().map(|f| match f {
        BorderFlag::Recompute => Border::Recompute,
        BorderFlag::Exchange => Border::Exchange,
        BorderFlag::Reuse => Border::Reuse,
    });
    each.collect()
}

/// Element types of frames and objects.
fn wire(args: &PlanArgs) -> Wire {
    let usual = Wire::default();
    let objects = args.wire.iter().map(|f| match f {
        WireFlag::F32 => ElementType::F32,
        WireFlag::F16 => ElementType::F16,
        WireFlag::U8 => ElementType::U8,
    });
    Wire {
        frames: args.frame_format.map(|f| match f {
            FrameFlag::F32 => ElementType::F32,
            FrameFlag::U8 => ElementType::U8,
        }),
        objects: if args.wire.is_empty() {
            usual.objects
        } else {
            objects.collect()
        },
    }
}

/// The flags for frames of any values: raw tensors are no pictures.
pub fn of_tensors(mut args: PlanArgs) -> PlanArgs {
    if !args.exact {
        args.frame_format.get_or_insert(FrameFlag::F32);
    }
    args
}

/// The flags for float32 throughout, where they do not say otherwise: what other engines compute.
pub fn in_floats(args: PlanArgs) -> PlanArgs {
    let mut args = of_tensors(args);
    if !args.exact && args.wire.is_empty() {
        args.wire.push(WireFlag::F32);
    }
    args
}

/// The planner's options from the flags; their `command` is what the plan records as its origin.
///
/// # Errors
/// When a flag's value is invalid.
pub fn options(args: &PlanArgs, model: &ModelArgs, dump: bool) -> Result<PlanOptions> {
    let typed = args;
    let boards = boards::of(args)?;
    let args = &systems::flags(typed, &boards.edges)?;
    let split = match args.split {
        SplitFlag::Balanced => Split::Balanced,
        SplitFlag::Equal => Split::Equal,
        SplitFlag::Speed => Split::Speed,
    };
    let rows = match (args.no_rolling, args.row_block) {
        (true, _) => Rows::Whole,
        (false, Some(n)) => Rows::Blocks(usize::from(n)),
        (false, None) => Rows::Rolling,
    };
    let kernels = match args.kernels {
        KernelsFlag::Auto => Family::Auto,
        KernelsFlag::Direct => Family::Direct,
        KernelsFlag::Winograd2 => Family::Winograd(2),
        KernelsFlag::Winograd4 => Family::Winograd(4),
        KernelsFlag::Winograd6 => Family::Winograd(6),
    };
    let weights = match args.weights_format {
        WeightsFlag::Auto => Storage::Auto,
        WeightsFlag::F32 => Storage::Trained,
        WeightsFlag::F16 => Storage::Halves,
        WeightsFlag::Transformed => Storage::Transformed,
    };
    let Boards {
        edges,
        gateway,
        target,
    } = boards;
    let resolved = PlanArgs {
        target,
        ..typed.clone()
    };
    let placement = systems::placement(args, &edges)?;
    let (grids, channels) = grids(args.grid.as_deref())?;
    let all = PlanOptions {
        grids,
        channels,
        offload: args.offload,
        cuts: args.cuts.clone(),
        split,
        borders: borders(&args.border),
        goal: goal(args.goal.as_deref())?,
        cameras: args.cameras.into(),
        exact: args.exact,
        wire: wire(args),
        ranges: None,
        placement,
        rows,
        kernels,
        tiles: args.tiles.map_or(TILES, usize::from),
        weights,
        dump,
        command: command::of(model, &resolved),
        notes: Vec::new(),
        boards: edges,
        gateway,
    };
    if args.gateway_workers > 0 && all.gateway_workers() > 0 {
        bail!(
            "--gateway-workers: the cluster file makes the gateway's board an edge already; leave the flag out, or \
             give the board roles = [\"gateway\"] alone"
        );
    }
    Ok(all.with_gateway_workers(usize::from(args.gateway_workers)))
}

/// Makes the plan, with progress on stderr.
///
/// # Errors
/// When no plan is possible with these options.
pub fn make_plan(model: &Model, options: &PlanOptions) -> Result<Plan> {
    let step = Step::begin("Planning");
    let plan = make::plan(model, options).context("no plan")?;
    step.done(&plan.name);
    Ok(plan)
}

/// Runs the command.
///
/// # Errors
/// When the model cannot be used, the plan is refused, or a file cannot be written.
pub fn run(args: &PlanCommand) -> Result<()> {
    if let Some(out) = args.out.as_deref().filter(|_| !args.dry_run) {
        files::check_folder("--out", out)?;
    }
    let loaded = model::load(&args.planned.model)?;
    let shown = args
        .planned
        .model
        .model
        .file_name()
        .map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let options = options(&args.planned.plan, &args.planned.model, false)?;
    let options = measured::refined(options, &args.planned.plan.from_run, &loaded.model)?;
    let options = ranges::calibrated(options, args.planned.plan.calibrate_on.as_deref(), &loaded)?;
    let plan = make_plan(&loaded.model, &options)?;
    let names = names::of(
        args.planned.names.as_deref(),
        &loaded.cfg,
        &loaded.model.graph,
    )?;
    let out: PathBuf = args
        .out
        .clone()
        .unwrap_or_else(|| workspace::root().join("generated").join(&plan.name));
    let mut written = Vec::new();
    if !args.dry_run {
        for target in plan.target.keys() {
            let dir = emit::folder(&plan, target, &out);
            let weights = loaded.model.weights.as_deref();
            let sizes = emit::write_crate(&plan, weights, target, &dir)?;
            names::write(&dir, &names)?;
            written.push((dir, sizes));
        }
    }
    if args.json {
        outln!("{}", serde_json::to_string_pretty(&plan)?)?;
    } else {
        outln!("{}", report::render(&plan, &loaded.model.graph))?;
    }
    for (dir, sizes) in &written {
        note!(
            "wrote {}: {} files, {} of sources",
            workspace::show(dir),
            sizes.files,
            text::bytes(sizes.source_bytes)
        );
        if let Some(bytes) = sizes.weights_bytes {
            let file = emit::weights_file(dir);
            note!("wrote {}: {}", workspace::show(&file), text::bytes(bytes));
        }
    }
    if let (Source::None { looked }, false) = (&loaded.source, written.is_empty()) {
        note!("{}", missing_weights(looked, &shown));
    }
    Ok(())
}

/// The message for a model without weights: the missing file, and how to get it.
pub fn missing_weights(looked: &Path, model: &str) -> String {
    format!(
        "note: no weights: {} does not exist, so weights.bin was not written; `run` will need it\n  \
         help: put the model's Darknet weights there or give --weights FILE; to try without them:\n        \
         cargo xtask run --model {model} --weights random:1 ...",
        workspace::show(looked)
    )
}

/// Checks that the model has weights.
///
/// # Errors
/// When the model has no weights.
pub fn require_weights(source: &Source, model: &str) -> Result<()> {
    if let Source::None { looked } = source {
        bail!(
            "{}",
            missing_weights(looked, model).trim_start_matches("note: ")
        );
    }
    Ok(())
}
