//! Workers that stand still, and memory that runs out.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use tessera_needs::needs;
use tessera_tests::rig::{Cluster, Edge, End, Group, Process, SHORT, Setup, wait_for};

use crate::{
    common::{Frames, LONG, node, number},
    deaths::{hold, reaches},
};

/// Replaces workers that have stood still for a second.
pub fn impatient(mut edge: Edge) -> Edge {
    edge.flags = vec!["--stuck-after".into(), "1".into()];
    edge
}

#[test]
fn a_frozen_worker_is_replaced_and_its_task_redone() -> Result<()> {
    let node = node("two-3x3-2x2");
    let frames = Frames::new(&node, 3, 80)?;
    let fifo = frames.fifo("late")?;
    let files = [
        fifo.clone(),
        frames.files[1].clone(),
        frames.files[2].clone(),
    ];
    let setup = Setup {
        edges: vec![impatient(Edge::source(1, files))],
        ..Setup::default()
    };
    let cluster = Cluster::start(&node, setup)?;
    let source = &cluster.edges[0];
    let worker = hold(source)?;
    frames.feed(&fifo, 0)?;
    // Nobody lets it go on.
    let records = cluster.wait_records(3, LONG)?;
    frames.check(1, &records)?;
    assert!(!source.children()?.contains(&worker));
    assert!(
        source.errors().contains("stood still"),
        "{}",
        source.errors()
    );
    let (_, edges) = cluster.stop()?;
    let stats = edges[0].as_ref().context("the source lives")?;
    assert_eq!(number(stats, "/workers/0/starts"), 2);
    Ok(())
}

#[test]
fn frozen_sources_do_not_stall_a_healthy_one() -> Result<()> {
    let node = node("one-2x3");
    let stalled: Vec<Frames> = (0..4)
        .map(|i| Frames::new(&node, 2, 81 + i))
        .collect::<Result<_>>()?;
    let healthy = Frames::new(&node, 6, 85)?;
    let fifos: Vec<_> = (stalled.iter())
        .map(|f| f.fifo("late"))
        .collect::<Result<_>>()?;
    let source = |f: &PathBuf, frames: &Frames| {
        impatient(Edge::source(1, [f.clone(), frames.files[1].clone()]))
    };
    let setup = Setup {
        edges: (fifos.iter().zip(&stalled))
            .map(|(f, frames)| source(f, frames))
            .collect(),
        ..Setup::default()
    };
    let mut cluster = Cluster::start(&node, setup)?;
    let workers: Vec<i32> = (cluster.edges.iter()).map(hold).collect::<Result<_>>()?;
    for (fifo, frames) in fifos.iter().zip(&stalled) {
        frames.feed(fifo, 0)?;
    }
    reaches(&cluster.gateway, "/counters/frames_accepted", 8)?;
    // The gateway's frames are taken, and nobody works at them.
    cluster.join(&Edge::source(1, healthy.files.clone()))?;
    let records = cluster.wait_records(14, LONG)?;
    healthy.check(5, &records)?;
    for (i, frames) in stalled.iter().enumerate() {
        frames.check(i + 1, &records)?;
    }
    // Other boards may have done the work of a frozen worker before it is found out.
    for (edge, worker) in cluster.edges.iter().zip(workers) {
        wait_for(SHORT, || {
            Ok((!edge.children()?.contains(&worker)).then_some(()))
        })
        .with_context(|| format!("worker {worker} is replaced"))?;
    }
    cluster.stop()?;
    Ok(())
}

#[needs(freezer_group)]
#[test]
fn a_worker_that_cannot_even_be_killed_is_replaced() -> Result<()> {
    let node = node("two-3x3-2x2");
    let frames = Frames::new(&node, 2, 87)?;
    let fifo = frames.fifo("late")?;
    let group = ControlGroup::new("freezer", ("freezer.state", "THAWED"))?;
    let setup = Setup {
        edges: vec![impatient(Edge::source(
            1,
            [fifo.clone(), frames.files[1].clone()],
        ))],
        ..Setup::default()
    };
    let cluster = Cluster::start(&node, setup)?;
    let source = &cluster.edges[0];
    source.event("joined", SHORT)?;
    let frozen = workers(source, 1)?[0];
    // As a disk does that does not answer: not even SIGKILL ends it.
    group.write("cgroup.procs", frozen)?;
    group.write("freezer.state", "FROZEN")?;
    frames.feed(&fifo, 0)?;
    let records = cluster.wait_records(2, LONG)?;
    frames.check(1, &records)?;
    assert!(source.children()?.contains(&frozen), "it is still there");
    assert!(
        source.errors().contains("held by the system"),
        "{}",
        source.errors()
    );
    group.write("freezer.state", "THAWED")?;
    wait_for(SHORT, || {
        let name = fs::read_to_string(format!("/proc/{frozen}/cmdline"));
        Ok(name.map_or(true, |n| n.is_empty()).then_some(()))
    })
    .context("it ends when it may")?;
    cluster.stop()?;
    Ok(())
}

fn score(pid: i32) -> Result<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/oom_score_adj"))?;
    Ok(text.trim().parse()?)
}

/// The ids of an edge's workers, when they wait for jobs.
fn workers(edge: &Process, count: usize) -> Result<Vec<i32>> {
    wait_for(SHORT, || {
        let children = edge.children()?;
        let named = |id: &i32| {
            let name = fs::read_to_string(format!("/proc/{id}/comm"));
            name.is_ok_and(|n| n.starts_with("tessera-worker"))
        };
        let all = children.len() == count && children.iter().all(named);
        Ok(all.then_some(children))
    })
}

#[test]
fn workers_are_offered_when_memory_is_short() -> Result<()> {
    let setup = Setup {
        edges: vec![Edge::thief(2)],
        ..Setup::default()
    };
    let cluster = Cluster::start(&node("one-2x3"), setup)?;
    let edge = &cluster.edges[0];
    for worker in workers(edge, 2)? {
        wait_for(SHORT, || Ok((score(worker)? == 1000).then_some(())))?;
    }
    assert_eq!(
        score(edge.id())?,
        score(i32::try_from(std::process::id())?)?
    );
    assert_eq!(score(cluster.gateway.id())?, score(edge.id())?);
    cluster.stop()?;
    Ok(())
}

/// A control group; it goes with its owner, when nobody is left in it.
struct ControlGroup {
    path: PathBuf,
    /// What it must hold before it can go: a file, its content.
    undo: (&'static str, &'static str),
}

impl ControlGroup {
    fn new(controller: &str, undo: (&'static str, &'static str)) -> Result<Self> {
        let name = format!("tessera-test-{}", std::process::id());
        let group = Path::new("/sys/fs/cgroup").join(controller).join(name);
        fs::create_dir(&group)?;
        Ok(Self { path: group, undo })
    }

    fn write(&self, file: &str, what: impl ToString) -> Result<()> {
        let path = self.path.join(file);
        fs::write(&path, what.to_string()).with_context(|| path.display().to_string())
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        let _ = self.write(self.undo.0, self.undo.1);
        let _ = wait_for(SHORT, || {
            Ok(fs::remove_dir(&self.path).is_ok().then_some(()))
        });
    }
}

#[needs(memory_group)]
#[test]
fn under_a_memory_limit_a_worker_goes_first() -> Result<()> {
    let node = node("one-2x3");
    let frames = Frames::new(&node, 1, 86)?;
    let fifo = frames.fifo("late")?;
    let limit = ControlGroup::new("memory", ("memory.limit_in_bytes", "-1"))?;
    let setup = Setup {
        edges: vec![Edge::source(2, [fifo.clone()])],
        ..Setup::default()
    };
    let cluster = Cluster::start(&node, setup)?;
    let edge = &cluster.edges[0];
    edge.event("joined", SHORT)?;
    let all = workers(edge, 2)?;
    for worker in &all {
        wait_for(SHORT, || Ok((score(*worker)? == 1000).then_some(())))?;
    }
    for id in all.iter().chain([&edge.id()]) {
        limit.write("cgroup.procs", id)?;
    }
    limit.write("memory.limit_in_bytes", 32 << 20)?;
    // Somebody among them fills memory that is no process' own and that no death but its own gives back. Its buffer
    // makes it larger than the network process.
    let procs = limit.path.join("cgroup.procs");
    let mut hog = Command::new("sh");
    let words = "echo $$ > \"$1\"; exec 3> /dev/shm/tessera-$$; rm /dev/shm/tessera-$$; \
                 exec dd if=/dev/zero bs=8M count=100 >&3";
    hog.args(["-c", words, "sh"]).arg(procs);
    let dir = tempfile::tempdir()?;
    let hog = Group::start(hog, "hog", dir.path())?;
    assert_ne!(hog.wait(LONG)?, End::Code(0), "there was no limit");
    // The edge has yet to see them off.
    wait_for(SHORT, || {
        let left = edge.children()?;
        Ok((!all.iter().any(|w| left.contains(w))).then_some(()))
    })
    .context("workers went first")?;
    assert_eq!(edge.end()?, None, "the network process lives");
    limit.write("memory.limit_in_bytes", -1)?;
    frames.feed(&fifo, 0)?;
    let records = cluster.wait_records(1, LONG)?;
    frames.check(1, &records)?;
    cluster.stop()?;
    Ok(())
}
