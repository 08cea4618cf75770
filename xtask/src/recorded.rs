//! The options that a plan was made with, from the command that it records: with them, its tasks take the seconds that the
//! planner expected.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Parser;
use tessera_plan::plan::Plan;
use tessera_planner::{options::PlanOptions, weights};

use crate::{
    flags::{Cli, Command, PlanArgs, PlanCommand, PlannedArgs},
    measured,
    out::note,
    plan,
};

/// What is known better than the command has it: plans record names of files, not where they lie.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The cluster file.
    pub cluster: Option<PathBuf>,
    /// The cost table.
    pub costs: Option<String>,
    /// Files of a run.
    pub from_run: Vec<String>,
}

/// The options that made `plan`, which lies in `folder`.
///
/// # Errors
/// When the plan's command cannot be read, or a file that it names is neither here nor beside the plan.
pub fn options(plan: &Plan, folder: &Path, known: &Known) -> Result<PlanOptions> {
    let PlannedArgs {
        model,
        plan: mut args,
        ..
    } = command(plan)?.planned;
    let find = |name: &Path, flag: &str| -> Result<PathBuf> {
        let beside = folder.join(name);
        let mut places = [name.to_owned(), beside].into_iter();
        places.find(|p| p.is_file()).with_context(|| {
            format!(
                "the plan was made with {flag} {}, which is neither here nor beside the plan; give {flag} FILE",
                name.display()
            )
        })
    };
    if let Some(file) = &known.cluster {
        // Boards that the file describes take the place of those of flags.
        args = PlanArgs {
            cluster: Some(file.clone()),
            costs: None,
            ..args
        };
    } else if let Some(file) = &args.cluster {
        args.cluster = Some(find(file, "--cluster")?);
    }
    if known.costs.is_some() {
        args.costs.clone_from(&known.costs);
    } else if let Some(name) = args.costs.as_deref().filter(|n| n.ends_with(".toml")) {
        let found = find(Path::new(name), "--costs")?;
        args.costs = Some(found.to_string_lossy().into_owned());
    }
    let options = plan::options(&args, &model, false)
        .with_context(|| format!("the plan was made with\n  {}", plan.command))?;
    if known.from_run.is_empty() && !args.from_run.is_empty() {
        note!(
            "note: the plan was made with --from-run {}; without the flag, tasks take what the boards' costs say",
            args.from_run.join(",")
        );
    }
    let model = weights::without(plan.network.clone());
    measured::refined(options, &known.from_run, &model)
}

/// The command that a plan records.
fn command(plan: &Plan) -> Result<PlanCommand> {
    let mut words: Vec<&str> = plan.command.split_whitespace().skip(1).collect();
    // `build` and `run` make plans by the same flags.
    if let Some(verb) = words.get_mut(1) {
        *verb = "plan";
    }
    let unreadable = || {
        format!(
            "the plan records a command that this program does not know: {:?}; make the plan again",
            plan.command
        )
    };
    match Cli::try_parse_from(words).with_context(unreadable)?.command {
        Command::Plan(command) => Ok(command),
        _ => bail!(unreadable()),
    }
}
