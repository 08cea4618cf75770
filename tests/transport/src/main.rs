//! Compares how our nodes carry objects with QUIC, over the same networks: see `docs/transport/README.md`.
//!
//! ```text
//! cargo run --release -- [--only TEXT] [--carriers tessera,simulated,streams,datagrams] [--runs N [--mean]] [--out DIR] [--keep DIR]
//! ```

mod cell;
mod found;
mod live;
mod load;
mod node;
mod now;
mod quic;
mod relay;
mod report;
mod stage;
mod store;
mod virtual_time;

use std::{net::Ipv4Addr, path::PathBuf};

use anyhow::{Context, Result, bail};
use found::Found;
use lexopt::prelude::*;
use load::Load;
use quic::Way;
use tessera_node::udp::Socket;

/// Longest time that a cell may take, in seconds.
const SECONDS_MAX: u64 = 20;

struct Flags {
    only: String,
    carriers: Vec<String>,
    runs: u64,
    /// Whether a cell shows the mean of its runs, and not the middle one by time.
    mean: bool,
    out: Option<PathBuf>,
    /// Folders of earlier tables: their runs are kept unless they run again.
    keep: Vec<PathBuf>,
}

fn flags() -> Result<Flags> {
    let mut flags = Flags {
        only: String::new(),
        carriers: ["tessera", "simulated", "streams"].map(Into::into).to_vec(),
        runs: 1,
        mean: false,
        out: None,
        keep: Vec::new(),
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("only") => flags.only = parser.value()?.string()?,
            Long("carriers") => {
                let list = parser.value()?.string()?;
                flags.carriers = list.split(',').map(Into::into).collect();
            }
            Long("runs") => flags.runs = parser.value()?.parse::<u64>()?.max(1),
            Long("mean") => flags.mean = true,
            Long("keep") => flags.keep.push(parser.value()?.into()),
            Long("out") => flags.out = Some(parser.value()?.into()),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(flags)
}

fn main() -> Result<()> {
    let flags = flags()?;
    let info = load::program()?;
    let config = Socket::bind((Ipv4Addr::LOCALHOST, 0).into())?.transfer();
    let mut all = Vec::new();
    for cell in cell::cells() {
        if !cell.name.contains(&flags.only) && !cell.group.contains(&flags.only) {
            continue;
        }
        let load = Load::new(&info, cell.shape, cell.frames);
        for carrier in &flags.carriers {
            let mut runs = Vec::new();
            for seed in 1..=flags.runs {
                let run = match &**carrier {
                    "tessera" => live::run(&cell, &load, seed, SECONDS_MAX),
                    "streams" => quic::run(&cell, &load, Way::Streams, seed, SECONDS_MAX),
                    "datagrams" => quic::run(&cell, &load, Way::Datagrams, seed, SECONDS_MAX),
                    // Nothing of what bounds sockets without a network passes in virtual time.
                    "simulated" if cell.is_loopback() => continue,
                    "simulated" => virtual_time::run(&cell, &load, config, seed, SECONDS_MAX),
                    other => bail!("no carrier {other}"),
                };
                runs.push(run.with_context(|| format!("{}, {carrier}", cell.name))?);
            }
            runs.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
            if runs.is_empty() {
                continue;
            }
            let middle = if flags.mean {
                Found::mean(&runs)
            } else {
                runs.swap_remove(runs.len() / 2)
            };
            eprintln!(
                "{:34} {:17} {:4}/{:4} {:8.3} s  p50 {:8.1?} p99 {:8.1?} ms  {:7.1} Mbit/s  cpu {:6.2?} ms/MB  beyond {:6.2} %  dup {:5.2?} again {:5.2?} %",
                middle.cell.name,
                middle.carrier,
                middle.fetches[1],
                middle.fetches[0],
                middle.seconds,
                middle.p50_ms.unwrap_or(f64::NAN),
                middle.p99_ms.unwrap_or(f64::NAN),
                middle.goodput,
                middle.cpu_ms_per_mb.unwrap_or(f64::NAN),
                middle.beyond_percent.unwrap_or(f64::NAN),
                middle.duplicate_percent.unwrap_or(f64::NAN),
                middle.again_percent.unwrap_or(f64::NAN),
            );
            all.push(middle);
        }
    }
    for folder in &flags.keep {
        let text = std::fs::read(folder.join("table.json"))?;
        for f in serde_json::from_slice::<Vec<Found>>(&text)? {
            let same = |g: &Found| (&g.cell.name, &g.carrier) == (&f.cell.name, &f.carrier);
            if !all.iter().any(same) {
                all.push(f);
            }
        }
    }
    report::sort(&mut all, &cell::cells());
    let text = report::markdown(&all);
    let Some(out) = flags.out else {
        println!("{text}");
        return Ok(());
    };
    write(&out, &all, &text)
}

fn write(out: &std::path::Path, all: &[Found], text: &str) -> Result<()> {
    std::fs::create_dir_all(out)?;
    let head = "# Objects by nodes and by QUIC\n\nMade by the command in [README](README.md). Live: one run each, or the middle one by time. Simulated: the mean of ten seeds.\n";
    std::fs::write(out.join("table.md"), format!("{head}{text}"))?;
    std::fs::write(
        out.join("table.json"),
        serde_json::to_string_pretty(all)? + "\n",
    )?;
    let plots = [
        ("p99.svg", "Completion of a box, 99th percentile, ms"),
        ("cpu.svg", "CPU of all nodes, ms per MB of payload"),
        ("goodput.svg", "Payload, Mbit/s"),
    ];
    for (file, title) in plots {
        let svg = report::bars(all, title, |f| match file {
            "p99.svg" => f.p99_ms,
            "cpu.svg" => f.cpu_ms_per_mb,
            _ => Some(f.goodput),
        });
        std::fs::write(out.join(file), svg)?;
    }
    Ok(())
}
