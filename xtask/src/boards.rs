//! The boards that a plan is for: those of `--cluster`, or equal ones by flags.

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result, bail};
use tessera_plan::files::cluster::ClusterFile;
use tessera_planner::{
    boards::{Board, Link},
    cluster::{self, BYTES_MAX, Cluster},
    kernel::costs::{self, CostTable},
    options::{Costs, Target},
    units,
};

use crate::{diagnostics, exit, files, flags::PlanArgs, workspace};

/// The boards of a plan.
#[derive(Debug)]
pub struct Boards {
    /// The edges; the first one brings frames.
    pub edges: Vec<Board>,
    /// The gateway.
    pub gateway: Board,
    /// The target of equal boards, which plans record; `None` with `--cluster`.
    pub target: Option<String>,
}

/// The boards that flags name.
///
/// # Errors
/// When a flag's value is invalid, or the cluster file is wrong: its mistakes are printed to stderr.
pub fn of(args: &PlanArgs) -> Result<Boards> {
    if let Some(file) = &args.cluster {
        let (Cluster { edges, gateway }, _) = read(file)?;
        return Ok(Boards {
            edges,
            gateway,
            target: None,
        });
    }
    let target = target(args.target.as_deref())?;
    let memory = args.memory.as_deref().map(units::bytes).transpose();
    let rate = args.rate.as_deref().map(units::rate_bits_per_s).transpose();
    let delay = args.delay.as_deref().map(units::delay_s).transpose();
    let costs = args
        .costs
        .as_deref()
        .map(|name| costs(name, Path::new(""), target).with_context(|| format!("--costs {name}")));
    let usual = Link::default();
    let board = Board {
        cores: usize::from(args.workers),
        team: usize::from(args.team),
        costs: costs.transpose()?.unwrap_or_default(),
        memory_bytes: memory.context("--memory")?,
        link: Link {
            bytes_per_s: rate
                .context("--rate")?
                .map_or(usual.bytes_per_s, |bits| bits / 8.0),
            delay_s: delay.context("--delay")?.unwrap_or(usual.delay_s),
            ..usual
        },
        ..Board::new(target)
    };
    Ok(Boards {
        edges: board.times(usize::from(args.edges)),
        gateway: board.gateway(),
        target: Some(target.name().into()),
    })
}

/// Reads `--cluster`, and its text; prints its mistakes.
///
/// # Errors
/// When the file cannot be read, or has mistakes.
pub fn read(file: &Path) -> Result<(Cluster, String)> {
    let text = files::read(file, BYTES_MAX as u64, "no cluster file is that large")
        .context("--cluster")?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let costs = |name: &str, target| costs(name, folder, target).map_err(|e| exit::with_causes(&e));
    let (cluster, mistakes) = cluster::read(&text, &costs);
    let shown = workspace::show(file);
    diagnostics::print(&mistakes, &shown, &text);
    let cluster =
        cluster.with_context(|| format!("{shown}: {} problem(s), see above", mistakes.len()))?;
    Ok((cluster, String::from_utf8(text)?))
}

/// What the cluster file says of nodes, of a file that [`read`] finds no mistakes in.
///
/// # Errors
/// As [`read`].
pub fn entries(file: &Path) -> Result<ClusterFile> {
    let (_, text) = read(file)?;
    Ok(toml::from_str(&text)?)
}

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

/// The cost table `name`: a shipped one, or a file. `folder` is where a relative path begins.
fn costs(name: &str, folder: &Path, target: Target) -> Result<Costs> {
    let table = if costs::SHIPPED.iter().any(|(core, ..)| *core == name) {
        let shipped = costs::shipped(name, target);
        shipped.cloned().with_context(|| {
            format!(
                "there is no table of {name} for {}; measure one with cargo xtask calibrate",
                target.name()
            )
        })?
    } else {
        let advice = "give a table that cargo xtask calibrate wrote";
        let bytes = files::read(&folder.join(name), costs::BYTES_MAX as u64, advice);
        let text = String::from_utf8(bytes?)?;
        CostTable::from_toml(&text)?
    };
    if table.target != target.name() {
        bail!(
            "{name}: the table is of {}, the board's target is {}; plan for --target {0}, in a cluster file target = \"{0}\", or measure another",
            table.target,
            target.name()
        );
    }
    Ok(Costs::Table(Arc::new(table)))
}
