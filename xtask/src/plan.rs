//! `cargo xtask plan`: makes a plan from flags and search, reports the plan, and writes the crate.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use tessera_plan::plan::{ElementType, Plan, Split};
use tessera_planner::{
    boards::Board,
    kernel::{
        Family, Storage,
        costs::{self, CostTable},
        winograd::TILES,
    },
    make,
    model::Model,
    options::{Costs, PlanOptions, Rows, Target},
    report, text,
    wire::Wire,
};

use crate::{
    command, emit, files,
    flags::{
        FrameFlag, KernelsFlag, ModelArgs, PlanArgs, PlanCommand, SplitFlag, WeightsFlag, WireFlag,
    },
    model::{self, Source},
    names,
    out::{note, outln},
    progress::Step,
    size, workspace,
};

/// The best target for the machine that xtask runs on.
fn host_target() -> Target {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        if has!("avx2") && has!("fma") && has!("f16c") {
            let wide = has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl");
            return if wide {
                Target::X86_64V4
            } else {
                Target::X86_64V3
            };
        }
    }
    Target::Portable
}

/// The target that `--target` names, or the best for this machine.
///
/// # Errors
/// When no target has that name.
pub fn target(name: Option<&str>) -> Result<Target> {
    let Some(name) = name else {
        return Ok(host_target());
    };
    Target::from_name(name).with_context(|| {
        format!(
            "--target {name}: unknown; known are {}",
            Target::ALL.map(Target::name).join(", ")
        )
    })
}

fn grids(text: Option<&str>) -> Result<Vec<[usize; 2]>> {
    let Some(text) = text else {
        return Ok(Vec::new());
    };
    text.split(',')
        .map(|g| {
            let parse = || -> Option<[usize; 2]> {
                let (r, c) = g.trim().split_once(['x', 'X'])?;
                Some([r.parse().ok()?, c.parse().ok()?])
            };
            parse().with_context(|| {
                format!(
                    "--grid {text}: {g:?} is no grid; write rows x columns, as in 5x5 or 5x5,3x2"
                )
            })
        })
        .collect()
}

/// The planner's options from the flags; their `command` is what the plan records as its origin.
///
/// # Errors
/// When a flag's value is invalid.
pub fn options(args: &PlanArgs, model: &ModelArgs, dump: bool) -> Result<PlanOptions> {
    let target = target(args.target.as_deref())?;
    let memory = args
        .memory
        .as_deref()
        .map(size::parse)
        .transpose()
        .context("--memory")?;
    let split = match args.split {
        SplitFlag::Balanced => Split::Balanced,
        SplitFlag::Equal => Split::Equal,
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
    let wire = Wire {
        frames: match args.frame_format {
            FrameFlag::F32 => ElementType::F32,
            FrameFlag::U8 => ElementType::U8,
        },
        objects: match args.wire {
            WireFlag::F32 => ElementType::F32,
            WireFlag::F16 => ElementType::F16,
        },
    };
    let resolved = PlanArgs {
        target: Some(target.name().into()),
        ..args.clone()
    };
    let board = Board {
        cores: usize::from(args.workers),
        team: usize::from(args.team),
        costs: costs(args.costs.as_deref(), target)?,
        memory_bytes: memory,
        ..Board::new(target)
    };
    Ok(PlanOptions {
        grids: grids(args.grid.as_deref())?,
        offload: args.offload,
        cuts: args.cuts.clone(),
        split,
        exact: args.exact,
        wire,
        rows,
        kernels,
        tiles: args.tiles.map_or(TILES, usize::from),
        weights,
        dump,
        command: command::of(model, &resolved),
        ..PlanOptions::of(usize::from(args.edges), &board)
    })
}

/// The cost table that `--costs` names.
fn costs(name: Option<&str>, target: Target) -> Result<Costs> {
    let Some(name) = name else {
        return Ok(Costs::Shipped);
    };
    let table = if costs::SHIPPED.iter().any(|(core, ..)| *core == name) {
        let shipped = costs::shipped(name, target);
        shipped.cloned().with_context(|| {
            format!(
                "--costs {name}: there is no table of it for {}; measure one with cargo xtask calibrate",
                target.name()
            )
        })?
    } else {
        let shown = || format!("--costs {name}");
        let advice = "give a table that cargo xtask calibrate wrote";
        let bytes = files::read(Path::new(name), costs::BYTES_MAX as u64, advice);
        let text = String::from_utf8(bytes.with_context(shown)?).with_context(shown)?;
        CostTable::from_toml(&text).with_context(shown)?
    };
    if table.target != target.name() {
        bail!(
            "--costs {name}: the table is of {}, the plan is for {}; give --target {0} or measure another",
            table.target,
            target.name()
        );
    }
    Ok(Costs::Table(Arc::new(table)))
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
    let loaded = model::load(&args.model)?;
    let shown = args
        .model
        .model
        .file_name()
        .map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let options = options(&args.plan, &args.model, false)?;
    let plan = make_plan(&loaded.model, &options)?;
    let names = names::of(args.names.as_deref(), &loaded.cfg, &loaded.model.graph)?;
    let target = options.target();
    let out: PathBuf = args
        .out
        .clone()
        .unwrap_or_else(|| workspace::root().join("generated").join(&plan.name));
    let written = if args.dry_run {
        None
    } else {
        Some(emit::write_crate(
            &plan,
            loaded.model.weights.as_deref(),
            target.name(),
            &out,
        )?)
    };
    if written.is_some() {
        names::write(&out, &names)?;
    }
    if args.json {
        outln!("{}", serde_json::to_string_pretty(&plan)?)?;
    } else {
        outln!("{}", report::render(&plan, &loaded.model.graph))?;
    }
    if let Some(w) = written {
        note!(
            "wrote {}: {} files, {} of sources",
            workspace::show(&out),
            w.files,
            text::bytes(w.source_bytes)
        );
        match (&loaded.source, w.weights_bytes) {
            (Source::None { looked }, _) => note!("{}", missing_weights(looked, &shown)),
            (_, Some(bytes)) => note!(
                "wrote {}: {}",
                workspace::show(&out.join("weights.bin")),
                text::bytes(bytes)
            ),
            (_, None) => {}
        }
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
