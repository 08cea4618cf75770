//! Seeded clusters in virtual time: each kind of trouble over a few dozen seeds.
//!
//! `TESSERA_SIM_SEEDS=N` runs N seeds per kind, `TESSERA_SIM_SEED=S` that seed alone,
//! `TESSERA_SIM_TRACE=1` prints what happens.
#![forbid(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use tessera_sim::{Kind, Scenario, Summary};

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
fn seeds(test: &str, kind: Kind, n: u64) -> Sum {
    let one = env("TESSERA_SIM_SEED");
    let seeds = match one {
        Some(seed) => seed..seed + 1,
        None => 0..env("TESSERA_SIM_SEEDS").unwrap_or(n),
    };
    let mut all = Summary::default();
    for seed in seeds {
        let run = catch_unwind(AssertUnwindSafe(|| {
            let mut scenario = Scenario::new(kind, seed);
            scenario.world.trace = env("TESSERA_SIM_TRACE").is_some();
            scenario.run()
        }));
        let repeat = format!(
            "TESSERA_SIM_SEED={seed} cargo test -p tessera-runtime --test simulation {test}"
        );
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
    let s = seeds("perfect_links", Kind::Perfect, 30);
    s.nothing_dropped().saw("steal", s.all.counters.stolen);
}

#[test]
fn losses() {
    for (kind, n) in [(Kind::Loss1, 15), (Kind::Loss5, 15), (Kind::Loss20, 15)] {
        let s = seeds("losses", kind, n);
        s.nothing_dropped().saw("loss", s.all.net.lost);
    }
}

#[test]
fn duplicates_and_reordering() {
    let s = seeds("duplicates_and_reordering", Kind::DuplicateAndReorder, 30);
    s.nothing_dropped()
        .saw("duplicate", s.all.net.duplicated)
        .saw("reordering", s.all.net.reordered);
}

#[test]
fn narrow_links() {
    seeds("narrow_links", Kind::Narrow, 30).nothing_dropped();
}

#[test]
fn killed_thieves() {
    seeds("killed_thieves", Kind::ThiefCrash, 40).nothing_dropped();
}

#[test]
fn killed_sources() {
    let s = seeds("killed_sources", Kind::SourceCrash, 40);
    s.saw("drop", s.all.dropped as u64);
}

#[test]
fn restarted_gateways() {
    seeds("restarted_gateways", Kind::GatewayRestart, 40).nothing_dropped();
}

#[test]
fn partitions() {
    let s = seeds("partitions", Kind::Partition, 40);
    s.saw("cut", s.all.net.cut);
}

#[test]
fn pairs_cut_for_good() {
    seeds("pairs_cut_for_good", Kind::PairCut, 30).nothing_dropped();
}

#[test]
fn slow_workers() {
    seeds("slow_workers", Kind::SlowWorker, 30).nothing_dropped();
}

#[test]
fn killed_workers() {
    let s = seeds("killed_workers", Kind::WorkerCrash, 30);
    s.nothing_dropped()
        .saw("lost job", s.all.counters.lost_jobs);
}

#[test]
fn a_task_nobody_survives() {
    let s = seeds("a_task_nobody_survives", Kind::BrokenTask, 20);
    s.saw("drop", s.all.dropped as u64);
}

#[test]
fn failing_tails() {
    let s = seeds("failing_tails", Kind::TailFails, 20);
    s.saw("drop", s.all.dropped as u64);
}

#[test]
fn nodes_that_stand_still() {
    seeds("nodes_that_stand_still", Kind::Pause, 40);
}

#[test]
fn tiny_budgets() {
    seeds("tiny_budgets", Kind::TinyBudget, 30).nothing_dropped();
}

#[test]
fn many_sources() {
    seeds("many_sources", Kind::ManySources, 30).nothing_dropped();
}

#[test]
fn tiny_stores() {
    seeds("tiny_stores", Kind::TinyStore, 30).nothing_dropped();
}

#[test]
fn replays() {
    let s = seeds("replays", Kind::Replay, 20);
    s.nothing_dropped().saw("storm", s.all.counters.storm);
}

#[test]
fn mutations() {
    let s = seeds("mutations", Kind::Mutation, 20);
    s.saw("storm", s.all.counters.storm);
}

#[test]
fn strangers() {
    seeds("strangers", Kind::Strangers, 40);
}

#[test]
fn many_nodes_and_tiles() {
    seeds("many_nodes_and_tiles", Kind::Wide, 5).nothing_dropped();
}

#[test]
fn hundreds_of_frames() {
    seeds("hundreds_of_frames", Kind::Long, 5).nothing_dropped();
}

#[test]
fn rough_but_no_source_lost() {
    let s = seeds("rough_but_no_source_lost", Kind::Rough, 80);
    s.nothing_dropped();
}

#[test]
fn chaos() {
    seeds("chaos", Kind::Chaos, 60);
}

#[test]
fn same_seed_same_run() {
    let run = || Scenario::new(Kind::Chaos, 5).run().expect("no broken rule");
    assert_eq!(run(), run());
}
