//! Reused borders: tiles of one colour hand strips to those of the other, which compute again what does not come in time.

use anyhow::{Context, Result};
use serde_json::Value;
use tessera_tests::rig::{Cluster, Edge, Setup};

use crate::{
    common::{Frames, LONG, node, number, plan},
    deaths::thieves_die,
    rough::stands_loss,
};

const PLANS: [&str; 2] = ["reuse-3x3-homes", "reuse-3x3-queue"];

/// Multiply-adds of a frame's tiles, if all strips come in time.
fn counted(name: &str) -> u64 {
    let tiles = plan(name).dataflow.stages.iter().flat_map(|s| &s.tiles);
    tiles
        .filter(|t| t.instead_of.is_none())
        .map(|t| t.macs)
        .sum()
}

fn three(frames: &[std::path::PathBuf]) -> Setup {
    Setup {
        edges: vec![
            Edge::source(1, frames.to_vec()),
            Edge::thief(1),
            Edge::thief(1),
        ],
        ..Setup::default()
    }
}

fn sum(edges: &[Value], counter: &str) -> u64 {
    edges.iter().map(|e| number(e, counter)).sum()
}

#[test]
fn what_is_computed_is_what_is_counted() -> Result<()> {
    for name in PLANS {
        let node = node(name);
        let frames = Frames::new(&node, 4, 60)?;
        let cluster = Cluster::start(&node, three(&frames.files))?;
        let records = cluster.wait_records(4, LONG)?;
        frames.check(1, &records).context(name)?;
        frames.check_dump(&cluster, &records)?;
        let (_, edges) = cluster.stop()?;
        let edges: Vec<Value> = edges.into_iter().flatten().collect();
        let again = ["strips_late", "late_leases", "backups", "tasks_reissued"];
        let again: u64 = again
            .iter()
            .map(|c| sum(&edges, &format!("/counters/{c}")))
            .sum();
        let macs = sum(&edges, "/counters/macs");
        if again == 0 {
            assert_eq!(macs, 4 * counted(name), "{name}");
        } else {
            assert!(macs >= 4 * counted(name), "{name}");
        }
    }
    Ok(())
}

/// One process computes it all, with all strips late too.
#[test]
fn late_strips_change_no_bit() -> Result<()> {
    for name in PLANS {
        let node = node(name);
        let frames = Frames::new(&node, 1, 61)?;
        for late in ["all", "0,3,7"] {
            let mut flags: Vec<std::ffi::OsString> = vec!["--input-f32".into()];
            flags.push(frames.files[0].clone().into());
            flags.extend(["--late-strips".into(), late.into()]);
            let (records, _) = node.solo_says(&flags, LONG)?;
            assert_eq!(
                records[0]["detections"], frames.expected[0]["detections"],
                "{late}"
            );
        }
    }
    Ok(())
}

#[test]
fn every_board_may_die_in_mid_frame() -> Result<()> {
    PLANS.into_iter().try_for_each(thieves_die)
}

#[test]
fn a_tenth_is_lost_and_nothing_changes() -> Result<()> {
    PLANS.into_iter().try_for_each(stands_loss)
}
