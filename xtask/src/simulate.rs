//! `cargo xtask simulate`: a plan on its boards in virtual time; or, with `--seeds`, random clusters in all kinds of trouble.

mod seeds;

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use tessera_planner::{boards::Link, options::PlanOptions, units};
use tessera_sim::course::Sources;
use tessera_simulate::{Kill, Settings, SimulatedCluster, document, table, timeline};

use crate::{
    emit_plan,
    files::Output,
    flags::SimulateArgs,
    out::{note, out},
    progress::Step,
    recorded::{self, Known},
    workspace,
};

/// Runs the command.
///
/// # Errors
/// When the plan or the boards cannot be used, a flag makes no sense, or a file cannot be written.
pub fn run(args: &SimulateArgs) -> Result<()> {
    if let Some(count) = args.seeds {
        return seeds::run(args.seed, count);
    }
    let path = args.plan.as_ref().context("give a plan, or --seeds")?;
    let output =
        |flag, path: &Option<PathBuf>| path.as_ref().map(|p| Output::check(flag, p)).transpose();
    let json = output("--json", &args.json)?;
    let svg = output("--svg", &args.svg)?;
    let plan = emit_plan::read(path)?;
    let known = Known {
        cluster: args.cluster.clone(),
        costs: args.costs.clone(),
        from_run: args.from_run.clone(),
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    let options = on_links(recorded::options(&plan, folder, &known)?, args)?;
    let mut cluster = SimulatedCluster::new(&plan.network, &plan, &options)?;
    if let Some(boards) = args.boards {
        cluster = cluster.with_boards(boards.into());
    }
    let settings = settings(args, plan.dataflow.frames_in_flight, &cluster)?;
    let step = Step::begin("Simulating");
    let begun = Instant::now();
    let outcome = cluster.run(&settings)?;
    let took_s = begun.elapsed().as_secs_f64();
    let events = outcome.course.events;
    step.done(&format!(
        "{:.3} s of virtual time, {events} events, {:.0} a second",
        outcome.course.ended_s,
        events as f64 / took_s.max(1e-9),
    ));
    out!("{}", table::render(&plan, &cluster, &settings, &outcome))?;
    if let Some(file) = &json {
        let text = document::write(&plan, &cluster, &settings, &outcome)?;
        file.write(text.as_bytes())?;
        note!("wrote {}", workspace::show(file.path()));
    }
    if let Some(file) = &svg {
        let text = timeline::draw(&plan, &cluster, &settings, &outcome);
        file.write(text.as_bytes())?;
        note!("wrote {}", workspace::show(file.path()));
    }
    ensure!(
        outcome.summary.detected > 0,
        "no frame ended within {} s of virtual time",
        args.until
    );
    Ok(())
}

/// The boards on links of `--rate` and `--delay`.
fn on_links(mut options: PlanOptions, args: &SimulateArgs) -> Result<PlanOptions> {
    let rate = args.rate.as_deref().map(units::rate_bits_per_s).transpose();
    let delay = args.delay.as_deref().map(units::delay_s).transpose();
    let (rate, delay) = (rate.context("--rate")?, delay.context("--delay")?);
    let boards = options.boards.iter_mut().chain([&mut options.gateway]);
    for board in boards {
        board.link = Link {
            bytes_per_s: rate.map_or(board.link.bytes_per_s, |bits| bits / 8.0),
            delay_s: delay.unwrap_or(board.link.delay_s),
            ..board.link
        };
    }
    Ok(options)
}

fn settings(args: &SimulateArgs, in_flight: usize, cluster: &SimulatedCluster) -> Result<Settings> {
    let bringing = cluster.boards.iter().filter(|(_, b)| !b.is_gateway).count();
    let sources = usize::from(args.sources);
    ensure!(
        sources <= bringing,
        "--sources {sources}: only {bringing} boards can bring frames; raise --boards"
    );
    let interval = args.interval.as_deref().map(units::delay_s).transpose();
    let kills = args.kill.iter().map(|k| kill(k, cluster.boards.len()));
    Ok(Settings {
        sources: Sources {
            boards: sources,
            frames: args.frames,
            in_flight: args.in_flight.map_or(in_flight, usize::from),
            interval_s: interval.context("--interval")?.unwrap_or(0.0),
        },
        loss: args.loss / 100.0,
        verify: args.verify,
        kills: kills.collect::<Result<_>>()?,
        seed: args.seed,
        values: args.check,
        seconds_max: args.until,
    })
}

/// What an entry of `--kill` says.
fn kill(text: &str, boards: usize) -> Result<Kill> {
    let parts = text.trim().split_once('@');
    let read = parts.and_then(|(node, at)| {
        let at = at.strip_suffix('s').unwrap_or(at);
        Some((node.parse().ok()?, at.parse().ok()?))
    });
    let Some((node, at_s)) = read else {
        bail!("--kill {text}: give a node and seconds, as in 3@0.5");
    };
    ensure!(
        node <= boards,
        "--kill {text}: nodes are 0 (the gateway) to {boards}"
    );
    ensure!(
        (0.0..=3600.0).contains(&at_s),
        "--kill {text}: give 0 to 3600 seconds"
    );
    Ok(Kill { node, at_s })
}
