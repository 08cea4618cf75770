//! Random clusters in all kinds of trouble, with sessions between their nodes.
//!
//! Seed after seed, the kinds of trouble take turns. What must hold is in `tessera_sim`: values, records, slots, silence at the
//! end. Half of the seeds also let sources check what other boards compute.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use anyhow::{Result, bail};
use tessera_sim::{Scenario, ScenarioKind, Summary};

use crate::{
    out::{note, outln},
    progress::Step,
};

/// Shares of tasks that sources check, in parts per million, which take turns.
const VERIFY_PPM: [u32; 4] = [0, 100_000, 0, 1_000_000];
/// Failures that are told of; the rest is counted.
const FAILURES_MAX: usize = 20;

/// What came of all seeds.
#[derive(Default)]
struct Found {
    kinds: BTreeMap<ScenarioKind, (u64, Summary)>,
    failures: Vec<String>,
    failed: u64,
}

/// The world of a seed.
fn scenario(seed: u64) -> (ScenarioKind, Scenario) {
    let kinds = ScenarioKind::ALL.len() as u64;
    let kind = ScenarioKind::ALL[(seed % kinds) as usize];
    let mut scenario = Scenario::new(kind, seed / kinds);
    if kind != ScenarioKind::WrongBoards {
        let turn = seed / kinds / 2 % VERIFY_PPM.len() as u64;
        scenario = scenario.verifying(VERIFY_PPM[turn as usize]);
    }
    scenario.world.sealed = true;
    (kind, scenario)
}

/// Runs `count` seeds from `first` on, on all cores.
///
/// # Errors
/// When a rule was broken.
pub fn run(first: u64, count: u64) -> Result<()> {
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let step = Step::begin(format!("Simulating {count} clusters on {cores} cores"));
    let begun = Instant::now();
    let (next, found) = (AtomicU64::new(0), Mutex::new(Found::default()));
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let k = next.fetch_add(1, Ordering::Relaxed);
                    if k >= count {
                        return;
                    }
                    let (kind, scenario) = scenario(first + k);
                    let run = catch_unwind(AssertUnwindSafe(|| scenario.run()));
                    let mut found = found.lock().unwrap_or_else(|e| e.into_inner());
                    found.add(first + k, kind, run);
                }
            });
        }
    });
    let found = found.into_inner().unwrap_or_else(|e| e.into_inner());
    let took_s = begun.elapsed().as_secs_f64();
    step.done(&format!("{took_s:.0} s"));
    found.tell()?;
    if found.failed > 0 {
        for failure in &found.failures {
            note!("{failure}");
        }
        bail!("{} of {count} clusters broke a rule", found.failed);
    }
    outln!("{count} clusters with sessions: no rule was broken ({took_s:.0} s on {cores} cores)")?;
    Ok(())
}

impl Found {
    fn add(
        &mut self,
        seed: u64,
        kind: ScenarioKind,
        run: thread::Result<Result<Summary, tessera_sim::Failure>>,
    ) {
        let why = match run {
            Ok(Ok(summary)) => {
                let (seeds, all) = self.kinds.entry(kind).or_default();
                *seeds += 1;
                all.add(&summary);
                return;
            }
            Ok(Err(failure)) => failure.to_string(),
            Err(_) => "a machine panicked".to_owned(),
        };
        self.failed += 1;
        if self.failures.len() < FAILURES_MAX {
            self.failures.push(format!(
                "{kind:?}: {why}; repeat: cargo xtask simulate --seeds 1 --seed {seed}"
            ));
        }
    }

    fn tell(&self) -> Result<()> {
        outln!(
            "{:22} {:>6} {:>8} {:>8} {:>9} {:>9} {:>8} {:>7} {:>12}",
            "kind",
            "seeds",
            "frames",
            "dropped",
            "stolen",
            "checked",
            "caught",
            "anew",
            "worst s"
        )?;
        for (kind, (seeds, s)) in &self.kinds {
            outln!(
                "{:22} {seeds:6} {:8} {:8} {:9} {:9} {:8} {:7} {:12.1}",
                format!("{kind:?}"),
                s.frames,
                s.dropped,
                s.counters.stolen,
                s.checked,
                s.caught,
                s.begun_anew,
                s.recovery_us as f64 / 1e6,
            )?;
        }
        Ok(())
    }
}
