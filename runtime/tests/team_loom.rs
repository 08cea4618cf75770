//! The team's ledger under loom: every interleaving of a caller and a helper.
//!
//! ```text
//! LOOM_MAX_PREEMPTIONS=3 RUSTFLAGS="--cfg loom" \
//!     cargo test -p tessera-runtime --test team_loom --release --target-dir target/loom
//! ```

#![cfg(loom)]

/// What the ledger is made of here.
mod primitives {
    pub use loom::{
        hint::spin_loop,
        sync::{
            Condvar, Mutex,
            atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence},
        },
    };

    /// Waiters sleep at once: looking is only more of the same.
    pub const LOOK_MAX: std::time::Duration = std::time::Duration::ZERO;
}
#[path = "../src/team/ledger.rs"]
mod ledger;

use std::sync::Arc;

use ledger::Ledger;
use loom::{cell::UnsafeCell, thread};

/// A ledger, what a caller publishes, and what pieces write; loom reports unordered accesses.
struct Shared {
    ledger: Ledger,
    layer: UnsafeCell<usize>,
    rows: [UnsafeCell<usize>; 2],
}

impl Shared {
    fn work(&self, seat: usize) {
        while let Some(piece) = self.ledger.take(seat) {
            // SAFETY: what is tested here: only the caller writes, when no piece is taken.
            let layer = self.layer.with(|p| unsafe { *p });
            for i in piece.quanta.clone() {
                // SAFETY: what is tested here: one thread has this piece.
                self.rows[i].with_mut(|p| unsafe { *p += layer });
            }
            self.ledger.done(piece);
        }
    }
}

/// A caller with `helpers` runs layers of `quanta` pieces each, then closes.
fn run(helpers: usize, layers: usize, quanta: usize) {
    loom::model(move || {
        let shared = Arc::new(Shared {
            ledger: Ledger::new(helpers + 1),
            layer: UnsafeCell::new(0),
            rows: [UnsafeCell::new(0), UnsafeCell::new(0)],
        });
        let threads: Vec<_> = (0..helpers)
            .map(|helper| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    while shared.ledger.wait_for_work() {
                        shared.work(helper + 1);
                    }
                })
            })
            .collect();
        let mut sum = 0;
        for layer in 1..=layers {
            sum += layer;
            // SAFETY: what is tested here: no piece of an earlier layer is at work.
            shared.layer.with_mut(|p| unsafe { *p = layer });
            shared.ledger.open(quanta);
            shared.work(0);
            shared.ledger.wait_until_done();
            for row in &shared.rows[..quanta] {
                // SAFETY: what is tested here: all pieces are done.
                assert_eq!(row.with(|p| unsafe { *p }), sum);
            }
        }
        shared.ledger.close();
        for t in threads {
            t.join().unwrap();
        }
    });
}

#[test]
fn two_layers_of_two_pieces() {
    run(1, 2, 2);
}

#[test]
fn two_helpers() {
    run(2, 1, 2);
}

#[test]
fn a_team_without_work_ends() {
    run(2, 0, 0);
}
