//! The tests.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};
use tessera_node::{
    shm::jobs::Refused,
    workers::{SubmitError, WorkersConfig, WorkersError},
};

use super::{
    program::{ABORT, ADD, FLOATS, PANIC, SLEEP, SPIN, TOIL},
    rig::{PATIENCE, Rig, check, open_weights, quarter},
};

/// First argument of a process that only starts workers.
pub const PARENT: &str = "parent";

/// Keeps `out` jobs out until `count` are done.
fn stream(rig: &mut Rig, count: u32, out: usize) {
    let (mut sent, mut done) = (0, 0);
    let began = Instant::now();
    while done < count {
        while sent < count && rig.jobs_out() < out {
            rig.submit(quarter(sent), sent);
            sent += 1;
        }
        for e in rig.step().expect("workers work") {
            check(&e);
            done += 1;
        }
        assert!(began.elapsed() < PATIENCE, "{done} of {count} jobs done");
    }
    assert_eq!(rig.jobs_out(), 0);
}

pub fn jobs_give_right_outputs() {
    for workers in 1..=3 {
        let mut rig = Rig::new(4, workers);
        stream(&mut rig, 400, 4);
        let stats = rig.workers.stop();
        assert_eq!(stats.len(), workers);
        assert_eq!(stats.iter().map(|s| s.jobs).sum::<u64>(), 400);
        for s in &stats {
            assert_eq!(s.starts, 1);
            assert!(s.pid.is_none());
            assert!(s.peak_bytes > 100_000, "{s:?}");
        }
    }
}

pub fn more_jobs_than_places_are_refused() {
    let mut rig = Rig::new(2, 1);
    // A job is out until it is reported, even when it is over.
    rig.submit(quarter(0), 1);
    rig.submit(quarter(1), 1);
    let third = rig.job(ADD, 1).expect("slots");
    let refused = rig.submit_job(third, 1);
    assert_eq!(refused, Err(SubmitError::Refused(Refused::Full)));
    assert_eq!(rig.workers.jobs_out(), 2);
    rig.finish().iter().for_each(check);
    stream(&mut rig, 10, 2);
}

pub fn malformed_jobs_are_refused() {
    let mut rig = Rig::new(3, 1);
    let what = |r: Result<_, SubmitError>| match r {
        Err(SubmitError::Malformed { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    let mut missing = rig.job(ADD, 1).unwrap();
    let spare = missing.inputs[0].pop().unwrap();
    assert_eq!(
        what(rig.submit_job(missing, 1)),
        "pieces of an input are missing"
    );
    let mut none = rig.job(ADD, 1).unwrap();
    none.task = tessera_protocol::TaskId(99);
    assert_eq!(what(rig.submit_job(none, 1)), "there is no such task");
    let mut twice = rig.job(ADD, 1).unwrap();
    twice.inputs[0][0].0 = twice.outputs[0];
    assert_eq!(
        what(
            rig.workers
                .submit(&twice, &mut rig.store)
                .map(|()| twice.id)
        ),
        "an input's slot is being written"
    );
    let mut small = rig.job(ADD, 1).unwrap();
    small.inputs[0][1].1.y = [0, 8].into();
    let result = rig.workers.submit(&small, &mut rig.store);
    assert_eq!(
        what(result.map(|()| small.id)),
        "an input's slot is too small"
    );
    assert_eq!(rig.workers.jobs_out(), 0);
    assert_eq!(spare.1.len(), FLOATS / 2);
}

pub fn a_panic_fails_its_job_alone() {
    let mut rig = Rig::new(4, 1);
    let bad = rig.submit(PANIC, 1);
    let good: Vec<_> = (0..3).map(|k| rig.submit(quarter(k), 5)).collect();
    for e in rig.finish() {
        if e.id == bad {
            assert!(e.made.is_none());
        } else {
            assert!(good.contains(&e.id));
            check(&e);
        }
    }
    let stats = rig.workers.stop();
    assert_eq!((stats[0].starts, stats[0].jobs), (1, 3));
}

pub fn an_abort_fails_its_job_alone() {
    let mut rig = Rig::new(4, 2);
    let bad = rig.submit(ABORT, 1);
    for k in 0..3 {
        rig.submit(quarter(k), 5);
    }
    for e in rig.finish() {
        assert_eq!(e.made.is_none(), e.id == bad);
        if e.id != bad {
            check(&e);
        }
    }
    stream(&mut rig, 20, 4);
}

pub fn a_kill_costs_one_lease() {
    let mut rig = Rig::new(6, 2);
    // Longer than anybody waits: both workers are in the middle of a task.
    let sleeping = [rig.submit(SLEEP, 1000), rig.submit(SLEEP, 1000)];
    rig.all_leased();
    let mut waiting: Vec<_> = (0..4).map(|k| rig.submit(quarter(k), 7)).collect();
    let second = rig.pid(1);
    rig.kill(0);
    let mut failed = Vec::new();
    // The first worker's successor does all that waits.
    while !waiting.is_empty() || failed.is_empty() {
        for e in rig.step().expect("workers work") {
            if e.made.is_some() {
                check(&e);
                waiting.retain(|id| *id != e.id);
            } else {
                failed.push(e.id);
            }
        }
    }
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(sleeping.contains(&failed[0]));
    assert_eq!((rig.jobs_out(), rig.pid(1)), (1, second));
    rig.kill(1);
    let other = rig.finish();
    assert_eq!(other.len(), 1);
    assert!(other[0].made.is_none() && other[0].id != failed[0]);
    // A worker that was killed right after its start waits a little for its successor.
    while rig.workers.statistics().iter().any(|s| s.pid.is_none()) {
        assert!(rig.step().expect("workers work").is_empty());
    }
    stream(&mut rig, 50, 6);
    let stats = rig.workers.stop();
    assert_eq!([stats[0].starts, stats[1].starts], [2, 2]);
    assert_eq!(stats.iter().map(|s| s.jobs).sum::<u64>(), 54);
}

pub fn kills_at_any_instant() {
    const KILLS: u32 = 50;
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let mut rig = Rig::new(4, 2);
    let (mut sent, mut done, mut failed, mut kills) = (0u32, 0u32, 0u32, 0u32);
    let began = Instant::now();
    while kills < KILLS || rig.jobs_out() > 0 {
        while kills < KILLS && rig.jobs_out() < 4 {
            rig.submit(if sent % 2 == 0 { TOIL } else { quarter(sent) }, sent);
            sent += 1;
        }
        // Somewhere between the bell and the end of the last job, every other time after some job
        // was leased; or the worker is only starting.
        let instant = Instant::now() + Duration::from_micros(u64::from(rng.next_u32() % 100));
        let patient = rng.next_u32().is_multiple_of(2);
        let victim = (rng.next_u32() % 2) as usize;
        if rng.next_u32().is_multiple_of(8)
            && kills < KILLS
            && rig.workers.statistics()[victim].pid.is_some()
        {
            let latest = instant + Duration::from_millis(if patient { 2 } else { 0 });
            while Instant::now() < instant
                || (Instant::now() < latest && rig.workers.queued() == rig.jobs_out())
            {
                std::hint::spin_loop();
            }
            rig.kill(victim);
            kills += 1;
        }
        for e in rig.step().expect("some worker becomes ready") {
            if e.made.is_some() {
                check(&e);
                done += 1;
            } else {
                failed += 1;
            }
        }
        assert!(began.elapsed() < PATIENCE, "{done} done, {kills} kills");
    }
    assert!(failed <= kills, "{failed} jobs failed by {kills} kills");
    assert_eq!(done + failed, sent);
    println!("{done} jobs done, {failed} failed by {kills} kills");
}

pub fn workers_that_cannot_start() {
    let dir = tempfile::tempdir().expect("a folder");
    let weights = open_weights(dir.path());
    // They verify them themselves.
    std::fs::write(weights.path(), "no weights").expect("written");
    let mut rig = Rig::with_weights(4, 2, dir, weights);
    let job = rig.job(ADD, 1).unwrap();
    rig.workers.submit(&job, &mut rig.store).unwrap();
    let began = Instant::now();
    let mut reported = Vec::new();
    let error = loop {
        match rig.workers.drain(|id, end| reported.push((id, end))) {
            Ok(()) => std::thread::sleep(Duration::from_millis(2)),
            Err(e) => break e,
        }
        assert!(began.elapsed() < PATIENCE, "they should be given up");
    };
    assert!(
        matches!(error, WorkersError::Hopeless { times: 5, .. }),
        "{error}"
    );
    assert_eq!(reported.len(), 1);
    assert_eq!(reported[0].0, job.id);
    assert!(rig.workers.statistics().iter().all(|s| s.starts == 5));
}

/// Workers that are stuck after a second.
fn impatient(count: usize) -> Rig {
    let dir = tempfile::tempdir().expect("a folder");
    let weights = open_weights(dir.path());
    let config = WorkersConfig {
        count,
        stuck_after: Duration::from_secs(1),
        ..WorkersConfig::default()
    };
    Rig::with(4, dir, weights, &config)
}

pub fn a_stopped_worker_is_replaced() {
    let mut rig = impatient(1);
    stream(&mut rig, 4, 1);
    // It has nothing to do when it is stopped, and then takes nothing.
    rig.signal(0, Signal::SIGSTOP);
    for k in 0..4 {
        rig.submit(quarter(k), 5);
    }
    rig.finish().iter().for_each(check);
    assert_eq!(rig.workers.statistics()[0].starts, 2);
    // It has a job, and stands still in it.
    let stuck = rig.submit(SPIN, 600);
    rig.all_leased();
    rig.signal(0, Signal::SIGSTOP);
    let waiting = rig.submit(quarter(1), 5);
    let ended = rig.finish();
    let of = |id| ended.iter().find(|e| e.id == id).expect("it has ended");
    assert!(of(stuck).made.is_none(), "its job is lost");
    check(of(waiting));
    assert_eq!(rig.workers.statistics()[0].starts, 3);
}

pub fn the_others_work_on_beside_a_stopped_worker() {
    let mut rig = impatient(2);
    let busy = [rig.submit(SPIN, 4), rig.submit(SPIN, 4)];
    rig.all_leased();
    rig.signal(0, Signal::SIGSTOP);
    let ended = rig.finish();
    let lost = ended.iter().filter(|e| e.made.is_none()).count();
    assert_eq!((ended.len(), lost), (busy.len(), 1));
    let starts: Vec<u32> = (rig.workers.stop().iter()).map(|s| s.starts).collect();
    assert_eq!(starts[1], 1, "the other one computes");
}

pub fn a_worker_that_computes_is_left_alone() {
    let mut rig = impatient(1);
    // Four times as long as one may do nothing.
    rig.submit(SPIN, 4);
    rig.finish().iter().for_each(check);
    assert_eq!(rig.workers.statistics()[0].starts, 1);
}

pub fn workers_offer_themselves_when_memory_is_short() {
    let mut rig = Rig::new(4, 2);
    stream(&mut rig, 8, 4);
    let score = |pid: &str| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj"));
        text.expect("a score")
            .trim()
            .parse::<i32>()
            .expect("a number")
    };
    // A worker that had no job yet may only be beginning.
    let begun = Instant::now();
    for worker in 0..2 {
        let id = rig.pid(worker).to_string();
        while score(&id) != 1000 {
            assert!(begun.elapsed() < PATIENCE, "worker {worker}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    assert!(score("self") < 1000);
}

pub fn later_workers_verify_the_weights_that_were_opened() {
    let mut rig = Rig::new(4, 1);
    stream(&mut rig, 4, 1);
    let path = rig.dir.path().join("weights.bin");
    // Replaced and deleted: not the file that they have.
    std::fs::rename(&path, path.with_extension("old")).expect("renamed");
    std::fs::write(&path, "another").expect("written");
    rig.kill(0);
    rig.until_starts(0, 2);
    stream(&mut rig, 4, 1);
    std::fs::remove_file(&path).expect("deleted");
    rig.kill(0);
    rig.until_starts(0, 3);
    stream(&mut rig, 4, 1);
    // Damaged in its place: theirs.
    let path = path.with_extension("old");
    let mut bytes = std::fs::read(&path).expect("read");
    *bytes.last_mut().expect("weights") ^= 1;
    std::fs::write(&path, bytes).expect("written");
    let job = rig.submit(ADD, 1);
    let mut ended = Vec::new();
    let error = loop {
        match rig.step() {
            Ok(some) => ended.extend(some),
            Err(e) => break e,
        }
    };
    assert!(matches!(error, WorkersError::Hopeless { .. }), "{error}");
    assert!(ended.iter().all(|e| e.id == job && e.made.is_none()));
}

/// Whether a process runs; zombies do not.
fn runs(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().and_then(|s| s.chars().next());
    state.is_some_and(|s| s != 'Z' && s != 'X')
}

fn gone(pids: &[i32]) {
    let began = Instant::now();
    while pids.iter().any(|p| runs(*p)) {
        assert!(began.elapsed() < PATIENCE, "a worker is left behind");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub fn stopping_ends_all() {
    let mut rig = Rig::new(4, 2);
    stream(&mut rig, 8, 4);
    // One sleeps for much longer than anybody waits.
    rig.submit(SLEEP, 1000);
    rig.all_leased();
    let pids = [rig.pid(0), rig.pid(1)];
    let stats = rig.workers.stop();
    assert!(!pids.iter().any(|p| runs(*p)));
    assert_eq!(stats.iter().map(|s| s.jobs).sum::<u64>(), 8);
}

pub fn dropping_ends_all() {
    let mut rig = Rig::new(4, 2);
    rig.submit(SLEEP, 1000);
    rig.all_leased();
    let pids = [rig.pid(0), rig.pid(1)];
    drop(rig);
    assert!(!pids.iter().any(|p| runs(*p)));
}

/// A process with busy and idle workers, that tells who they are and waits to be killed.
pub fn parent() {
    let mut rig = Rig::new(4, 2);
    rig.submit(SLEEP, 1000);
    rig.all_leased();
    println!("{} {}", rig.pid(0), rig.pid(1));
    println!("{}", rig.dir.path().display());
    std::thread::sleep(PATIENCE);
}

/// The command that is put before this binary: an emulator, when it is another machine's.
fn runner() -> String {
    std::env::var("TESSERA_RUNNER").unwrap_or_default()
}

/// This binary again.
fn again() -> Command {
    let exe = std::env::current_exe().expect("this binary");
    let runner = runner();
    let mut words = runner.split_whitespace();
    let Some(first) = words.next() else {
        return Command::new(exe);
    };
    let mut command = Command::new(first);
    command.args(words).arg(exe);
    command
}

pub fn workers_do_not_outlive_their_parent() {
    let mut parent = again()
        .arg(PARENT)
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut lines = BufReader::new(parent.stdout.take().expect("piped")).lines();
    let pids = lines.next().expect("a line").expect("text");
    let pids: Vec<i32> = pids
        .split(' ')
        .map(|p| p.parse().expect("a process id"))
        .collect();
    let dir = lines.next().expect("a line").expect("text");
    assert!(pids.iter().all(|p| runs(*p)));
    parent.kill().expect("it runs");
    parent.wait().expect("it ends");
    gone(&pids);
    std::fs::remove_dir_all(dir).expect("what the killed process left");
}

pub fn a_runner_is_put_in_front() {
    let run = |runner: &str| {
        again()
            .arg("malformed_jobs_are_refused")
            .arg("a_panic_fails_its_job_alone")
            .env("TESSERA_RUNNER", runner)
            .output()
            .expect("starts")
    };
    let with = run(&format!("env TESSERA_TEST=1 {}", runner()));
    let complaint = String::from_utf8_lossy(&with.stderr);
    assert!(with.status.success(), "{complaint}");
    assert!(!run("/nowhere/emulator").status.success());
}
