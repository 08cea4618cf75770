//! `cargo xtask inspect` and `cargo xtask weights`.

use anyhow::Result;
use tessera_planner::{inspect, text, weights};

use crate::{
    files::Output,
    flags::{Fork, InspectArgs, WeightsCommand},
    model,
    out::outln,
};

/// Prints the table of a network's layers.
///
/// # Errors
/// When the cfg cannot be used.
pub fn run(args: &InspectArgs) -> Result<()> {
    let (graph, _) = model::graph(&args.cfg, args.darknet)?;
    let table = inspect::table(&graph);
    if args.json {
        outln!("{}", serde_json::to_string_pretty(&table)?)?;
    } else {
        outln!("{}", inspect::render(&table))?;
    }
    Ok(())
}

/// Runs `cargo xtask weights`: writes a weights file for a cfg.
///
/// # Errors
/// When the cfg cannot be used or the file cannot be written.
pub fn weights(command: &WeightsCommand) -> Result<()> {
    let WeightsCommand::Random { model, seed, out } = command;
    let file = Output::check("--out", out)?;
    let (graph, _) = model::graph(model, Fork::Alexey)?;
    let bytes = weights::random_file(&graph, *seed);
    file.write(&bytes)?;
    outln!(
        "wrote {}: {} ({} float32 values)",
        out.display(),
        text::bytes(bytes.len() as u64),
        (bytes.len() - 20) / 4
    )?;
    Ok(())
}
