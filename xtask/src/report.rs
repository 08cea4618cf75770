//! `cargo xtask report`: a plan as one page for people.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tessera_report::{Bench, Beside, Drawing};
use tessera_simulate::{Settings, SimulatedCluster};

use crate::{
    emit_plan,
    files::{self, Output},
    flags::ReportArgs,
    out::note,
    progress::Step,
    recorded::{self, Known},
    workspace,
};

/// Largest file of another command, in bytes, and most drawings of a folder.
const FILE_BYTES_MAX: u64 = 4 << 20;
const FIGURES_MAX: usize = 64;

/// Runs the command.
///
/// # Errors
/// When the plan or the boards cannot be used, or the page cannot be written.
pub fn run(args: &ReportArgs) -> Result<()> {
    let folder = args.plan.parent().unwrap_or(Path::new(""));
    let usual = folder.join("report.html");
    let file = Output::check("--html", args.html.as_deref().unwrap_or(&usual))?;
    let plan = emit_plan::read(&args.plan)?;
    let beside = beside(args)?;
    let known = Known {
        cluster: args.cluster.clone(),
        costs: args.costs.clone(),
        from_run: Vec::new(),
    };
    let options = recorded::options(&plan, folder, &known)?;
    let cluster = SimulatedCluster::new(&plan.network, &plan, &options)?;
    let settings = Settings::one_frame();
    let step = Step::begin("Simulating a frame");
    let outcome = cluster.run(&settings)?;
    step.done(&format!("{:.3} s of virtual time", outcome.course.ended_s));
    ensure!(
        outcome.summary.detected > 0,
        "the frame did not end within {} s of virtual time",
        settings.seconds_max
    );
    let page = tessera_report::render(&plan, &cluster, &settings, &outcome, &beside);
    file.write(page.as_bytes())?;
    note!("wrote {}", workspace::show(file.path()));
    Ok(())
}

/// What other commands made.
fn beside(args: &ReportArgs) -> Result<Beside> {
    let drawings = |flag: &str, paths: &[PathBuf]| -> Result<Vec<Drawing>> {
        paths.iter().map(|path| drawing(flag, path)).collect()
    };
    let mut benches: Vec<Bench> = Vec::new();
    for path in &args.bench {
        let advice = "give what cargo xtask bench --json printed";
        let bytes = files::read(path, FILE_BYTES_MAX, advice)?;
        let of_file: Vec<Bench> = serde_json::from_slice(&bytes).with_context(|| {
            format!(
                "--bench {}: this is no measurement\n  help: {advice}",
                path.display()
            )
        })?;
        benches.extend(of_file);
    }
    let figures = args.figures.as_deref().map(svgs).transpose()?;
    Ok(Beside {
        runs: drawings("--simulated", &args.simulated)?,
        benches,
        figures: drawings("--figures", &figures.unwrap_or_default())?,
    })
}

fn drawing(flag: &str, path: &Path) -> Result<Drawing> {
    let advice = "give drawings of cargo xtask simulate --svg, or the folder of cargo xtask paper";
    let bytes = files::read(path, FILE_BYTES_MAX, advice)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let text = std::str::from_utf8(&bytes).ok();
    let drawing = text.and_then(|svg| Drawing::new(&name, svg));
    drawing.with_context(|| {
        format!(
            "{flag} {}: this is no SVG drawing\n  help: {advice}",
            path.display()
        )
    })
}

/// The drawings of a folder, by name.
fn svgs(folder: &Path) -> Result<Vec<PathBuf>> {
    let named = || format!("--figures {}", folder.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(named)? {
        let path = entry.with_context(named)?.path();
        if path.extension().is_some_and(|e| e == "svg") {
            found.push(path);
        }
    }
    ensure!(
        (1..=FIGURES_MAX).contains(&found.len()),
        "{}: {} drawings; 1 to {FIGURES_MAX} are shown",
        named(),
        found.len()
    );
    found.sort();
    Ok(found)
}
