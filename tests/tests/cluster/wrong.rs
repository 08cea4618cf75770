//! `--verify`: an invited board that computes wrong bits is found and left out, records are right, and nobody else is accused.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tessera_protocol::wire;
use tessera_tests::{
    faulty_edge::{Fault, FaultyEdge},
    relay::Faults,
    rig::{Cluster, Edge, SHORT, Setup},
};

use crate::{
    common::{Frames, LONG, node, number},
    deaths::reaches,
    sealed::{setup, three},
    strangers::info_of,
};

/// Frames that are given at once.
const AT_ONCE: usize = 12;
/// Frames that are given in all: on a quick machine the source leaves little to the others, and the third board must have
/// been given two tasks.
const FRAMES: usize = 72;

/// A source that checks `share` of what others compute, a thief, and the third board, which computes noise. Frames come
/// until that board is left out, [`FRAMES`] at most, and then once more. Returns the records, and what source and gateway
/// say of themselves.
fn run(program: &str, share: &str, frames: &Frames) -> Result<(Vec<Value>, Value, Value)> {
    let keys = three()?;
    let node = node(program);
    let fifos: Vec<_> = (0..frames.files.len())
        .map(|k| frames.fifo(&format!("{program}-{share}-{k}")))
        .collect::<Result<_>>()?;
    let mut source = Edge::source(1, fifos.clone());
    source.flags.extend(["--verify".into(), share.into()]);
    let cluster = Cluster::start(&node, setup(&keys, source, 1))?;
    reaches(&cluster.gateway, "/counters/nodes_joined", 2)?;
    let at = cluster.gateway.event("listening", LONG)?;
    let at = at["addr"].as_str().context("an address")?.parse()?;
    let links = keys.links("edge-3", 9, Some(wire::sender))?;
    let wrong = FaultyEdge::start(3, Fault::Noise, links, info_of(&node, program)?, at)?;
    reaches(&cluster.gateway, "/counters/nodes_joined", 3)?;
    let (mut given, mut left_out) = (0, false);
    let mut records = Vec::new();
    for fifos in fifos.chunks(AT_ONCE) {
        for fifo in fifos {
            frames.feed(fifo, given)?;
            given += 1;
        }
        records = cluster.wait_records(given, LONG)?;
        if left_out {
            break;
        }
        let source = cluster.edges[0].ask(SHORT)?;
        left_out = source["counters"]["checks"]["left_out"] == json!([3]);
    }
    drop(wrong);
    let (gateway, edges) = cluster.stop()?;
    let source = edges.into_iter().next().flatten();
    Ok((records, source.context("the source's")?, gateway))
}

#[test]
fn wrong_boards_are_found_and_records_are_right() -> Result<()> {
    for program in [
        "one-4x4-steal",
        "two-6x1-3x2-homes",
        "two-6x1-3x2-share",
        "reuse-3x3-homes",
    ] {
        let frames = Frames::new(&node(program), FRAMES, 80)?;
        let (records, source, gateway) = run(program, "1", &frames)?;
        frames
            .check_first(records.len(), 1, &records)
            .with_context(|| format!("{program}: {}", source["counters"]["checks"]))?;
        let checks = &source["counters"]["checks"];
        assert_eq!(checks["wrong"], json!({"3": 2}), "{program}: {checks}");
        assert_eq!(checks["left_out"], json!([3]), "{program}");
        assert_eq!(checks["own_wrong"], 0, "{program}: {checks}");
        assert_eq!(checks["skipped"], 0, "{program}: {checks}");
        assert!(number(checks, "/frames_begun_anew") > 0, "{checks}");
        assert!(number(&gateway, "/counters/frames_begun_anew") > 0);
        // Records say which board it was.
        let said: Vec<&Value> = records.iter().filter_map(|r| r.get("wrong")).collect();
        assert!(
            !said.is_empty() && said.iter().all(|w| **w == 3),
            "{said:?}"
        );
    }
    Ok(())
}

#[test]
fn a_share_finds_them_too() -> Result<()> {
    let program = "two-6x1-3x2-homes";
    let frames = Frames::new(&node(program), FRAMES, 81)?;
    let (records, source, _) = run(program, "0.3", &frames)?;
    let checks = &source["counters"]["checks"];
    assert_eq!(checks["left_out"], json!([3]), "{checks}");
    // Frames that were recorded before may be wrong; those that began behind are right.
    let last = records.len() - 1;
    let found = records.iter().find(|r| r["tag"] == last);
    let (found, expected) = (found.context("a record")?, &frames.expected[last]);
    assert_eq!(found["detections"], expected["detections"], "{checks}");
    Ok(())
}

#[test]
fn healthy_boards_are_not_accused() -> Result<()> {
    let keys = three()?;
    for (program, faults) in [
        ("one-4x4-steal", None),
        ("two-6x1-3x2-homes", Some((Faults::rough(0.05), 5))),
        ("two-6x1-3x2-share", None),
    ] {
        let node = node(program);
        let frames = Frames::new(&node, 4, 82)?;
        let mut source = Edge::source(1, frames.files.clone());
        source.flags.extend(["--verify".into(), "0.5".into()]);
        let setup = Setup {
            relay: faults,
            ..setup(&keys, source, 2)
        };
        let cluster = Cluster::start(&node, setup)?;
        let records = cluster.wait_records(4, LONG)?;
        frames.check(1, &records)?;
        let (_, edges) = cluster.stop()?;
        let source = edges[0].as_ref().context("the source's")?;
        let checks = &source["counters"]["checks"];
        assert_eq!(checks["wrong"], json!({}), "{program}");
        assert_eq!(number(checks, "/differed"), 0, "{program}: {checks}");
        assert_eq!(number(checks, "/close"), 0, "{program}: {checks}");
        assert!(records.iter().all(|r| r.get("wrong").is_none()));
    }
    Ok(())
}
