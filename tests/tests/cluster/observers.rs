//! Observers: they read records and metrics, and can do nothing else.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tessera_plan::files::cluster::OBSERVERS_FROM;
use tessera_protocol::{
    FrameNumber, RequestId, TaskId,
    wire::{self, ChunkRange, Envelope, Finished, Message, MessageKind, Report},
};
use tessera_secure::Way;
use tessera_tests::{
    insider::Insider,
    keys::Keys,
    rig::{Cluster, Edge, Process, wait_for},
};

use crate::{
    common::{Frames, LONG, node, number},
    deaths::reaches,
    sealed::{refused, setup},
    strangers::{info, request_of_frame},
};

/// A source, a thief, and somebody who looks on.
fn watched() -> Result<Keys> {
    Keys::new(&[
        ("edge-1", &["edge", "source"]),
        ("edge-2", &["edge"]),
        ("desk", &["observer"]),
    ])
}

/// The address that a node said it has.
fn address(node: &Process, event: &str) -> Result<std::net::SocketAddr> {
    let event = node.event(event, LONG)?;
    Ok(event["addr"].as_str().context("an address")?.parse()?)
}

#[test]
fn observers_read_records_and_metrics() -> Result<()> {
    let keys = watched()?;
    let node = node("one-4x4");
    let frames = Frames::new(&node, 3, 95)?;
    let source = Edge::source(1, frames.files.clone());
    let cluster = Cluster::start(&node, setup(&keys, source, 1))?;
    let dir = tempfile::tempdir()?;
    let mut command = node.command("observe");
    command.args(keys.flags("desk")).arg("--gateway");
    command.arg(address(&cluster.gateway, "listening")?.to_string());
    let desk = Process::start(command, "desk", dir.path())?;
    let written = cluster.wait_records(3, LONG)?;
    let read = wait_for(LONG, || {
        let lines = desk.lines();
        Ok((lines.len() >= 3).then_some(lines))
    })
    .with_context(|| format!("records: {}", desk.complaint()))?;
    let read: Vec<Value> = (read.iter())
        .map(|line| serde_json::from_str(line))
        .collect::<Result<_, _>>()?;
    assert_eq!(read, written);
    frames.check(1, &read)?;
    let shown = wait_for(LONG, || {
        let text = std::fs::read(desk.stats_file()).unwrap_or_default();
        let value = serde_json::from_slice::<Value>(&text).ok();
        Ok(value.filter(|v| v.pointer("/frames/detections") == Some(&3.into())))
    });
    let shown: Value = shown.with_context(|| format!("metrics: {}", desk.complaint()))?;
    assert_eq!(shown["role"], "gateway");
    assert!(number(&shown, "/observed/asked") > 0, "{shown}");
    drop(desk);
    cluster.stop()?;
    Ok(())
}

#[test]
fn observers_can_do_nothing_else() -> Result<()> {
    let keys = watched()?;
    let node = node("one-4x4-steal");
    let info = info(&node)?;
    let frames = Frames::new(&node, 1, 96)?;
    let fifo = frames.fifo("late")?;
    let cluster = Cluster::start(&node, setup(&keys, Edge::source(1, [fifo.clone()]), 1))?;
    reaches(&cluster.gateway, "/counters/nodes_joined", 2)?;
    let gateway = address(&cluster.gateway, "listening")?;
    let source = address(&cluster.edges[0], "joined")?;
    let links = keys.links("desk", 5, Some(wire::sender))?;
    let mut desk = Insider::new(OBSERVERS_FROM, links, info.clone(), gateway)?;
    // It is nobody's edge, so it is not answered.
    for _ in 0..20 {
        desk.beat(&[1]);
        desk.listen(Duration::from_millis(20));
    }
    let life = cluster.gateway.ask(LONG)?["pid"].as_u64();
    assert!(
        life.is_some() && desk.got.is_empty() && desk.gateway_life.is_none(),
        "{:?}",
        desk.got
    );
    let to_gateway = desk.gateway();
    let to_source = Way {
        number: 1,
        process: None,
        address: source,
    };
    frames.feed(&fifo, 0)?;
    let ranges = [ChunkRange {
        start: 0.into(),
        count: 1.into(),
    }];
    for turn in 0..50 {
        let life = desk.me.incarnation;
        let pull = Message::Pull(request_of_frame(&info, life, turn, &ranges));
        let report = Report {
            number: FrameNumber(0),
            task: TaskId(turn % 16),
            request: RequestId(turn),
        };
        let request = RequestId(turn);
        let arithmetic = 0;
        let all = [
            pull,
            Message::StealClient { request },
            Message::StealGateway { seq: turn },
            Message::Done(Finished { report, arithmetic }),
            Message::Stop,
            Message::Bye,
        ];
        for message in all {
            for to in [to_gateway, to_source] {
                // What an observer knows of others' processes it may have from a recording.
                let me = Envelope {
                    to_incarnation: Some(desk.me.incarnation),
                    ..desk.me
                };
                desk.say(to, me, &message);
            }
        }
        desk.listen(Duration::from_millis(5));
    }
    let records = cluster.wait_records(1, LONG)?;
    frames.check(1, &records)?;
    frames.check_dump(&cluster, &records)?;
    assert!(
        !desk.got.iter().any(|(_, kind)| *kind != MessageKind::Shown),
        "{:?}",
        desk.got
    );
    let stats = cluster.gateway.ask(LONG)?;
    assert!(number(&stats, "/observed/refused") > 100, "{stats}");
    assert_eq!(number(&stats, "/counters/nodes_joined"), 2);
    assert_eq!(number(&stats, "/counters/nodes_lost"), 0);
    // Boards have no session with it.
    let unknown = refused(&cluster.edges[0], "unknown_peer")?;
    assert!(unknown > 0);
    cluster.stop()?;
    Ok(())
}
