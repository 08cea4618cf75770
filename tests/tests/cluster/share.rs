//! Work sharing through the gateway: of fused tiles (WSH), and of every layer in a strip for each edge (MoDNN's BODP).

use anyhow::{Context, Result};
use serde_json::Value;
use tessera_tests::rig::{Cluster, Edge, SHORT, Setup};

use crate::{
    common::{Frames, LONG, node, number},
    deaths::{hold, reaches, thieves_die},
    rough::stands_loss,
};

const SYSTEMS: [&str; 2] = ["two-6x1-3x2-share", "bodp-3x1-share"];

/// Bytes that a node fetched.
fn fetched(stats: &Value) -> u64 {
    let kinds = stats.pointer("/counters/fetched_bytes");
    let kinds = kinds
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    assert!(!kinds.is_empty(), "no bytes in {stats}");
    kinds.iter().filter_map(Value::as_u64).sum()
}

/// Bytes of floats.
const fn floats(values: u64) -> u64 {
    4 * values
}

#[test]
fn every_board_gets_its_share_and_all_goes_through_the_gateway() -> Result<()> {
    for name in SYSTEMS {
        let node = node(name);
        let frames = Frames::new(&node, 3, 50)?;
        let setup = Setup {
            edges: vec![
                Edge::source(1, frames.files.clone()),
                Edge::thief(1),
                Edge::thief(1),
            ],
            ..Setup::default()
        };
        let cluster = Cluster::start(&node, setup)?;
        let records = cluster.wait_records(3, LONG)?;
        frames.check(1, &records).context(name)?;
        frames.check_dump(&cluster, &records)?;
        let (gateway, edges) = cluster.stop()?;
        let edges: Vec<Value> = edges.into_iter().flatten().collect();
        assert_eq!(edges.len(), 3);
        // A board that has not asked for work when the first frame comes may miss its share of that frame.
        let late: u64 = edges
            .iter()
            .map(|e| number(e, "/counters/late_leases"))
            .sum();
        let backups: u64 = edges.iter().map(|e| number(e, "/counters/backups")).sum();
        for stats in &edges[1..] {
            assert!(number(stats, "/counters/tasks_stolen") >= 4, "{name}");
        }
        // The gateway has the frame, the halos that it passes on, and the last maps. 64 rows of 64 pixels of 3 channels.
        let frame = floats(64 * 64 * 3);
        assert!(fetched(&gateway) > 3 * frame, "{name}");
        if name.starts_with("bodp") && late + backups == 0 {
            let of_edges: u64 = edges.iter().map(fetched).sum();
            let inputs = frame + floats(4 * 64 * 3);
            let sent_on = of_edges / 3 - inputs;
            let to_gateway = fetched(&gateway) / 3;
            // The tail reads every layer's map, for the dump.
            let maps = [
                64 * 64 * 8,
                32 * 32 * 8,
                32 * 32 * 12,
                16 * 16 * 12,
                16 * 16 * 16,
            ];
            let maps: u64 = maps.map(floats).iter().sum();
            assert_eq!(
                to_gateway,
                frame + sent_on + maps,
                "{name}: a halo travels twice"
            );
            // Two borders of two rows each for the later two convolutions. The strips of 22, 22 and 20 rows are pooled to 11,
            // 11 and 10, and these to 6, 6 and 4, which read a row and two of their neighbours' strips.
            let halos = 4 * 32 * 8 + 4 * 16 * 12 + 3 * 32 * 12;
            assert_eq!(sent_on, floats(halos), "{name}");
        }
    }
    Ok(())
}

#[test]
fn every_board_may_die_in_mid_frame() -> Result<()> {
    SYSTEMS.into_iter().try_for_each(thieves_die)
}

#[test]
fn a_tenth_is_lost_and_nothing_changes() -> Result<()> {
    SYSTEMS.into_iter().try_for_each(stands_loss)
}

#[test]
fn two_sources_share_the_boards_and_one_may_die() -> Result<()> {
    for name in SYSTEMS {
        let node = node(name);
        let frames = [Frames::new(&node, 3, 53)?, Frames::new(&node, 2, 54)?];
        // The second source's last frame comes late, and the source dies while a worker holds it up.
        let fifo = frames[1].fifo("late")?;
        let setup = Setup {
            edges: vec![
                Edge::source(1, frames[0].files.clone()),
                Edge::source(1, [frames[1].files[0].clone(), fifo.clone()]),
                Edge::thief(1),
            ],
            ..Setup::default()
        };
        let cluster = Cluster::start(&node, setup)?;
        let records = cluster.wait_records(4, LONG)?;
        frames[0].check(1, &records).context(name)?;
        let doomed = &cluster.edges[1];
        let of_doomed = records.iter().filter(|r| r["source"] == 2);
        assert_eq!(of_doomed.count(), 1, "{name}");
        hold(doomed)?;
        let before = number(&doomed.ask(SHORT)?, "/counters/leases_issued");
        frames[1].feed(&fifo, 1)?;
        // The gateway has fetched the frame when the first task of it is leased.
        reaches(doomed, "/counters/leases_issued", before + 1)?;
        doomed.kill()?;
        doomed.wait_alone(SHORT)?;
        let records = cluster.wait_records(5, LONG)?;
        let last = records.iter().rfind(|r| r["source"] == 2);
        assert_eq!(
            last.context("a record")?["dropped"],
            "its source was lost",
            "{name}"
        );
        cluster.stop()?;
    }
    Ok(())
}

#[test]
fn a_gateway_that_comes_back_takes_the_frames_again() -> Result<()> {
    for name in SYSTEMS {
        let node = node(name);
        let frames = Frames::new(&node, 2, 55)?;
        let fifos = [frames.fifo("first")?, frames.fifo("second")?];
        let setup = Setup {
            edges: vec![
                Edge::source(1, fifos.clone()),
                Edge::thief(1),
                Edge::thief(1),
            ],
            ..Setup::default()
        };
        let mut cluster = Cluster::start(&node, setup)?;
        let worker = hold(&cluster.edges[0])?;
        frames.feed(&fifos[0], 0)?;
        frames.feed(&fifos[1], 1)?;
        reaches(&cluster.edges[0], "/counters/leases_issued", 1)?;
        cluster.restart_gateway()?;
        cluster.edges[0].pause_child(worker, false)?;
        let records = cluster.wait_records(2, LONG)?;
        frames.check(1, &records).context(name)?;
        cluster.stop()?;
    }
    Ok(())
}
