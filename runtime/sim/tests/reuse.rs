//! Tasks that hand strips to each other, and others that stand in for them: over many seeds, with trouble of every kind,
//! every frame ends with the right values. The simulator compares every value that a task or the tail reads.
#![forbid(unsafe_code)]

use tessera_protocol::Placement;
use tessera_sim::{Scenario, ScenarioKind, Summary};

/// Seeds of a kind: `n`, or as many as `TESSERA_SIM_SEEDS` says. Even ones steal, every other of them from a queue; in odd ones,
/// tasks have home boards.
fn run(kind: ScenarioKind, n: u64) -> Summary {
    let told = std::env::var("TESSERA_SIM_SEEDS").ok();
    let n = told.and_then(|n| n.parse().ok()).unwrap_or(n);
    let one = std::env::var("TESSERA_SIM_SEED").ok();
    let one: Option<u64> = one.and_then(|n| n.parse().ok());
    let mut all = Summary::default();
    for seed in one.map_or(0..n, |s| s..s + 1) {
        let placements = [Placement::Steal, Placement::Home, Placement::Queue];
        let placement = placements[[0, 1, 2, 1][(seed % 4) as usize]];
        let scenario = Scenario::reusing(kind, seed, placement);
        match scenario.run() {
            Ok(run) => all.add(&run),
            Err(e) => panic!("{kind:?}, TESSERA_SIM_SEED={seed}: {e}"),
        }
    }
    all
}

/// Nothing is lost, so only late tiles make anybody compute strips alone.
#[test]
fn strips_come_in_time_on_perfect_links() {
    let s = run(ScenarioKind::Perfect, 100);
    assert_eq!(s.detections, s.frames);
    assert!(10 * s.counters.stand_ins < s.counters.jobs, "{s:?}");
}

#[test]
fn loss() {
    for kind in [ScenarioKind::Loss5, ScenarioKind::Loss20] {
        let s = run(kind, 100);
        assert_eq!(s.detections, s.frames, "{kind:?}");
    }
}

#[test]
fn killed_boards_and_workers() {
    let mut stand_ins = 0;
    for kind in [ScenarioKind::ThiefCrash, ScenarioKind::WorkerCrash] {
        let s = run(kind, 100);
        assert_eq!(s.detections, s.frames, "{kind:?}");
        stand_ins += s.counters.stand_ins;
    }
    assert!(stand_ins > 0, "no strip was computed again");
}

#[test]
fn killed_sources() {
    run(ScenarioKind::SourceCrash, 100);
}

#[test]
fn slow_workers_are_not_waited_for() {
    let s = run(ScenarioKind::SlowWorker, 100);
    assert_eq!(s.detections, s.frames);
    assert!(s.counters.stand_ins > 0, "no strip was computed again");
}

#[test]
fn restarted_gateways() {
    let s = run(ScenarioKind::GatewayRestart, 100);
    assert_eq!(s.detections, s.frames);
}

/// A source that is cut off for long loses its frames, as without strips.
#[test]
fn partitions() {
    run(ScenarioKind::Partition, 100);
}

#[test]
fn tiny_stores() {
    run(ScenarioKind::TinyStore, 100);
}

#[test]
fn chaos() {
    run(ScenarioKind::Chaos, 100);
}
