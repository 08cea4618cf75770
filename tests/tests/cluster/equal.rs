//! Clusters without trouble: the same bits as one process, for any plan, edges, workers, sources.

use anyhow::Result;
use serde_json::Value;
use tessera_tests::rig::{Cluster, Edge, SHORT, Setup};

use crate::common::{Frames, LONG, node, number, programs};

fn cluster_equals_solo(edges: usize, workers: usize) -> Result<()> {
    teams_equal_solo(edges, workers, 1)
}

/// `threads` share a worker's task.
fn teams_equal_solo(edges: usize, workers: usize, threads: usize) -> Result<()> {
    for name in programs() {
        let node = node(name);
        let frames = Frames::new(&node, 2, edges as u64)?;
        let mut all = vec![Edge::source(workers, frames.files.clone())];
        all.resize(edges, Edge::thief(workers));
        for edge in &mut all {
            edge.flags = vec!["--threads".into(), threads.to_string()];
        }
        let setup = Setup {
            edges: all,
            threads: 2,
            ..Setup::default()
        };
        let cluster = Cluster::start(&node, setup)?;
        let records = cluster.wait_records(2, LONG)?;
        frames.check(1, &records)?;
        frames.check_dump(&cluster, &records)?;
        cluster.edges[0].event("finished", SHORT)?;
        let (gateway, edges) = cluster.stop()?;
        assert_eq!(number(&gateway, "/frames/detections"), 2);
        let tasks: u64 = edges
            .iter()
            .flatten()
            .map(|e| number(e, "/counters/tasks_own") + number(e, "/counters/tasks_stolen"))
            .sum();
        assert!(tasks > 0);
    }
    Ok(())
}

#[test]
fn one_edge_one_worker() -> Result<()> {
    cluster_equals_solo(1, 1)
}

#[test]
fn one_edge_two_workers() -> Result<()> {
    cluster_equals_solo(1, 2)
}

#[test]
fn two_edges() -> Result<()> {
    cluster_equals_solo(2, 1)
}

#[test]
fn three_edges_two_workers() -> Result<()> {
    cluster_equals_solo(3, 2)
}

#[test]
fn two_edges_whose_workers_have_three_threads() -> Result<()> {
    teams_equal_solo(2, 1, 3)
}

#[test]
fn several_sources_at_once() -> Result<()> {
    let node = node("two-3x3-2x2");
    let frames: Vec<Frames> = (0..3)
        .map(|i| Frames::new(&node, 4, 10 + i))
        .collect::<Result<_>>()?;
    let sources = frames.iter().map(|f| Edge::source(1, f.files.clone()));
    let setup = Setup {
        edges: sources.chain([Edge::thief(1)]).collect(),
        ..Setup::default()
    };
    let cluster = Cluster::start(&node, setup)?;
    let records = cluster.wait_records(12, LONG)?;
    for (i, f) in frames.iter().enumerate() {
        f.check(i + 1, &records)?;
        let event = cluster.edges[i].event("finished", SHORT)?;
        assert_eq!(
            (&event["detections"], &event["dropped"]),
            (&4.into(), &0.into())
        );
    }
    let (_, edges) = cluster.stop()?;
    for stats in edges.iter().take(3).flatten() {
        let each = stats["frames"]["each"].as_array().map_or(0, Vec::len);
        assert_eq!(each, 4, "one latency per frame");
    }
    Ok(())
}

#[test]
fn whole_frames_of_two_sources() -> Result<()> {
    let node = node("whole-1x1");
    let frames: Vec<Frames> = (0..2)
        .map(|i| Frames::new(&node, 6, 20 + i))
        .collect::<Result<_>>()?;
    let sources = frames.iter().map(|f| Edge::source(1, f.files.clone()));
    let setup = Setup {
        edges: sources.chain([Edge::thief(2)]).collect(),
        ..Setup::default()
    };
    let cluster = Cluster::start(&node, setup)?;
    let records = cluster.wait_records(12, LONG)?;
    for (i, f) in frames.iter().enumerate() {
        f.check(i + 1, &records)?;
        cluster.edges[i].event("finished", SHORT)?;
    }
    let (gateway, edges) = cluster.stop()?;
    assert_eq!(number(&gateway, "/frames/detections"), 12);
    let ran = |e: &Value| number(e, "/counters/tasks_own") + number(e, "/counters/tasks_stolen");
    let ran: u64 = edges.iter().flatten().map(ran).sum();
    assert!(ran >= 12, "every frame is a task of its own: {ran}");
    Ok(())
}

#[test]
fn a_gateway_with_a_count_ends_the_run() -> Result<()> {
    let node = node("one-2x3");
    let frames = Frames::new(&node, 2, 5)?;
    let setup = Setup {
        edges: vec![Edge::source(1, frames.files.clone()), Edge::thief(1)],
        frames: Some(2),
        ..Setup::default()
    };
    let cluster = Cluster::start(&node, setup)?;
    let records = cluster.wait_records(2, LONG)?;
    frames.check(1, &records)?;
    for process in [&cluster.gateway, &cluster.edges[0], &cluster.edges[1]] {
        assert_eq!(process.wait(LONG)?, tessera_tests::rig::End::Code(0));
        process.stats()?;
    }
    Ok(())
}
