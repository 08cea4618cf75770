//! A cluster through everything at once: its gateway restarted, a worker frozen, weights replaced, numbers
//! doubled. Every accepted frame gets one record, and healthy sources go on.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use tessera_tests::rig::{Cluster, Edge, End, NodeBinary, Process, SHORT, Setup, wait_for};

use crate::{
    common::{Frames, LONG, number},
    deaths::hold,
    stuck::impatient,
};

/// Frames of every source, in stages of three; from the second stage on the first one comes when it is called.
const FRAMES: usize = 12;
const STAGE: usize = 3;

struct Sources {
    frames: Vec<Frames>,
    fifos: Vec<Vec<PathBuf>>,
}

impl Sources {
    fn new(node: &NodeBinary) -> Result<Self> {
        let frames: Vec<Frames> = (0..3)
            .map(|i| Frames::new(node, FRAMES, 100 + i))
            .collect::<Result<_>>()?;
        let fifos = |f: &Frames| {
            (1..FRAMES / STAGE)
                .map(|k| f.fifo(&k.to_string()))
                .collect()
        };
        let fifos = frames.iter().map(fifos).collect::<Result<_>>()?;
        Ok(Self { frames, fifos })
    }

    fn edge(&self, i: usize) -> Edge {
        let mut files = self.frames[i].files.clone();
        for (k, fifo) in self.fifos[i].iter().enumerate() {
            files[STAGE * (k + 1)].clone_from(fifo);
        }
        impatient(Edge::source(1, files))
    }

    /// Lets stage `k` of all sources begin.
    fn begin(&self, k: usize) -> Result<()> {
        for (f, fifos) in self.frames.iter().zip(&self.fifos) {
            f.feed(&fifos[k - 1], STAGE * k)?;
        }
        Ok(())
    }
}

/// Waits until each of `sources` has `count` records.
fn wait(cluster: &Cluster, sources: &[usize], count: usize) -> Result<()> {
    wait_for(LONG, || {
        let records = cluster.records()?;
        let of = |s: &usize| records.iter().filter(|r| r["source"] == *s).count();
        Ok(sources.iter().all(|s| of(s) >= count).then_some(()))
    })
    .with_context(|| cluster.complaints())
}

#[test]
fn a_cluster_through() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let good = crate::common::node("two-3x3-2x2");
    let weights = dir.path().join("weights.bin");
    fs::copy(&good.weights, &weights)?;
    let node = NodeBinary {
        weights: weights.clone(),
        ..good.clone()
    };
    let sources = Sources::new(&good)?;
    let setup = Setup {
        edges: (0..3)
            .map(|i| sources.edge(i))
            .chain([impatient(Edge::thief(1))])
            .collect(),
        ..Setup::default()
    };
    let mut cluster = Cluster::start(&node, setup)?;
    wait(&cluster, &[1, 2, 3], STAGE)?;

    // The gateway is restarted with frames in flight, as a service manager does it.
    sources.begin(1)?;
    assert_eq!(cluster.gateway.stop(SHORT)?, End::Code(0));
    cluster.start_gateway_again()?;
    wait(&cluster, &[1, 2, 3], 2 * STAGE)?;

    // A worker freezes, and the weights are replaced by nonsense before its successor starts. The others go on.
    let frozen = hold(&cluster.edges[1])?;
    let new = weights.with_extension("new");
    fs::write(&new, "nonsense")?;
    fs::rename(&new, &weights)?;
    sources.begin(2)?;
    wait(&cluster, &[1, 3], 3 * STAGE)?;
    wait(&cluster, &[2], 3 * STAGE)?;
    wait_for(LONG, || {
        Ok((!cluster.edges[1].children()?.contains(&frozen)).then_some(()))
    })?;

    // Somebody takes the thief's number for a while.
    let addr = cluster.gateway.event("listening", SHORT)?["addr"].clone();
    let mut command = good.command("edge");
    command.args(["--gateway", addr.as_str().context("an address")?]);
    command.args(["--id", "4"]);
    let double = Process::start(command, "double", dir.path())?;
    wait_for(SHORT, || {
        let said = cluster.edges[3].errors() + &double.errors();
        Ok(said.contains("will not have this node").then_some(()))
    })
    .context("one of the two is turned away")?;
    sources.begin(3)?;
    assert_eq!(double.stop(SHORT)?, End::Code(0));
    let records = cluster.wait_records(3 * FRAMES, LONG)?;

    for (i, f) in sources.frames.iter().enumerate() {
        f.check(i + 1, &records)?;
        let event = cluster.edges[i].event("finished", LONG)?;
        assert_eq!(event["dropped"], 0);
    }
    for edge in &cluster.edges {
        assert_eq!(edge.stop(SHORT)?, End::Code(0), "{}", edge.complaint());
    }
    assert_eq!(number(&cluster.edges[1].stats()?, "/workers/0/starts"), 2);
    assert_eq!(cluster.gateway.stop(SHORT)?, End::Code(0));
    Ok(())
}
