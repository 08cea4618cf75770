//! `weights.bin` under a running node: replaced, deleted, overwritten, cut short.

use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::Value;
use tessera_tests::rig::{Cluster, Edge, End, NodeBinary, SHORT, Setup, wait_for};

use crate::{
    common::{Frames, LONG, node, number, same},
    deaths::hold,
};

/// A node with a weights file of its own.
fn own(dir: &Path) -> Result<(NodeBinary, PathBuf)> {
    let mut node = node("one-2x3");
    let weights = dir.join("weights.bin");
    fs::copy(&node.weights, &weights)?;
    node.weights.clone_from(&weights);
    Ok((node, weights))
}

/// Every byte behind the header inverted, in place.
fn spoil(weights: &Path) -> Result<()> {
    let mut bytes = fs::read(weights)?;
    let header = tessera_plan::files::weights::HEADER_BYTES;
    bytes[header..].iter_mut().for_each(|b| *b = !*b);
    Ok(fs::write(weights, bytes)?)
}

/// Replaces the file by another, as a careful copy does.
fn replace(weights: &Path, by: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let new = weights.with_extension("new");
    fs::copy(weights, &new)?;
    by(&new)?;
    Ok(fs::rename(&new, weights)?)
}

/// Frames before and after something happens to the weights.
struct Run {
    frames: Frames,
    late: Vec<PathBuf>,
    cluster: Cluster,
    weights: PathBuf,
    _dir: tempfile::TempDir,
}

impl Run {
    fn new(seed: u64) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let (node, weights) = own(dir.path())?;
        let frames = Frames::new(&node, 3, seed)?;
        let late = vec![frames.fifo("late-1")?, frames.fifo("late-2")?];
        let files = [frames.files[0].clone(), late[0].clone(), late[1].clone()];
        let setup = Setup {
            edges: vec![Edge::source(1, files)],
            ..Setup::default()
        };
        let cluster = Cluster::start(&node, setup)?;
        cluster.wait_records(1, LONG)?;
        Ok(Self {
            frames,
            late,
            cluster,
            weights,
            _dir: dir,
        })
    }

    /// Kills the worker and waits for another.
    fn another_worker(&self) -> Result<()> {
        let edge = &self.cluster.edges[0];
        let old = edge.children()?;
        old.iter().try_for_each(|w| edge.kill_child(*w))?;
        wait_for(SHORT, || {
            let now = edge.children()?;
            Ok((!now.is_empty() && !now.contains(&old[0])).then_some(()))
        })
    }

    /// Checks that each record, if there is one, says what one process says.
    fn records_are_right(&self, records: &[Value]) -> Result<()> {
        for r in records.iter().filter(|r| !r["dropped"].is_string()) {
            let tag = r["tag"].as_u64().context("a tag")?;
            same(r, &self.frames.expected[usize::try_from(tag)?])?;
        }
        Ok(())
    }
}

#[test]
fn a_file_that_is_replaced_or_deleted_does_not_matter() -> Result<()> {
    let run = Run::new(90)?;
    // Half of it is another's: a worker that opened it would compute nonsense, or not start.
    replace(&run.weights, spoil)?;
    run.another_worker()?;
    run.frames.feed(&run.late[0], 1)?;
    run.cluster.wait_records(2, LONG)?;
    fs::remove_file(&run.weights)?;
    run.another_worker()?;
    run.frames.feed(&run.late[1], 2)?;
    let records = run.cluster.wait_records(3, LONG)?;
    run.frames.check(1, &records)?;
    let (_, edges) = run.cluster.stop()?;
    let stats = edges[0].as_ref().context("the source lives")?;
    assert_eq!(number(stats, "/workers/0/starts"), 3);
    Ok(())
}

/// Does `harm` to the weights: both nodes that use them end with a word about it, and no record is wrong.
fn harmed(seed: u64, harm: impl FnOnce(&Path) -> Result<()>, word: &str) -> Result<()> {
    let run = Run::new(seed)?;
    let (gateway, edge) = (&run.cluster.gateway, &run.cluster.edges[0]);
    harm(&run.weights)?;
    run.frames.feed(&run.late[0], 1)?;
    assert_eq!(edge.wait(LONG)?, End::Code(1), "{}", edge.complaint());
    let said = edge.errors();
    assert!(said.contains(word) && said.contains("copy"), "{said}");
    edge.wait_alone(SHORT)?;
    run.records_are_right(&run.cluster.records()?)?;
    assert_eq!(gateway.end()?, None, "it has not looked yet");
    Ok(())
}

#[test]
fn a_file_that_is_overwritten_ends_its_nodes_with_a_word() -> Result<()> {
    harmed(91, spoil, "damaged")
}

#[test]
fn a_file_that_is_cut_short_ends_its_nodes_with_a_word() -> Result<()> {
    let cut = |weights: &Path| {
        let file = OpenOptions::new().write(true).open(weights)?;
        Ok(file.set_len(100)?)
    };
    harmed(92, cut, "weights.bin")
}

#[test]
fn a_gateway_whose_file_changes_ends_alone() -> Result<()> {
    type Harm = fn(&Path) -> Result<()>;
    let cut: Harm = |weights| {
        let file = OpenOptions::new().write(true).open(weights)?;
        Ok(file.set_len(100)?)
    };
    for (seed, harm) in [(93, spoil as Harm), (94, cut)] {
        let dir = tempfile::tempdir()?;
        let (own, weights) = own(dir.path())?;
        let good = node("one-2x3");
        let frames = Frames::new(&good, 2, seed)?;
        let late = frames.fifo("late")?;
        // The gateway's file is its own; the edges' is the good one.
        let mut setup = Setup {
            edges: vec![Edge::source(1, [frames.files[0].clone(), late.clone()])],
            ..Setup::default()
        };
        setup.flags = vec!["--weights".into(), own.weights.display().to_string()];
        let mut cluster = Cluster::start(&good, setup)?;
        cluster.wait_records(1, LONG)?;
        harm(&weights)?;
        frames.feed(&late, 1)?;
        let end = cluster.gateway.wait(LONG)?;
        let said = cluster.gateway.errors();
        assert_eq!(end, End::Code(1), "{said}");
        assert!(said.contains("weights"), "{said}");
        // Put right, it goes on where it was.
        fs::copy(&good.weights, &weights)?;
        cluster.start_gateway_again()?;
        let records = cluster.wait_records(2, LONG)?;
        frames.check(1, &records)?;
        cluster.stop()?;
    }
    Ok(())
}

#[test]
fn a_file_that_is_written_with_the_same_bytes_is_verified_again() -> Result<()> {
    let run = Run::new(95)?;
    let worker = hold(&run.cluster.edges[0])?;
    let bytes = fs::read(&run.weights)?;
    let file = OpenOptions::new().write(true).open(&run.weights)?;
    std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0)?;
    run.cluster.edges[0].pause_child(worker, false)?;
    run.frames.feed(&run.late[0], 1)?;
    run.frames.feed(&run.late[1], 2)?;
    let records = run.cluster.wait_records(3, LONG)?;
    run.frames.check(1, &records)?;
    run.cluster.stop()?;
    Ok(())
}
