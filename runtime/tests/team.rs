//! The team under load: more threads than cores, parts that panic, calls inside calls.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tessera_runtime::team::{Split, Team};

/// A split that asks for no working memory.
fn plain(quantum: usize, row_floats: usize) -> Split {
    Split {
        row_floats,
        quantum,
        scratch_floats: 0,
    }
}

/// Computes `rows` rows of two values and checks that each was computed once.
fn check(team: &Team, quantum: usize, rows: usize, salt: usize) {
    let mut y = vec![0.0; rows * 2];
    let calls = AtomicUsize::new(0);
    team.rows_scratch(
        0..rows,
        plain(quantum, 2),
        &mut y,
        &mut [],
        |range, part, _| {
            assert_eq!(part.len(), range.len() * 2);
            calls.fetch_add(range.len(), Ordering::Relaxed);
            for (row, values) in range.zip(part.chunks_exact_mut(2)) {
                values[0] += (row + salt) as f32;
                values[1] += 1.0;
            }
        },
    );
    assert_eq!(calls.into_inner(), rows);
    for (row, values) in y.chunks_exact(2).enumerate() {
        assert_eq!(values, [(row + salt) as f32, 1.0], "row {row} of {rows}");
    }
}

#[test]
fn parts_begin_at_multiples_and_fill_all_rows() {
    for threads in 1..=4 {
        let team = Team::new(threads).expect("threads");
        assert_eq!(team.threads(), threads);
        for (quantum, rows) in [(1, 7), (4, 4), (4, 13), (6, 38), (6, 5), (3, 0), (1, 1)] {
            let mut y = vec![0.0; rows];
            let parts = Mutex::new(Vec::new());
            team.rows_scratch(
                0..rows,
                plain(quantum, 1),
                &mut y,
                &mut [],
                |range, part, _| {
                    part.fill(1.0);
                    parts.lock().expect("parts").push(range);
                },
            );
            let mut parts = parts.into_inner().expect("parts");
            parts.sort_by_key(|r| r.start);
            let mut next = 0;
            for r in &parts {
                assert_eq!(r.start, next, "{parts:?}");
                assert!(r.end.is_multiple_of(quantum) || r.end == rows, "{parts:?}");
                next = r.end;
            }
            assert_eq!(next, rows);
            assert!(y.iter().all(|v| *v == 1.0));
        }
    }
}

#[test]
fn parts_have_working_memory_of_their_own() {
    for threads in 1..=4 {
        let team = Team::new(threads).expect("threads");
        for (rows, places) in [(1, 2), (4, 2), (9, 1), (11, 2), (16, 4), (40, 3)] {
            let mut y = vec![0.0; rows * 3];
            let mut scratch = vec![0.0; places * 5];
            let split = Split {
                row_floats: 3,
                quantum: 4,
                scratch_floats: 5,
            };
            // Firings begin anywhere.
            team.rows_scratch(7..7 + rows, split, &mut y, &mut scratch, |rows, y, s| {
                assert!((rows.start - 7).is_multiple_of(4));
                assert_eq!((y.len(), s.len()), (rows.len() * 3, 5));
                s.fill(s[0] + 1.0);
                for (row, y) in rows.zip(y.chunks_exact_mut(3)) {
                    y.fill((row - 7) as f32);
                }
            });
            let all = y.iter().enumerate().all(|(i, v)| *v == (i / 3) as f32);
            assert!(all, "{threads} threads, {rows} rows: {y:?}");
            // One part each.
            assert!(scratch.iter().all(|s| *s <= 1.0));
        }
    }
}

#[test]
fn thousands_of_small_layers_by_more_threads_than_cores() {
    for threads in [2, 3, 8] {
        let team = Team::new(threads).expect("threads");
        for call in 0..3000 {
            check(&team, 1 + call % 3, call % 41, call);
        }
    }
}

#[test]
fn teams_side_by_side_and_pauses_between_calls() {
    thread::scope(|s| {
        for t in 0..4 {
            s.spawn(move || {
                let team = Team::new(3).expect("threads");
                for call in 0..300 {
                    check(&team, 1, 17 + t, call);
                    if call % 50 == 0 {
                        // Long enough that the helpers sleep.
                        thread::sleep(std::time::Duration::from_millis(1));
                    }
                }
            });
        }
    });
}

#[test]
fn a_panic_reaches_the_caller_and_the_team_lives_on() {
    for threads in [1, 2, 5] {
        let team = Team::new(threads).expect("threads");
        for bad in 0..20 {
            let mut y = vec![0.0; 20];
            let run = AssertUnwindSafe(|| {
                team.rows(0..20, 1, &mut y, |range, _| {
                    assert!(!range.contains(&bad), "row {bad}");
                });
            });
            let said = catch_unwind(run).expect_err("a part panicked");
            let said = said.downcast_ref::<String>().expect("a message");
            assert_eq!(*said, format!("row {bad}"));
            check(&team, 1, 20, bad);
        }
    }
}

#[test]
fn calls_inside_calls_and_from_several_threads_run() {
    let team = Team::new(3).expect("threads");
    let mut y = vec![0.0; 8];
    team.rows(0..8, 1, &mut y, |range, part| {
        check(&team, 1, 5, range.start);
        part.fill(2.0);
    });
    assert_eq!(y, [2.0; 8]);
    thread::scope(|s| {
        for t in 0..4 {
            let team = &team;
            s.spawn(move || (0..500).for_each(|call| check(team, 1, 9, call + t)));
        }
    });
}

#[test]
fn many_teams_come_and_go() {
    for i in 0..200 {
        let team = Team::new(4).expect("threads");
        if i % 2 == 0 {
            check(&team, 1, 6, i);
        }
    }
}
