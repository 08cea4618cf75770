//! Worker processes: right outputs, whatever is killed, panics or cannot start.
//!
//! Without the usual test harness, because this binary is its own worker: started with the role
//! `worker` it is a node.

mod workers {
    pub mod arriving;
    pub mod program;
    pub mod rig;
    pub mod tests;
}

use std::{panic::catch_unwind, process::ExitCode, time::Instant};

use crate::workers::{arriving, program::PROGRAM, tests};

/// Name and body of every test.
const TESTS: &[(&str, fn())] = &[
    ("jobs_give_right_outputs", tests::jobs_give_right_outputs),
    (
        "more_jobs_than_places_are_refused",
        tests::more_jobs_than_places_are_refused,
    ),
    (
        "malformed_jobs_are_refused",
        tests::malformed_jobs_are_refused,
    ),
    (
        "a_panic_fails_its_job_alone",
        tests::a_panic_fails_its_job_alone,
    ),
    (
        "an_abort_fails_its_job_alone",
        tests::an_abort_fails_its_job_alone,
    ),
    ("a_kill_costs_one_lease", tests::a_kill_costs_one_lease),
    ("kills_at_any_instant", tests::kills_at_any_instant),
    (
        "workers_that_cannot_start",
        tests::workers_that_cannot_start,
    ),
    (
        "a_stopped_worker_is_replaced",
        tests::a_stopped_worker_is_replaced,
    ),
    (
        "the_others_work_on_beside_a_stopped_worker",
        tests::the_others_work_on_beside_a_stopped_worker,
    ),
    (
        "a_worker_that_computes_is_left_alone",
        tests::a_worker_that_computes_is_left_alone,
    ),
    (
        "workers_offer_themselves_when_memory_is_short",
        tests::workers_offer_themselves_when_memory_is_short,
    ),
    (
        "later_workers_verify_the_weights_that_were_opened",
        tests::later_workers_verify_the_weights_that_were_opened,
    ),
    (
        "rows_are_read_as_they_arrive",
        arriving::rows_are_read_as_they_arrive,
    ),
    (
        "who_waits_for_rows_is_not_stuck",
        arriving::who_waits_for_rows_is_not_stuck,
    ),
    ("an_abandoned_job_ends", arriving::an_abandoned_job_ends),
    (
        "a_kill_while_it_waits_fails_its_job",
        arriving::a_kill_while_it_waits_fails_its_job,
    ),
    (
        "stopping_does_not_wait_for_rows",
        arriving::stopping_does_not_wait_for_rows,
    ),
    (
        "rows_leave_before_their_task_ends",
        arriving::rows_leave_before_their_task_ends,
    ),
    (
        "what_is_written_in_any_order_does_not_leave",
        arriving::what_is_written_in_any_order_does_not_leave,
    ),
    (
        "rows_that_left_are_not_made_anew",
        arriving::rows_that_left_are_not_made_anew,
    ),
    ("stopping_ends_all", tests::stopping_ends_all),
    ("dropping_ends_all", tests::dropping_ends_all),
    (
        "workers_do_not_outlive_their_parent",
        tests::workers_do_not_outlive_their_parent,
    ),
    ("a_runner_is_put_in_front", tests::a_runner_is_put_in_front),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|w| w == "worker") {
        return tessera_node::main(&[&PROGRAM]);
    }
    if words.first().is_some_and(|w| w == tests::PARENT) {
        tests::parent();
        return ExitCode::SUCCESS;
    }
    // Flags of the usual harness mean nothing here; its filters do.
    let filters: Vec<&String> = words.iter().filter(|w| !w.starts_with('-')).collect();
    let mut failed = 0;
    for (name, run) in TESTS {
        if !filters.is_empty() && !filters.iter().any(|f| name.contains(f.as_str())) {
            continue;
        }
        if words.iter().any(|w| w == "--list") {
            println!("{name}: test");
            continue;
        }
        let began = Instant::now();
        let ok = catch_unwind(run).is_ok();
        failed += u32::from(!ok);
        let (result, ms) = (
            if ok { "ok" } else { "FAILED" },
            began.elapsed().as_millis(),
        );
        println!("test {name} ... {result} ({ms} ms)");
    }
    ExitCode::from(u8::from(failed > 0))
}
