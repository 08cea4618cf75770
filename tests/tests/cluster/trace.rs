//! Traces of a real cluster: every node's file, put together, is well-formed by Perfetto's rules, and tells what the records and
//! statistics tell.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use tessera_tests::rig::{Cluster, Edge, SHORT, Setup, wait_for};
use tessera_trace::{Event, Phase, check, merge, read, tracks};

use crate::common::{Frames, LONG, node};

/// Frames of the run.
const FRAMES: usize = 6;

#[test]
fn a_clusters_trace_nests_its_flows_connect_and_its_clocks_agree() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = |name: &str| dir.path().join(name).display().to_string();
    let node = node("two-3x3-2x2");
    let frames = Frames::new(&node, FRAMES, 7)?;
    let traced = |edge: Edge, name: &str| Edge {
        flags: vec!["--trace".into(), file(name)],
        ..edge
    };
    let cluster = Cluster::start(
        &node,
        Setup {
            edges: vec![
                traced(Edge::source(1, frames.files.clone()), "1"),
                traced(Edge::thief(2), "2"),
                traced(Edge::thief(1), "3"),
            ],
            flags: vec!["--trace".into(), file("0")],
            ..Setup::default()
        },
    )?;
    cluster.wait_records(FRAMES, LONG)?;
    // Heartbeats come at least once a second: every edge has compared its clock.
    let compared = |name: &str| {
        let text = std::fs::read_to_string(file(name))?;
        Ok::<_, anyhow::Error>(text.contains("answer heard"))
    };
    wait_for(SHORT, || {
        let all = ["1", "2", "3"].into_iter().map(compared);
        let all: Vec<bool> = all.collect::<Result<_>>()?;
        Ok(all.iter().all(|c| *c).then_some(()))
    })?;
    let (_, edges) = cluster.stop()?;

    let mut nodes = Vec::new();
    for name in ["0", "1", "2", "3"] {
        let (events, wrong) = read(&std::fs::read_to_string(file(name))?);
        assert_eq!(wrong, 0, "{name}: ended in good order");
        nodes.push(events);
    }
    let merged = merge(nodes)?;
    assert_eq!(check(&merged.events), []);
    assert_eq!(merged.clocks.len(), 3);

    // Tasks: as many as the edges count, on their workers' tracks.
    let slices = |cat: &'static str| {
        merged
            .events
            .iter()
            .filter(move |e| e.ph == Phase::Slice && e.cat == cat)
    };
    let tails = slices("compute").filter(|e| e.tid == tracks::TAIL).count();
    assert_eq!(tails, FRAMES);
    let mut computed: BTreeMap<u32, u64> = BTreeMap::new();
    for e in slices("compute").filter(|e| e.tid >= tracks::WORKERS) {
        *computed.entry(e.pid).or_default() += 1;
    }
    for (number, edge) in (1_u16..).zip(&edges) {
        let tasks = edge.as_ref().context("statistics")?["tasks"]
            .as_array()
            .context("tasks")?;
        let jobs: u64 = tasks.iter().filter_map(|t| t["jobs"].as_u64()).sum();
        let drawn = computed.get(&tracks::process(number)).copied().unwrap_or(0);
        assert_eq!(drawn, jobs, "edge {number}");
    }
    // Frames begin and end at their source.
    let begun = merged
        .events
        .iter()
        .filter(|e| e.ph == Phase::Begin)
        .count();
    assert_eq!(begun, FRAMES);

    // The gateway has fetched something of every frame.
    let fetched: BTreeSet<u64> = slices("transfer")
        .filter(|e| e.pid == tracks::process(0))
        .filter_map(|e| e.number("frame"))
        .collect();
    assert_eq!(fetched.len(), FRAMES);

    flows_lead_from_board_to_board(&merged.events);
    Ok(())
}

fn flows_lead_from_board_to_board(events: &[Event]) {
    let mut ends: BTreeMap<u64, (Vec<&Event>, Vec<&Event>)> = BTreeMap::new();
    for e in events {
        if let Some(flow) = e.bind_id {
            let (out, into) = ends.entry(flow).or_default();
            if e.flow_out {
                out.push(e);
            }
            if e.flow_in {
                into.push(e);
            }
        }
    }
    let mut kinds = BTreeSet::new();
    for (flow, (out, into)) in &ends {
        for (from, to) in out.iter().flat_map(|o| into.iter().map(move |i| (o, i))) {
            assert_ne!(from.pid, to.pid, "flow {flow}");
            assert_eq!(from.number("frame"), to.number("frame"), "flow {flow}");
            kinds.insert((from.cat.as_str(), to.cat.as_str()));
        }
    }
    let wanted = [("lease", "compute"), ("transfer", "transfer")];
    assert_eq!(kinds, BTreeSet::from(wanted));
}
