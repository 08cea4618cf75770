//! `cargo xtask report`: a plan as one page for people.

use std::path::Path;

use anyhow::{Result, ensure};
use tessera_simulate::{Settings, SimulatedCluster};

use crate::{
    emit_plan,
    files::Output,
    flags::ReportArgs,
    out::note,
    progress::Step,
    recorded::{self, Known},
    workspace,
};

/// Runs the command.
///
/// # Errors
/// When the plan or the boards cannot be used, or the page cannot be written.
pub fn run(args: &ReportArgs) -> Result<()> {
    let folder = args.plan.parent().unwrap_or(Path::new(""));
    let beside = folder.join("report.html");
    let file = Output::check("--html", args.html.as_deref().unwrap_or(&beside))?;
    let plan = emit_plan::read(&args.plan)?;
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
    let page = tessera_report::render(&plan, &cluster, &settings, &outcome);
    file.write(page.as_bytes())?;
    note!("wrote {}", workspace::show(file.path()));
    Ok(())
}
