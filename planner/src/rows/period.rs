//! Finds the steady state of a list of firings, so that a plan and a crate hold it once.

use std::collections::{BTreeMap, BTreeSet};

use tessera_plan::plan::{Firing, Order};

/// A turn may hold this many firings of an operation.
const LAGS: usize = 4;

/// Writes a list of firings as prologue, turns of a period, epilogue, in few firings.
pub(super) fn compress(all: &[Firing]) -> Order {
    let mut best = Order {
        prologue: all.to_vec(),
        ..Order::default()
    };
    let mut saved = 0;
    for length in lengths(all) {
        let mut at = 0;
        while at + 2 * length <= all.len() {
            let turns = turns(&all[at..], length);
            if (turns - 1) * length > saved {
                saved = (turns - 1) * length;
                best = split(all, at, length, turns);
            }
            // What ends a run of turns also ends every run that begins inside it.
            at += ((turns - 1) * length).max(1);
        }
    }
    best
}

/// Lengths that a turn may have: distances between firings of one operation, half way through, where
/// the steady state is.
fn lengths(all: &[Firing]) -> BTreeSet<usize> {
    let mut places: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (i, f) in all.iter().enumerate() {
        places.entry(f.op).or_default().push(i);
    }
    let mut lengths = BTreeSet::new();
    for list in places.values() {
        let middle = list.len() / 2;
        let from = middle.saturating_sub(LAGS / 2);
        for lag in 1..=LAGS {
            if let Some(to) = list.get(from + lag) {
                lengths.insert(to - list[from]);
            }
        }
    }
    lengths
}

/// How many turns of `length` firings `list` begins with.
fn turns(list: &[Firing], length: usize) -> usize {
    let step = |i: usize| {
        let (a, b) = (list[i], list[i + length]);
        let same = a.op == b.op && a.rows == b.rows && b.first >= a.first;
        same.then(|| b.first - a.first)
    };
    let mut n = 1;
    while (n + 1) * length <= list.len() {
        let last = (n - 1) * length;
        let goes_on = (0..length).all(|i| step(i).is_some() && step(i) == step(last + i));
        if !goes_on {
            break;
        }
        n += 1;
    }
    n
}

fn split(all: &[Firing], at: usize, length: usize, turns: usize) -> Order {
    let period = (at..at + length).map(|i| Firing {
        advance: all[i + length].first - all[i].first,
        ..all[i]
    });
    Order {
        prologue: all[..at].to_vec(),
        period: period.collect(),
        repeats: turns,
        epilogue: all[at + turns * length..].to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn firing(op: usize, first: usize) -> Firing {
        Firing {
            op,
            first,
            rows: 2,
            advance: 0,
        }
    }

    #[test]
    fn a_list_survives_and_shrinks() {
        let mut all = vec![firing(0, 0), firing(0, 2)];
        for turn in 0..50 {
            all.extend([
                firing(0, 4 + 4 * turn),
                firing(0, 6 + 4 * turn),
                firing(1, 2 * turn),
            ]);
        }
        all.push(firing(1, 100));
        let order = compress(&all);
        assert!(order.firings().eq(all.iter().copied()));
        assert_eq!(order.len(), all.len());
        assert_eq!(order.period.len(), 3);
        assert!(
            order.prologue.len() + order.epilogue.len() <= 6,
            "{order:?}"
        );
    }

    #[test]
    fn what_does_not_repeat_is_kept_as_it_is() {
        let all: Vec<Firing> = (0..5).map(|i| firing(i, 3 * i)).collect();
        let order = compress(&all);
        assert_eq!(order.prologue, all);
        assert!(compress(&[]).is_empty());
    }
}
