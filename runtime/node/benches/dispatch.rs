//! What a job costs beside its computing: from `submit` to its report, through a worker process.
//!
//! `cargo bench -p tessera-node --bench dispatch`. Prints, asserts nothing about time.

#[path = "../tests/workers/program.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod program;
#[path = "../tests/workers/rig.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod rig;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use tessera_node::memory;

use crate::{
    program::{ADD, PROGRAM},
    rig::Rig,
};

/// Jobs per figure.
const JOBS: u32 = 5000;

fn main() -> ExitCode {
    if std::env::args().any(|a| a == "worker") {
        return tessera_node::main(&[&PROGRAM]);
    }
    one_by_one("back to back", JOBS, Duration::ZERO);
    one_by_one(
        "worker asleep for 2 ms",
        JOBS / 10,
        Duration::from_millis(2),
    );
    for workers in 1..=3 {
        many(workers);
    }
    memory();
    ExitCode::SUCCESS
}

/// One job at a time, after a pause.
fn one_by_one(what: &str, jobs: u32, pause: Duration) {
    let mut rig = Rig::new(4, 1);
    rig.submit(ADD, 0);
    rig.finish();
    let mut ns: Vec<u128> = (0..jobs)
        .map(|k| {
            std::thread::sleep(pause);
            // Slots are filled before the clock starts.
            let job = rig.job(ADD, k).expect("slots");
            let began = Instant::now();
            rig.submit_job(job, k).expect("room");
            while rig.step().expect("workers work").is_empty() {}
            began.elapsed().as_nanos()
        })
        .collect();
    ns.sort_unstable();
    let at = |share: f64| ns[(share * (ns.len() - 1) as f64) as usize] as f64 / 1000.0;
    println!(
        "one job, {what}: median {:.1} us, p90 {:.1}, p99 {:.1}, least {:.1}",
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.0)
    );
}

/// As many jobs as there is room for.
fn many(workers: usize) {
    let mut rig = Rig::new(workers + 1, workers);
    rig.submit(ADD, 0);
    rig.finish();
    let (mut sent, mut over) = (0, 0);
    let began = Instant::now();
    while over < JOBS {
        while sent < JOBS && rig.jobs_out() <= workers {
            rig.submit(ADD, sent);
            sent += 1;
        }
        over += rig.step().expect("workers work").len() as u32;
    }
    let each = began.elapsed().as_secs_f64() * 1e6 / f64::from(JOBS);
    println!("a stream of jobs, {workers} workers: {each:.1} us a job");
}

/// What a worker process takes beside what its tasks touch.
fn memory() {
    let mut rig = Rig::new(2, 1);
    rig.submit(ADD, 0);
    rig.finish();
    std::thread::sleep(Duration::from_millis(20));
    let status = std::fs::read_to_string(format!("/proc/{}/status", rig.pid(0)));
    for line in status.unwrap_or_default().lines() {
        if ["VmHWM", "RssAnon", "RssFile", "RssShmem"]
            .iter()
            .any(|k| line.starts_with(k))
        {
            println!("worker: {}", line.replace('\t', " "));
        }
    }
    println!("network process: {:?}", memory::now());
    println!("as noted: {:?}", rig.workers.stop());
}
