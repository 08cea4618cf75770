//! The team under load: more threads than cores, parts that panic, calls inside calls.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use tessera_runtime::team::{Across, Split, Team};

/// Computes `rows` rows of two values and checks that each was computed once.
fn check(team: &Team, rows: usize, salt: usize) {
    let mut y = vec![0.0; rows * 2];
    let calls = AtomicUsize::new(0);
    team.rows(0..rows, 2, &mut y, |range, part| {
        assert_eq!(part.len(), range.len() * 2);
        calls.fetch_add(range.len(), Ordering::Relaxed);
        for (row, values) in range.zip(part.chunks_exact_mut(2)) {
            values[0] += (row + salt) as f32;
            values[1] += 1.0;
        }
    });
    assert_eq!(calls.into_inner(), rows);
    for (row, values) in y.chunks_exact(2).enumerate() {
        assert_eq!(values, [(row + salt) as f32, 1.0], "row {row} of {rows}");
    }
}

#[test]
fn strips_fill_their_places_and_nobody_elses() {
    // Count, width, stride, pieces: of whole strides, with a gap behind the last, the last narrower.
    for (count, width, stride, pieces) in
        [(4, 8, 32, 9), (5, 8, 56, 3), (3, 16, 37, 40), (1, 7, 7, 2)]
    {
        for threads in 1..=4 {
            let team = Team::new(threads).expect("threads");
            let mut y = vec![-1.0; stride * pieces];
            let across = Across {
                width,
                stride,
                scratch_floats: 0,
            };
            team.strips(count, across, &mut y, &mut [], |list, mut y, _| {
                assert_eq!(
                    (y.stride(), y.width() <= list.len() * width),
                    (stride, true)
                );
                for i in 0..pieces {
                    for lane in 0..y.width() {
                        y[i * stride + lane] += (1 + list.start * width + lane + 1000 * i) as f32;
                    }
                }
            });
            for (at, value) in y.iter().enumerate() {
                let (i, lane) = (at / stride, at % stride);
                let want = if lane < count * width {
                    (lane + 1000 * i) as f32
                } else {
                    -1.0
                };
                assert_eq!(*value, want, "{threads} threads, {count} strips of {width}");
            }
        }
    }
}

#[test]
fn threads_have_working_memory_of_their_own() {
    for threads in 1..=4 {
        let team = Team::new(threads).expect("threads");
        for (rows, places) in [(1, 2), (4, 2), (9, 1), (11, 2), (16, 4), (40, 3)] {
            let mut scratch = vec![0.0; places * 5];
            // Whoever shares a place with another finds it changed.
            let use_up = |s: &mut [f32]| {
                assert_eq!(s.len(), 5);
                let seen = s[0] + 1.0;
                s.fill(seen);
                thread::yield_now();
                assert!(s.iter().all(|v| *v == seen));
            };
            let mut y = vec![0.0; rows * 3];
            let split = Split {
                row_floats: 3,
                scratch_floats: 5,
            };
            // Firings begin anywhere.
            team.rows_scratch(7..7 + rows, split, &mut y, &mut scratch, |rows, y, s| {
                assert_eq!(y.len(), rows.len() * 3);
                use_up(s);
                for (row, y) in rows.zip(y.chunks_exact_mut(3)) {
                    y.fill((row - 7) as f32);
                }
            });
            let all = y.iter().enumerate().all(|(i, v)| *v == (i / 3) as f32);
            assert!(all, "{threads} threads, {rows} rows: {y:?}");
            let across = Across {
                width: 1,
                stride: rows,
                scratch_floats: 5,
            };
            team.strips(rows, across, &mut y, &mut scratch, |list, mut y, s| {
                use_up(s);
                for (i, strip) in list.enumerate() {
                    for piece in 0..3 {
                        y[piece * rows + i] = strip as f32;
                    }
                }
            });
            let all = y.iter().enumerate().all(|(i, v)| *v == (i % rows) as f32);
            assert!(all, "{threads} threads, {rows} strips: {y:?}");
        }
    }
}

#[test]
fn thousands_of_small_layers_by_more_threads_than_cores() {
    for threads in [2, 3, 8] {
        let team = Team::new(threads).expect("threads");
        for call in 0..3000 {
            check(&team, call % 41, call);
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
                    check(&team, 17 + t, call);
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
            check(&team, 20, bad);
        }
    }
}

#[test]
fn calls_inside_calls_and_from_several_threads_run() {
    let team = Team::new(3).expect("threads");
    let mut y = vec![0.0; 8];
    team.rows(0..8, 1, &mut y, |range, part| {
        check(&team, 5, range.start);
        part.fill(2.0);
    });
    assert_eq!(y, [2.0; 8]);
    thread::scope(|s| {
        for t in 0..4 {
            let team = &team;
            s.spawn(move || (0..500).for_each(|call| check(team, 9, call + t)));
        }
    });
}

#[test]
fn many_teams_come_and_go() {
    for i in 0..200 {
        let team = Team::new(4).expect("threads");
        if i % 2 == 0 {
            check(&team, 6, i);
        }
    }
}
