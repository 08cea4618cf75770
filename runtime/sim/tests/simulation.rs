//! Seeded clusters in virtual time: each kind of trouble over a few dozen seeds.
//!
//! `TESSERA_SIM_SEEDS=N` runs N seeds per kind, `TESSERA_SIM_SEED=S` that seed alone,
//! `TESSERA_SIM_PLACEMENT=steal|home|share` sets the placement of all seeds (else even seeds steal),
//! `TESSERA_SIM_SEALED=1` lets all datagrams travel in sessions, `TESSERA_SIM_VERIFY=PPM` lets sources check what others compute, and `TESSERA_SIM_TRACE=1` prints what happens.
#![forbid(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use tessera_protocol::Placement;
use tessera_sim::{Scenario, ScenarioKind, Summary, Violation};

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Sums of a kind's seeds; `None` when only one seed was asked for, so that sums mean nothing.
struct Sum {
    all: Summary,
    whole: bool,
}

impl Sum {
    /// Every frame has detections.
    fn nothing_dropped(&self) -> &Self {
        assert_eq!(self.all.detections, self.all.frames);
        self
    }

    /// Something that the kind is about did happen.
    fn saw(&self, what: &str, n: u64) -> &Self {
        assert!(!self.whole || n > 0, "no {what}");
        self
    }
}

/// Runs seeds `0..n` of a kind, or those that the environment asks for, and adds up.
fn seeds(test: &str, kind: ScenarioKind, n: u64) -> Sum {
    seeds_of(test, kind, n, None)
}

/// The same with the placement `usual` where the environment names none; `None`: one that depends on the seed.
fn seeds_of(test: &str, kind: ScenarioKind, n: u64, usual: Option<Placement>) -> Sum {
    seeds_as(test, kind, n, (usual, false))
}

/// The same, in sessions if `sealed`.
fn seeds_as(
    test: &str,
    kind: ScenarioKind,
    n: u64,
    (usual, sealed): (Option<Placement>, bool),
) -> Sum {
    let one = env("TESSERA_SIM_SEED");
    let seeds = match one {
        Some(seed) => seed..seed + 1,
        None => 0..env("TESSERA_SIM_SEEDS").unwrap_or(n),
    };
    let mut all = Summary::default();
    for seed in seeds {
        let run = catch_unwind(AssertUnwindSafe(|| {
            let mut scenario = match std::env::var("TESSERA_SIM_PLACEMENT").as_deref() {
                Ok("steal") => Scenario::placed(kind, seed, Placement::Steal),
                Ok("home") => Scenario::placed(kind, seed, Placement::Home),
                Ok("share") => Scenario::placed(kind, seed, Placement::Share),
                Ok("queue") => Scenario::placed(kind, seed, Placement::Queue),
                _ => match usual {
                    Some(placement) => Scenario::placed(kind, seed, placement),
                    None => Scenario::new(kind, seed),
                },
            };
            scenario.world.sealed = sealed || env("TESSERA_SIM_SEALED").is_some();
            if let Some(ppm) = env("TESSERA_SIM_VERIFY") {
                scenario = scenario.verifying(ppm as u32);
            }
            scenario.world.trace = env("TESSERA_SIM_TRACE").is_some();
            scenario.run()
        }));
        let repeat =
            format!("TESSERA_SIM_SEED={seed} cargo test -p tessera-sim --test simulation {test}");
        match run {
            Ok(Ok(s)) => all.add(&s),
            Ok(Err(failure)) => panic!("{kind:?}, seed {seed}: {failure}\nrepeat: {repeat}"),
            Err(_) => panic!("{kind:?}, seed {seed}: a machine panicked\nrepeat: {repeat}"),
        }
    }
    println!("{kind:?}: {all:?}");
    let whole = one.is_none();
    Sum { all, whole }
}

#[test]
fn perfect_links() {
    let s = seeds("perfect_links", ScenarioKind::Perfect, 30);
    s.nothing_dropped().saw("steal", s.all.counters.stolen);
}

#[test]
fn losses() {
    for (kind, n) in [
        (ScenarioKind::Loss1, 15),
        (ScenarioKind::Loss5, 15),
        (ScenarioKind::Loss20, 15),
    ] {
        let s = seeds("losses", kind, n);
        s.nothing_dropped().saw("loss", s.all.net.lost);
    }
}

#[test]
fn duplicates_and_reordering() {
    let s = seeds(
        "duplicates_and_reordering",
        ScenarioKind::DuplicateAndReorder,
        30,
    );
    s.nothing_dropped()
        .saw("duplicate", s.all.net.duplicated)
        .saw("reordering", s.all.net.reordered);
}

#[test]
fn paths_that_lose_long_datagrams() {
    let name = "paths_that_lose_long_datagrams";
    let s = seeds(name, ScenarioKind::NarrowPath, 40);
    s.nothing_dropped().saw("long datagram", s.all.net.too_long);
}

#[test]
fn narrow_links() {
    seeds("narrow_links", ScenarioKind::Narrow, 30).nothing_dropped();
}

#[test]
fn killed_thieves() {
    seeds("killed_thieves", ScenarioKind::ThiefCrash, 40).nothing_dropped();
}

#[test]
fn killed_sources() {
    let s = seeds("killed_sources", ScenarioKind::SourceCrash, 40);
    s.saw("drop", s.all.dropped as u64);
}

#[test]
fn restarted_gateways() {
    seeds("restarted_gateways", ScenarioKind::GatewayRestart, 40).nothing_dropped();
}

#[test]
fn partitions() {
    let s = seeds("partitions", ScenarioKind::Partition, 40);
    s.saw("cut", s.all.net.cut);
}

#[test]
fn pairs_cut_for_good() {
    seeds("pairs_cut_for_good", ScenarioKind::PairCut, 30).nothing_dropped();
}

#[test]
fn slow_workers() {
    seeds("slow_workers", ScenarioKind::SlowWorker, 30).nothing_dropped();
}

#[test]
fn killed_workers() {
    let s = seeds("killed_workers", ScenarioKind::WorkerCrash, 30);
    s.nothing_dropped()
        .saw("lost job", s.all.counters.lost_jobs);
}

#[test]
fn a_task_nobody_survives() {
    let s = seeds("a_task_nobody_survives", ScenarioKind::BrokenTask, 20);
    s.saw("drop", s.all.dropped as u64);
}

#[test]
fn failing_tails() {
    let s = seeds("failing_tails", ScenarioKind::TailFails, 20);
    s.saw("drop", s.all.dropped as u64);
}

#[test]
fn nodes_that_stand_still() {
    seeds("nodes_that_stand_still", ScenarioKind::Pause, 40);
}

#[test]
fn tiny_budgets() {
    seeds("tiny_budgets", ScenarioKind::TinyBudget, 30).nothing_dropped();
}

#[test]
fn many_sources() {
    seeds("many_sources", ScenarioKind::ManySources, 30).nothing_dropped();
}

#[test]
fn tiny_stores() {
    seeds("tiny_stores", ScenarioKind::TinyStore, 30).nothing_dropped();
}

#[test]
fn replays() {
    let s = seeds("replays", ScenarioKind::Replay, 20);
    s.nothing_dropped().saw("hostile", s.all.counters.hostile);
}

#[test]
fn mutations() {
    let s = seeds("mutations", ScenarioKind::Mutation, 20);
    s.saw("hostile", s.all.counters.hostile);
}

#[test]
fn strangers() {
    seeds("strangers", ScenarioKind::Strangers, 40);
}

#[test]
fn restarts_in_any_order() {
    let s = seeds("restarts_in_any_order", ScenarioKind::Restarts, 60);
    s.saw("drop", s.all.dropped as u64);
}

#[test]
fn frozen_workers_hold_up_nobody_else() {
    let name = "frozen_workers_hold_up_nobody_else";
    seeds(name, ScenarioKind::FrozenWorkers, 40).nothing_dropped();
}

#[test]
fn two_nodes_with_one_id() {
    seeds("two_nodes_with_one_id", ScenarioKind::Twins, 60);
}

#[test]
fn many_nodes_and_tiles() {
    seeds("many_nodes_and_tiles", ScenarioKind::Wide, 5).nothing_dropped();
}

/// A source that is twenty times as slow as its boards and checks everything computes each task itself, and ends all its frames.
#[test]
fn a_slow_source_that_checks_everything_ends_its_frames() {
    let run = |ppm| {
        let mut scenario = Scenario::new(ScenarioKind::Wide, 711).verifying(ppm);
        scenario.world.sealed = true;
        let s = scenario.run().unwrap();
        assert_eq!(s.detections, s.frames);
        s
    };
    let (usual, checks) = (run(0), run(1_000_000));
    assert!(checks.checked > 0 && checks.caught == 0, "{checks:?}");
    // No board computed a task of its frames for the source, so there is nothing that it could have waited for.
    assert!(
        checks.recovery_us > 10 * usual.recovery_us,
        "{usual:?} {checks:?}"
    );
}

#[test]
fn hundreds_of_frames() {
    seeds("hundreds_of_frames", ScenarioKind::Long, 5).nothing_dropped();
}

#[test]
fn rough_but_no_source_lost() {
    let s = seeds("rough_but_no_source_lost", ScenarioKind::Rough, 80);
    s.nothing_dropped();
}

#[test]
fn chaos() {
    seeds("chaos", ScenarioKind::Chaos, 60);
}

/// Boards that share work through the gateway, in every kind of trouble.
#[test]
fn work_sharing() {
    use ScenarioKind as K;
    let name = "work_sharing";
    let shared = |kind, n| seeds_of(name, kind, n, Some(Placement::Share));
    for kind in [
        K::Perfect,
        K::Loss5,
        K::Loss20,
        K::DuplicateAndReorder,
        K::NarrowPath,
        K::Narrow,
        K::ThiefCrash,
        K::GatewayRestart,
        K::PairCut,
        K::SlowWorker,
        K::WorkerCrash,
        K::TinyBudget,
        K::ManySources,
        K::TinyStore,
        K::Replay,
        K::FrozenWorkers,
        K::Rough,
    ] {
        shared(kind, 15).nothing_dropped();
    }
    for kind in [
        K::SourceCrash,
        K::Partition,
        K::TailFails,
        K::Pause,
        K::Mutation,
        K::Strangers,
        K::Restarts,
        K::Twins,
        K::Chaos,
    ] {
        shared(kind, 15);
    }
    shared(K::Wide, 3).nothing_dropped();
    shared(K::Long, 3).nothing_dropped();
}

/// Boards that steal from the head of a queue, in trouble that moves tasks.
#[test]
fn stealing_from_a_queue() {
    use ScenarioKind as K;
    let name = "stealing_from_a_queue";
    let queued = |kind, placement| seeds_of(name, kind, 10, Some(placement));
    for kind in [
        K::Perfect,
        K::Loss20,
        K::DuplicateAndReorder,
        K::ThiefCrash,
        K::GatewayRestart,
        K::PairCut,
        K::SlowWorker,
        K::WorkerCrash,
        K::ManySources,
        K::TinyStore,
        K::Rough,
    ] {
        queued(kind, Placement::Queue).nothing_dropped();
        queued(kind, Placement::QueueIdle).nothing_dropped();
    }
    for kind in [K::SourceCrash, K::Partition, K::Pause, K::Chaos] {
        queued(kind, Placement::Queue);
    }
}

/// The same troubles with sessions between all nodes: what is replayed or changed does not even reach a machine, and every
/// process of a node makes sessions anew, whatever its clock says.
#[test]
fn sealed() {
    use ScenarioKind as K;
    let sealed = |kind, n| seeds_as("sealed", kind, n, (None, true));
    for kind in [
        K::Perfect,
        K::Loss5,
        K::Loss20,
        K::DuplicateAndReorder,
        K::NarrowPath,
        K::Narrow,
        K::ThiefCrash,
        K::GatewayRestart,
        K::PairCut,
        K::ManySources,
        K::Replay,
        K::Mutation,
        K::Rough,
    ] {
        sealed(kind, 8).nothing_dropped();
    }
    for kind in [
        K::SourceCrash,
        K::Partition,
        K::Pause,
        K::Restarts,
        K::Chaos,
    ] {
        sealed(kind, 8);
    }
}

/// Boards that compute wrong bits are found, no other is accused, and no record is wrong: with every task of others computed
/// again, the tail of every frame reads what the oracle says.
#[test]
fn wrong_boards() {
    for placement in [Placement::Steal, Placement::Home, Placement::Share] {
        let s = seeds_of(
            "wrong_boards",
            ScenarioKind::WrongBoards,
            60,
            Some(placement),
        );
        s.nothing_dropped()
            .saw("wrong job", s.all.counters.wrong_jobs)
            .saw("board that was caught", s.all.caught)
            .saw("frame that began anew", s.all.begun_anew)
            .saw("task that was right", s.all.checked);
    }
}

/// Checks hold nobody up, whatever else happens, and accuse nobody.
#[test]
fn checks_in_trouble() {
    use ScenarioKind as K;
    for (kind, n) in [
        (K::Loss20, 10),
        (K::ThiefCrash, 20),
        (K::GatewayRestart, 10),
        (K::Partition, 20),
        (K::PairCut, 10),
        (K::SlowWorker, 10),
        (K::WorkerCrash, 10),
        (K::TinyStore, 20),
        (K::Mutation, 10),
        (K::Restarts, 20),
        (K::Chaos, 20),
    ] {
        for seed in 0..n {
            let ppm = [200_000, 1_000_000][seed as usize / 2 % 2];
            let scenario = Scenario::new(kind, seed).verifying(ppm);
            let run = scenario.run();
            assert!(run.is_ok(), "{kind:?}, seed {seed}, {ppm} ppm: {run:?}");
        }
    }
}

/// What [`wrong_boards`] shows is due to the checks: it can fail.
#[test]
fn without_checks_wrong_bits_reach_records() {
    let spoiled = |seed: &u64| {
        let scenario = Scenario::new(ScenarioKind::WrongBoards, *seed).verifying(0);
        let wrong = |v| {
            matches!(
                v,
                Violation::WrongTail { .. } | Violation::WrongInput { .. }
            )
        };
        scenario.run().is_err_and(|f| wrong(f.what))
    };
    assert!((0..30).filter(spoiled).count() > 5);
}

#[test]
fn same_seed_same_run() {
    let run = || {
        Scenario::new(ScenarioKind::Chaos, 5)
            .run()
            .expect("no broken rule")
    };
    assert_eq!(run(), run());
}

/// What [`frozen_workers_hold_up_nobody_else`] shows is due to the gateway: it can fail.
#[test]
fn rooms_that_are_never_given_away_hold_up_others() {
    let held_up = |seed: &u64| {
        let mut scenario = Scenario::new(ScenarioKind::FrozenWorkers, *seed);
        scenario.world.gateway.config.stall_us = u64::MAX;
        matches!(scenario.run(), Err(f) if matches!(f.what, Violation::HeldUp { .. }))
    };
    assert!((0..20).filter(held_up).count() > 3);
}

/// Frames that people are to see come whole from their sources before they end; where a source is gone, the frame ends without.
#[test]
fn whole_frames_come_to_the_gateway() {
    use ScenarioKind::{GatewayRestart, Loss20, Mutation, Partition, SourceCrash};
    for kind in [Loss20, Mutation, Partition, SourceCrash, GatewayRestart] {
        let mut all = Summary::default();
        for seed in 0..env("TESSERA_SIM_SEEDS").unwrap_or(8) {
            let mut scenario = Scenario::new(kind, seed);
            scenario.world.gateway.config.pictures_max = 2;
            match scenario.run() {
                Ok(s) => all.add(&s),
                Err(failure) => panic!("{kind:?}, seed {seed}: {failure}"),
            }
        }
        println!("{kind:?}: {} of {}", all.counters.pictures, all.frames);
        assert!(
            2 * all.counters.pictures > all.frames as u64,
            "{kind:?}: {all:?}"
        );
    }
}
