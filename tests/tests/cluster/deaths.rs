//! SIGKILL at the worst moment.

use std::path::PathBuf;

use anyhow::{Context, Result};
use tessera_tests::rig::{Cluster, Edge, Process, SHORT, Setup, wait_for};

use crate::common::{Frames, LONG, node, number};

/// A node that is a source of frames that come through a FIFO.
fn late(fifo: &std::path::Path) -> Edge {
    Edge::source(1, [PathBuf::from(fifo)])
}

/// Waits until the node has joined and its worker is there; stops the worker. Gives its id.
pub fn hold(node: &Process) -> Result<i32> {
    node.event("joined", SHORT)?;
    let worker = wait_for(SHORT, || {
        let child = node.children()?.first().copied();
        // Its name says that it has tied its life to its parent's.
        Ok(child.filter(|id| {
            let name = std::fs::read_to_string(format!("/proc/{id}/comm"));
            name.is_ok_and(|n| n.starts_with("tessera-worker"))
        }))
    })?;
    node.pause_child(worker, true)?;
    Ok(worker)
}

/// Waits until a counter of a running node reaches `least`.
pub fn reaches(node: &Process, pointer: &str, least: u64) -> Result<()> {
    wait_for(LONG, || {
        let stats = node.ask(SHORT)?;
        Ok((number(&stats, pointer) >= least).then_some(()))
    })
    .with_context(|| format!("{}: {pointer} stays below {least}", node.name()))
}

#[test]
fn a_thief_dies_in_mid_task() -> Result<()> {
    let node = node("one-4x4");
    let frames = Frames::new(&node, 1, 30)?;
    let fifo = frames.fifo("late")?;
    let setup = Setup {
        edges: vec![late(&fifo), Edge::thief(1)],
        ..Setup::default()
    };
    let cluster = Cluster::start(&node, setup)?;
    let (source, thief) = (&cluster.edges[0], &cluster.edges[1]);
    // Both workers stand still: the thief must get a task, and cannot finish it.
    let worker = hold(source)?;
    hold(thief)?;
    frames.feed(&fifo, 0)?;
    reaches(thief, "/counters/steals_taken", 1)?;
    thief.kill()?;
    thief.wait_alone(SHORT)?;
    source.pause_child(worker, false)?;

    let records = cluster.wait_records(1, LONG)?;
    frames.check(1, &records)?;
    frames.check_dump(&cluster, &records)?;
    let (_, edges) = cluster.stop()?;
    let stats = edges[0].as_ref().context("the source lives")?;
    assert!(number(stats, "/counters/leases_issued") >= 1);
    assert!(number(stats, "/counters/tasks_reissued") >= 1, "{stats}");
    assert_eq!(
        number(stats, "/counters/tasks_own"),
        16,
        "nobody else is left"
    );
    Ok(())
}

/// Two frames, of which either thief dies with tasks.
pub fn thieves_die(name: &str) -> Result<()> {
    let node = node(name);
    for victim in [1, 2] {
        let frames = Frames::new(&node, 2, 36)?;
        let fifos = [frames.fifo("first")?, frames.fifo("second")?];
        let setup = Setup {
            edges: vec![
                Edge::source(1, fifos.clone()),
                Edge::thief(1),
                Edge::thief(1),
            ],
            ..Setup::default()
        };
        let cluster = Cluster::start(&node, setup)?;
        let (source, doomed) = (&cluster.edges[0], &cluster.edges[victim]);
        let worker = hold(source)?;
        hold(doomed)?;
        frames.feed(&fifos[0], 0)?;
        frames.feed(&fifos[1], 1)?;
        reaches(doomed, "/counters/steals_taken", 1)?;
        doomed.kill()?;
        doomed.wait_alone(SHORT)?;
        source.pause_child(worker, false)?;
        let records = cluster.wait_records(2, LONG)?;
        frames.check(1, &records).context(name.to_owned())?;
        cluster.stop()?;
    }
    Ok(())
}

#[test]
fn every_board_may_die_in_mid_frame() -> Result<()> {
    let plans = ["two-6x1-3x2-homes", "two-6x1-3x2-steal"];
    plans.into_iter().try_for_each(thieves_die)
}

#[test]
fn a_worker_dies_in_mid_task() -> Result<()> {
    let node = node("two-3x3-2x2");
    let frames = Frames::new(&node, 1, 31)?;
    let fifo = frames.fifo("late")?;
    let setup = Setup {
        edges: vec![late(&fifo)],
        ..Setup::default()
    };
    let cluster = Cluster::start(&node, setup)?;
    let source = &cluster.edges[0];
    let worker = hold(source)?;
    frames.feed(&fifo, 0)?;
    reaches(source, "/counters/frames_accepted", 1)?;
    source.kill_child(worker)?;
    let records = cluster.wait_records(1, LONG)?;
    frames.check(1, &records)?;
    frames.check_dump(&cluster, &records)?;
    let (_, edges) = cluster.stop()?;
    let stats = edges[0].as_ref().context("the source lives")?;
    assert_eq!(number(stats, "/workers/0/starts"), 2);
    Ok(())
}

#[test]
fn a_source_dies_and_its_frame_is_dropped_by_name() -> Result<()> {
    // At home, tasks of a worker that stands still are done by others: the frame would be complete.
    let node = node("one-4x4-steal");
    let (doomed, other) = (Frames::new(&node, 1, 32)?, Frames::new(&node, 3, 33)?);
    let fifo = doomed.fifo("late")?;
    let setup = Setup {
        edges: vec![late(&fifo)],
        ..Setup::default()
    };
    let mut cluster = Cluster::start(&node, setup)?;
    hold(&cluster.edges[0])?;
    doomed.feed(&fifo, 0)?;
    reaches(&cluster.gateway, "/counters/frames_accepted", 1)?;
    // Others come, and help themselves to the doomed source's tasks too.
    cluster.join(&Edge::source(1, other.files.clone()))?;
    cluster.edges[1].event("finished", LONG)?;
    cluster.edges[0].kill()?;

    let records = cluster.wait_records(4, LONG)?;
    other.check(2, &records)?;
    let dropped: Vec<_> = records.iter().filter(|r| r["source"] == 1).collect();
    assert_eq!(dropped.len(), 1, "{records:?}");
    assert!(
        dropped[0]["dropped"].is_string() && dropped[0]["frame"] == 0,
        "{dropped:?}"
    );
    let (gateway, _) = cluster.stop()?;
    assert_eq!(number(&gateway, "/frames/dropped"), 1);
    assert_eq!(number(&gateway, "/frames/detections"), 3);
    Ok(())
}

#[test]
fn a_source_that_comes_back_starts_afresh() -> Result<()> {
    let node = node("one-2x3");
    let frames = Frames::new(&node, 1, 34)?;
    let fifo = frames.fifo("late")?;
    let setup = Setup {
        edges: vec![late(&fifo), Edge::thief(1)],
        ..Setup::default()
    };
    let mut cluster = Cluster::start(&node, setup)?;
    hold(&cluster.edges[0])?;
    frames.feed(&fifo, 0)?;
    reaches(&cluster.gateway, "/counters/frames_accepted", 1)?;
    // Killed, and back before anybody can have missed it.
    cluster.restart_edge(0, &Edge::source(1, frames.files.clone()))?;
    let records = cluster.wait_records(2, LONG)?;
    let (dropped, whole): (Vec<_>, Vec<_>) =
        records.into_iter().partition(|r| r["dropped"].is_string());
    assert_eq!(dropped.len(), 1);
    frames.check(1, &whole)?;
    assert!(whole[0]["epoch"].is_u64() && whole[0]["epoch"] != dropped[0]["epoch"]);
    cluster.stop()?;
    Ok(())
}

#[test]
fn the_gateway_restarts_and_nobody_else_does() -> Result<()> {
    let node = node("two-3x3-2x2");
    let frames = Frames::new(&node, 1, 35)?;
    let fifo = frames.fifo("late")?;
    let setup = Setup {
        edges: vec![late(&fifo), Edge::thief(1)],
        ..Setup::default()
    };
    let mut cluster = Cluster::start(&node, setup)?;
    let worker = hold(&cluster.edges[0])?;
    frames.feed(&fifo, 0)?;
    reaches(&cluster.gateway, "/counters/frames_accepted", 1)?;
    cluster.restart_gateway()?;
    cluster.edges[0].pause_child(worker, false)?;
    let records = cluster.wait_records(1, LONG)?;
    frames.check(1, &records)?;
    frames.check_dump(&cluster, &records)?;
    let (_, edges) = cluster.stop()?;
    assert!(edges.iter().all(Option::is_some), "both edges lived on");
    Ok(())
}
