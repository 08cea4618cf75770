//! Networks that lose, double, delay and reorder, and strangers who send nonsense.

use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    path::PathBuf,
};

use anyhow::{Context, Result};
use serde_json::Value;
use tessera_tests::{
    random::RandomSource,
    relay::Faults,
    rig::{Cluster, Edge, Process, SHORT, Setup},
};

use crate::{
    common::{Frames, LONG, node, number},
    deaths::{hold, reaches},
};

fn sum(edges: &[Option<Value>], pointer: &str) -> u64 {
    edges.iter().flatten().map(|e| number(e, pointer)).sum()
}

#[test]
fn paths_that_lose_long_datagrams_carry_frames_and_say_so() -> Result<()> {
    let node = node("two-3x3-2x2");
    let frames = Frames::new(&node, 3, 41)?;
    let faults = Faults {
        bytes_max: Some(900),
        ..Faults::NONE
    };
    let setup = Setup {
        edges: vec![Edge::source(1, frames.files.clone()), Edge::thief(1)],
        relay: Some((faults, 5)),
        ..Setup::default()
    };
    let cluster = Cluster::start(&node, setup)?;
    let records = cluster.wait_records(3, LONG)?;
    frames.check(1, &records)?;
    let counters = cluster.relay.as_ref().context("a relay")?.counters();
    assert!(counters.too_long > 0);
    let said = cluster.gateway.complaint();
    assert!(said.contains("large datagrams of node 1"), "{said}");
    cluster.stop()?;
    Ok(())
}

#[test]
fn a_tenth_is_lost_and_nothing_changes() -> Result<()> {
    let node = node("two-3x3-2x2");
    let frames = Frames::new(&node, 3, 40)?;
    let fifos: Vec<PathBuf> = (0..3)
        .map(|i| frames.fifo(&format!("late-{i}")))
        .collect::<Result<_>>()?;
    let setup = Setup {
        edges: vec![
            Edge::source(1, fifos.clone()),
            Edge::thief(1),
            Edge::thief(2),
        ],
        relay: Some((Faults::rough(0.1), 4)),
        ..Setup::default()
    };
    let cluster = Cluster::start(&node, setup)?;
    // The source's own worker stands still until a thief has got something: stealing is not left to
    // chance.
    let source = &cluster.edges[0];
    let worker = hold(source)?;
    frames.feed(&fifos[0], 0)?;
    frames.feed(&fifos[1], 1)?;
    reaches(source, "/counters/leases_issued", 1)?;
    source.pause_child(worker, false)?;
    frames.feed(&fifos[2], 2)?;
    let records = cluster.wait_records(3, LONG)?;
    frames.check(1, &records)?;
    let counters = cluster.relay.as_ref().context("a relay")?.counters();
    assert!(counters.lost > 0 && counters.duplicated > 0 && counters.held > 0);
    let (gateway, edges) = cluster.stop()?;
    let again = sum(&edges, "/counters/transfer/chunks_rerequested")
        + number(&gateway, "/counters/transfer/chunks_rerequested");
    assert!(again > 0, "chunks were lost");
    assert!(sum(&edges, "/counters/steals_taken") > 0);
    Ok(())
}

/// Three frames, with a tenth of all datagrams lost.
pub fn stands_loss(name: &str) -> Result<()> {
    let node = node(name);
    let frames = Frames::new(&node, 3, 43)?;
    let setup = Setup {
        edges: vec![
            Edge::source(1, frames.files.clone()),
            Edge::thief(1),
            Edge::thief(1),
        ],
        relay: Some((Faults::rough(0.1), 6)),
        ..Setup::default()
    };
    let cluster = Cluster::start(&node, setup)?;
    let records = cluster.wait_records(3, LONG)?;
    frames.check(1, &records).context(name.to_owned())?;
    let counters = cluster.relay.as_ref().context("a relay")?.counters();
    assert!(counters.lost > 0, "{name}");
    cluster.stop()?;
    Ok(())
}

#[test]
fn cut_plans_of_both_placements_stand_loss() -> Result<()> {
    let plans = ["two-6x1-3x2-homes", "two-6x1-3x2-steal"];
    plans.into_iter().try_for_each(stands_loss)
}

/// A thousand datagrams of nonsense: noise, cut and bent ones, long ones.
fn storm(stranger: &UdpSocket, to: SocketAddr, random: &mut RandomSource, samples: &[Vec<u8>]) {
    for i in 0..1000u32 {
        let len = match i % 50 {
            0 => 4000,
            _ => random.index(0, 1472),
        };
        let mut bytes = vec![0u8; len];
        bytes.fill_with(|| random.word() as u8);
        if let Some(sample) = samples.get(random.index(0, 2 * samples.len())) {
            bytes.clone_from(sample);
            let at = random.index(0, bytes.len().max(1) - 1);
            if i % 2 == 0 {
                bytes.truncate(at);
            } else if let Some(b) = bytes.get_mut(at) {
                *b ^= 1 << random.below(8);
            }
        }
        let _ = stranger.send_to(&bytes, to);
    }
}

fn addr(node: &Process, event: &str) -> Result<SocketAddr> {
    let event = node.event(event, SHORT)?;
    Ok(event["addr"].as_str().context("an address")?.parse()?)
}

#[test]
fn nonsense_is_counted_and_changes_nothing() -> Result<()> {
    let node = node("one-4x4");
    let frames = Frames::new(&node, 3, 41)?;
    let fifo = frames.fifo("late")?;
    let mut files = frames.files.clone();
    files[2].clone_from(&fifo);
    let setup = Setup {
        edges: vec![Edge::source(1, files), Edge::thief(1)],
        ..Setup::default()
    };
    let cluster = Cluster::start(&node, setup)?;
    let nodes = [
        (&cluster.gateway, addr(&cluster.gateway, "listening")?),
        (&cluster.edges[0], addr(&cluster.edges[0], "joined")?),
        (&cluster.edges[1], addr(&cluster.edges[1], "joined")?),
    ];
    // What real nodes say, to be bent: a thief that asks to join. No bit turns its number, 12, into
    // one of the others': without authentication it could take their place.
    let mut random = RandomSource::new(41);
    let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let ear = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    ear.set_read_timeout(Some(SHORT))?;
    let dir = tempfile::tempdir()?;
    let mut samples = Vec::new();
    {
        let mut command = std::process::Command::new(&node.path);
        command.args(["--program", "one-4x4", "edge", "--id", "12", "--gateway"]);
        command.arg(ear.local_addr()?.to_string());
        command.arg("--weights").arg(&node.weights);
        let _talker = Process::start(command, "talker", dir.path())?;
        for _ in 0..3 {
            let mut bytes = vec![0; 2000];
            let len = ear.recv(&mut bytes)?;
            bytes.truncate(len);
            samples.push(bytes);
        }
    }
    for (process, to) in &nodes {
        storm(&stranger, *to, &mut random, &samples);
        // It still answers.
        reaches(process, "/socket/datagrams_received", 1)?;
    }
    frames.feed(&fifo, 2)?;
    for (_, to) in &nodes {
        storm(&stranger, *to, &mut random, &samples);
    }
    let records = cluster.wait_records(3, LONG)?;
    frames.check(1, &records)?;
    let (gateway, edges) = cluster.stop()?;
    for stats in [Some(gateway)].iter().chain(&edges) {
        let stats = stats.as_ref().context("all live")?;
        assert!(number(stats, "/socket/truncated") > 0);
        let rejected = stats.pointer("/counters/traffic/rejected");
        let rejected: u64 = rejected
            .and_then(Value::as_object)
            .map_or(0, |m| m.values().filter_map(Value::as_u64).sum());
        assert!(rejected > 100, "{rejected} rejected: {stats}");
    }
    Ok(())
}
