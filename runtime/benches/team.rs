//! What it costs to split a layer's rows: the team against rayon's scope, on as many threads.
//!
//! `cargo bench -p tessera-runtime --bench team`. Prints, asserts nothing about time. Layers of
//! several lengths, back to back as in a frame, alone and beside a process that wants a core.

use std::{
    hint::black_box,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Instant,
};

use tessera_runtime::team::Team;

/// Rows of a layer.
const ROWS: usize = 8;
/// Values of a row.
const ROW: usize = 64;
/// Layers in a row, as in a frame.
const LAYERS: u32 = 300;
/// Frames per figure.
const FRAMES: u32 = 40;

/// Work that the compiler cannot shorten: `turns` dependent additions per row.
fn compute(rows: std::ops::Range<usize>, part: &mut [f32], turns: u32) {
    for (row, values) in rows.zip(part.chunks_exact_mut(ROW)) {
        let mut sum = row as f32;
        for _ in 0..turns {
            sum = black_box(sum + 1.0);
        }
        values.fill(sum);
    }
}

fn by_scope(pool: &rayon::ThreadPool, y: &mut [f32], turns: u32) {
    let per_part = ROWS.div_ceil(pool.current_num_threads());
    pool.scope(|scope| {
        for (i, part) in y.chunks_mut(per_part * ROW).enumerate() {
            let first = i * per_part;
            scope.spawn(move |_| compute(first..(first + per_part).min(ROWS), part, turns));
        }
    });
}

/// Microseconds a layer: the least frame and the median one.
fn time(mut layer: impl FnMut()) -> [f64; 2] {
    let mut us: Vec<f64> = (0..FRAMES)
        .map(|_| {
            let begun = Instant::now();
            (0..LAYERS).for_each(|_| layer());
            begun.elapsed().as_secs_f64() * 1e6 / f64::from(LAYERS)
        })
        .collect();
    us.sort_by(f64::total_cmp);
    [us[0], us[us.len() / 2]]
}

fn main() {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    for (threads, busy) in [(2, false), (cores, true), (2 * cores, false)] {
        let team = Team::new(threads).expect("threads");
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("threads");
        let stop = AtomicBool::new(false);
        thread::scope(|s| {
            if busy {
                s.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        black_box(0);
                    }
                });
            }
            let beside = if busy {
                ", a core wanted by another"
            } else {
                ""
            };
            println!("{threads} threads on {cores} cores{beside}: us a layer, least and median");
            for turns in [10, 300, 3000] {
                let mut y = vec![0.0; ROWS * ROW];
                let alone = time(|| compute(0..ROWS, &mut y, turns));
                let team_us = time(|| {
                    team.rows(0..ROWS, ROW, &mut y, |rows, part| {
                        compute(rows, part, turns)
                    });
                });
                let scope_us = time(|| by_scope(&pool, &mut y, turns));
                println!(
                    "  one thread {:7.2} {:7.2}   team {:7.2} {:7.2}   scope {:7.2} {:7.2}   team / scope {:.2} {:.2}",
                    alone[0],
                    alone[1],
                    team_us[0],
                    team_us[1],
                    scope_us[0],
                    scope_us[1],
                    team_us[0] / scope_us[0],
                    team_us[1] / scope_us[1]
                );
            }
            stop.store(true, Ordering::Relaxed);
        });
    }
}
