//! `bench --peers`: compares Tessera with other engines on the same network, weights and input.
//!
//! Scripts outside of this project drive the engines ([`engines`] names the scripts and their folder). The
//! scripts write one folder per network, with cfg, weights and input in every engine's form; the emitted node
//! reads its files from the same folder. A round runs one process per engine and thread count, Tessera's node
//! first, so that other load on the machine affects all engines alike.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use self::{engines::Peers, network::Network, table::Row};
use super::{node, times::Times};
use crate::{
    compile::{self, Built},
    flags::{BenchArgs, Fork, ModelArgs, PlanArgs},
    model,
    out::outln,
    plan,
    progress::Step,
};

mod agree;
mod engines;
mod network;
mod sample;
mod table;

/// Least and largest number of frames that Tessera's node computes in one process.
const FRAMES: (f64, f64) = (3.0, 200.0);

/// Runs the command.
///
/// # Errors
/// When scripts or engines are missing, or Tessera's node cannot be made or run. The table reports peers that
/// fail.
pub fn run(args: &BenchArgs, from: &ModelArgs, python: Option<&Path>) -> Result<()> {
    let peers = Peers::find(python, args.peers_dir.as_deref(), &args.engines)?;
    // Without layers on edges, the whole network runs on this machine.
    let last_cut = args.plan.cuts.last().copied();
    let leading = args.plan.offload.or(last_cut).filter(|n| *n > 0);
    let whole = leading.is_none() || args.whole;
    let mut reports = Vec::new();
    for first in leading.map(Some).into_iter().chain(whole.then_some(None)) {
        let network = Network::prepare(&peers, &from.model, first)?;
        let report = one(args, from.darknet, &peers, &network)?;
        if !args.json {
            outln!("{}", table::render(&network, &report))?;
        }
        reports.push(table::json(&network, &report));
    }
    if args.json {
        let all = json!({ "rounds": args.rounds, "networks": Value::from(reports) });
        outln!("{}", serde_json::to_string_pretty(&all)?)?;
    }
    Ok(())
}

/// Results of a network's rounds.
struct Report {
    /// Name of Tessera's plan.
    plan: String,
    /// Rows by thread count: Tessera's row, then the peers' rows.
    rows: Vec<(usize, Vec<Row>)>,
    /// Largest differences of outputs, relative to the largest value, each with a label as `ours against ncnn`.
    differences: Vec<(String, f64)>,
}

/// Measures one network.
fn one(args: &BenchArgs, darknet: Fork, peers: &Peers, network: &Network) -> Result<Report> {
    let (plan, built) = ours(args, darknet, network)?;
    let mut rows = Vec::new();
    for threads in args.threads_or(&[1, 2]) {
        let step = Step::begin(format!("{}, {threads} thread(s)", network.name));
        let run = |frames: u32| {
            node::time(node::Run {
                built: &built,
                tensor: &network.input(),
                frames,
                threads,
                layers: false,
            })
        };
        let shortest = |seconds: &[f64]| Times::of(seconds).map_or(1.0, |t| t.min_s);
        let once = shortest(&run(2)?.frame);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped"
        )]
        let frames = (args.seconds / once).clamp(FRAMES.0, FRAMES.1) as u32;
        let mut list = vec![Row::new("tessera")];
        list.extend(peers.engines.iter().map(|e| Row::new(e)));
        for round in 0..args.rounds {
            for row in &mut list {
                step.note(&format!(
                    "round {} of {}, {}",
                    round + 1,
                    args.rounds,
                    row.engine
                ));
                if row.engine == "tessera" {
                    let said = run(frames)?;
                    row.add(&said);
                } else {
                    match peers.run(&row.engine, &network.dir, threads, args.seconds) {
                        Ok(sample) => row.samples.push(sample),
                        Err(e) => row.error = Some(format!("{e:#}")),
                    }
                }
            }
        }
        step.done(&format!("{} rounds", args.rounds));
        rows.push((threads, list));
    }
    let differences = agree::differences(network, &built, &peers.engines)?;
    Ok(Report {
        plan,
        rows,
        differences,
    })
}

/// Makes Tessera's plan and node: leading layers as one tile (or the given grid) that an edge runs, or a whole
/// network as one board runs it.
fn ours(args: &BenchArgs, darknet: Fork, network: &Network) -> Result<(String, Built)> {
    let model = ModelArgs {
        model: network.cfg.clone(),
        weights: Some(network.weights().to_string_lossy().into_owned()),
        darknet,
    };
    let loaded = model::load(&model)?;
    let mut choices = PlanArgs {
        edges: 1,
        ..plan::in_floats(args.plan.clone())
    };
    if let Some(layers) = network.first {
        if choices.cuts.is_empty() {
            choices.offload = Some(layers);
        }
        choices.grid.get_or_insert_with(|| "1x1".into());
    } else {
        choices.cuts = Vec::new();
        choices.offload = Some(0);
        choices.grid = None;
    }
    let options = plan::options(&choices, &model, false)?;
    let made = plan::make_plan(&loaded.model, &options)?;
    let built = compile::cached(&made, &loaded, options.target())
        .context("our own node of this network")?;
    Ok((made.name, built))
}
