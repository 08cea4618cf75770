//! Boards whose wall clocks are wrong, as after a power cut without a network: an hour behind, an hour ahead,
//! another time after every restart.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use tessera_needs::needs;
use tessera_tests::rig::{Cluster, Edge, Setup};

use crate::{
    common::{Frames, LONG, node},
    deaths::reaches,
};

const HOUR_S: i64 = 3600;

/// Variables of a process whose wall clock is `ahead_s` seconds ahead. Its monotonic clock stays right, as a
/// board's does.
fn clock(ahead_s: i64) -> Result<Vec<(String, String)>> {
    let library = fs::read_dir("/usr/lib")?
        .filter_map(|folder| Some(folder.ok()?.path().join("faketime/libfaketime.so.1")))
        .find(|path| path.exists())
        .context("libfaketime")?;
    let variables = [
        ("LD_PRELOAD", library.display().to_string()),
        ("FAKETIME", format!("{ahead_s:+}")),
        // Its name in newer versions, and in older ones.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ("DONT_FAKE_MONOTONIC", "1".into()),
    ];
    Ok(variables.map(|(k, v)| (k.to_owned(), v)).to_vec())
}

/// Frames per life of the source.
const FRAMES: usize = 2;

#[needs(faketime)]
#[test]
fn clocks_an_hour_off_keep_nobody_out() -> Result<()> {
    let node = node("one-2x3");
    let frames = Frames::new(&node, 2 * FRAMES, 60)?;
    let fifo = frames.fifo("after-the-gateway")?;
    let source = |files: Vec<PathBuf>, ahead_s| -> Result<Edge> {
        Ok(Edge {
            env: clock(ahead_s)?,
            ..Edge::source(1, files)
        })
    };
    let thief = |ahead_s| -> Result<Edge> {
        Ok(Edge {
            env: clock(ahead_s)?,
            ..Edge::thief(1)
        })
    };
    let mut files = frames.files.clone();
    files[FRAMES].clone_from(&fifo);
    let setup = Setup {
        edges: vec![source(files, -HOUR_S)?, thief(HOUR_S)?],
        ..Setup::default()
    };
    let mut cluster = Cluster::start(&node, setup)?;
    cluster.wait_records(FRAMES, LONG)?;
    reaches(
        &cluster.edges[0],
        "/counters/frames_detected",
        FRAMES as u64,
    )?;

    // The power fails: the gateway and the thief come back with earlier times than they had.
    cluster.set_gateway_env(clock(-2 * HOUR_S)?);
    cluster.restart_gateway()?;
    cluster.restart_edge(1, &thief(-3 * HOUR_S)?)?;
    cluster.edges[1].event("joined", LONG)?;
    frames.feed(&fifo, FRAMES)?;
    let records = cluster.wait_records(2 * FRAMES, LONG)?;
    frames.check(1, &records)?;

    // The clocks were wrong indeed: times in records are the gateway's.
    let now_ms = std::time::UNIX_EPOCH.elapsed()?.as_millis() as f64;
    for (i, r) in records.iter().enumerate() {
        let captured_ms = r["captured_unix_ms"].as_f64().context("a time")?;
        let behind_h = (now_ms - captured_ms) / 3.6e6;
        let right = if i < FRAMES { -0.1..0.9 } else { 1.9..2.9 };
        ensure!(right.contains(&behind_h), "{behind_h} hours behind: {r}");
    }
    // A source, too, may come back in another year.
    let frames = Frames::new(&node, FRAMES, 61)?;
    cluster.restart_edge(0, &source(frames.files.clone(), -9000 * HOUR_S)?)?;
    let all = cluster.wait_records(3 * FRAMES, LONG)?;
    frames.check(1, &all[2 * FRAMES..])?;
    cluster.stop()?;
    Ok(())
}
