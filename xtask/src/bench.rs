//! `cargo xtask bench`: times a plan on this machine, all tiles and the tail in one process.

use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use self::profile::Profile;
use crate::{build, flags::BenchArgs, model, plan, progress::Step};

mod instructions;
mod profile;

/// Minimum, median and maximum.
fn spread(mut v: Vec<f64>) -> Option<(f64, f64, f64)> {
    v.sort_by(f64::total_cmp);
    Some((*v.first()?, v[v.len() / 2], *v.last()?))
}

/// Runs the command.
///
/// # Errors
/// When the model cannot be planned or compiled, or the node fails.
pub fn run(args: &BenchArgs) -> Result<()> {
    let loaded = model::load(&args.model)?;
    let shown = args
        .model
        .model
        .file_name()
        .map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    plan::require_weights(&loaded.source, &shown)?;
    let options = plan::options(&args.plan, &args.model, false)?;
    let made = plan::make_plan(&loaded.model, &options)?;
    let built = build::cached(&made, &loaded, options.targets[0])?;
    let input = loaded.model.graph.input;
    drop(loaded);

    // A tensor of mid grey: kernels take the same time for every picture.
    let dir = tempfile::tempdir()?;
    let tensor = dir.path().join("input.f32");
    std::fs::write(&tensor, 0.5f32.to_le_bytes().repeat(input.len()))?;
    if args.instructions {
        return instructions::report(options.targets[0], &built, &tensor, args.json);
    }
    let step = Step::begin(format!("Timing {} frames", args.repeat));
    let out = Command::new(&built.node)
        .args(["solo", "--weights"])
        .arg(&built.weights)
        .arg("--input-f32")
        .arg(&tensor)
        .args([
            "--threads",
            &args.threads.to_string(),
            "--repeat",
            &args.repeat.to_string(),
        ])
        .args(args.profile.then_some("--profile"))
        .output()
        .context("cannot start the node")?;
    if !out.status.success() {
        bail!("the node failed:\n{}", String::from_utf8_lossy(&out.stderr));
    }
    step.done("");
    let text = String::from_utf8_lossy(&out.stdout);
    let timing: Value = text
        .lines()
        .filter_map(|l| serde_json::from_str::<Value>(l).ok())
        .find(|v| v["event"] == "timing")
        .context("the node printed no timing")?;
    let profile = profile::read(&text, &made)?;
    let list = |key: &str| -> Vec<f64> {
        timing[key]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_f64)
            .collect()
    };
    let stages: u64 = made
        .dataflow
        .stages
        .iter()
        .flat_map(|s| &s.tiles)
        .map(|t| t.macs)
        .sum();
    let tail = made.target.values().next().map_or(0, |t| t.tail.macs);
    let mut rows = Vec::new();
    for (part, key, macs) in [
        ("stages", "stages_seconds", stages),
        ("tail", "tail_seconds", tail),
        ("frame", "seconds", stages + tail),
    ] {
        let Some((min, median, max)) = spread(list(key)) else {
            continue;
        };
        #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
        let gflops = 2.0 * macs as f64 / min.max(1e-9) / 1e9;
        rows.push(json!({"part": part, "min_s": min, "median_s": median, "max_s": max, "macs": macs, "gflops": gflops}));
    }
    let peak = timing["memory"]["peak_bytes"].as_u64().unwrap_or(0);
    if args.json {
        println!(
            "{}",
            serde_json::to_string_pretty(&json!({
                "plan": made.name, "threads": args.threads, "parts": rows, "peak_bytes": peak,
                "profile": profile.as_ref().map(Profile::json),
            }))?
        );
        return Ok(());
    }
    println!(
        "{}, {} thread(s), {} frames",
        made.name, args.threads, args.repeat
    );
    println!(
        "  {:<8} {:>10} {:>10} {:>10} {:>14} {:>9}",
        "part", "min ms", "median ms", "max ms", "multiply-adds", "GFLOP/s"
    );
    for r in &rows {
        let ms = |k: &str| r[k].as_f64().unwrap_or(0.0) * 1e3;
        println!(
            "  {:<8} {:>10.2} {:>10.2} {:>10.2} {:>14} {:>9.1}",
            r["part"].as_str().unwrap_or(""),
            ms("min_s"),
            ms("median_s"),
            ms("max_s"),
            r["macs"].as_u64().unwrap_or(0),
            r["gflops"].as_f64().unwrap_or(0.0)
        );
    }
    println!("  peak memory {}", crate::size::show(peak));
    if let Some(p) = &profile {
        println!("\n{p}");
    }
    Ok(())
}
