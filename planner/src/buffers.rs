//! Places a chain's buffers in one arena: buffers whose lives do not overlap share memory.
//!
//! Every buffer goes to the lowest offset that no living buffer takes, the largest buffer first: the
//! greedy-by-size heuristic of Pisarchyk and Lee 2020, "Efficient memory management for deep neural net
//! inference". Where that order leaves gaps, the planner tries other orders.

use tessera_plan::plan::{ALIGN_FLOATS, Buffer};

/// Scratch memory of a step, at the beginning of the arena.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// Number of float32 values.
    pub floats: usize,
    /// The first and the last firing of the step.
    pub span: [usize; 2],
}

const fn meet(a: [usize; 2], b: [usize; 2]) -> bool {
    a[0] <= b[1] && b[0] <= a[1]
}

/// Sets offsets and sizes of the buffers in the arena; returns the arena's size in float32 values.
/// `lives` are the first and the last firing during which a buffer holds values. `taken` is the steps'
/// scratch memory: all steps share the same place, since only one step runs at a time.
///
/// No order of placing is best for all chains. The function tries several orders, stops at an order that
/// leaves no gaps, and otherwise takes the order with the smallest arena.
pub fn allocate(buffers: &mut [Buffer], lives: &[[usize; 2]], taken: &[Taken]) -> usize {
    for b in buffers.iter_mut() {
        let row = (b.pad_left + b.w + b.pad_right) * b.c;
        b.floats = row * (b.ring + usize::from(b.zero_row));
    }
    let here: Vec<usize> = (0..buffers.len())
        .filter(|b| buffers[*b].place.is_arena())
        .collect();
    let least = least(buffers, &here, lives, taken);
    let length = |b: usize| (lives[b][1] + 1).saturating_sub(lives[b][0]);
    let orders: [&dyn Fn(usize) -> [usize; 2]; 5] = [
        &|b| [usize::MAX - buffers[b].floats, 0],
        &|b| [usize::MAX - buffers[b].floats.saturating_mul(length(b)), 0],
        &|b| [usize::MAX - length(b), 0],
        &|b| [usize::MAX - lives[b][1], lives[b][0]],
        &|b| [lives[b][0], usize::MAX - buffers[b].floats],
    ];
    let mut best: Option<(usize, Vec<(usize, usize)>)> = None;
    for key in orders {
        let mut order = here.clone();
        order.sort_by_key(|b| (key(*b), *b));
        let (total, offsets) = place(buffers, &order, lives, taken);
        if best.as_ref().is_none_or(|(t, _)| total < *t) {
            best = Some((total, offsets));
        }
        if best.as_ref().is_some_and(|(t, _)| *t <= least) {
            break;
        }
    }
    let (total, offsets) = best.unwrap_or_default();
    for (b, at) in offsets {
        buffers[b].offset = at;
    }
    total
}

/// Lower bound of the arena's size in float32 values: the largest sum of living buffers at any firing.
fn least(buffers: &[Buffer], here: &[usize], lives: &[[usize; 2]], taken: &[Taken]) -> usize {
    let begins = here.iter().map(|b| lives[*b][0]);
    let begins = begins.chain(taken.iter().map(|t| t.span[0]));
    let at = |now: usize| -> usize {
        let now = [now; 2];
        let held = here.iter().filter(|b| meet(lives[**b], now));
        let worked = taken.iter().filter(|t| meet(t.span, now));
        held.map(|b| buffers[*b].floats).sum::<usize>()
            + worked.map(|t| t.floats).max().unwrap_or(0)
    };
    begins.map(at).max().unwrap_or(0)
}

/// Places buffers in `order`, each at the lowest offset that no living buffer takes; returns the
/// arena's size and the offsets, in float32 values.
fn place(
    buffers: &[Buffer],
    order: &[usize],
    lives: &[[usize; 2]],
    taken: &[Taken],
) -> (usize, Vec<(usize, usize)>) {
    let mut placed: Vec<(usize, usize)> = Vec::new();
    let mut total = taken.iter().map(|t| t.floats).max().unwrap_or(0);
    for &b in order {
        let mut busy: Vec<(usize, usize)> = placed
            .iter()
            .filter(|(p, _)| meet(lives[*p], lives[b]))
            .map(|(p, at)| (*at, at + buffers[*p].floats))
            .collect();
        busy.sort_unstable();
        let mut at = taken
            .iter()
            .filter(|t| meet(t.span, lives[b]))
            .map(|t| t.floats.next_multiple_of(ALIGN_FLOATS))
            .max()
            .unwrap_or(0);
        for (lo, hi) in busy {
            if at + buffers[b].floats <= lo {
                break;
            }
            at = at.max(hi.next_multiple_of(ALIGN_FLOATS));
        }
        total = total.max(at + buffers[b].floats);
        placed.push((b, at));
    }
    (total, placed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tessera_plan::{graph::TensorIx, plan::Place};

    fn row(w: usize) -> Buffer {
        Buffer {
            tensor: TensorIx(0),
            offset: 0,
            floats: 0,
            h: 1,
            ring: 1,
            w,
            c: 1,
            pad_left: 0,
            pad_right: 0,
            zero_row: false,
            place: Place::Arena,
        }
    }

    #[test]
    fn memory_of_steps_is_shared_by_buffers_that_live_at_other_times() {
        let mut buffers = [row(32), row(32), row(64)];
        let lives = [[0, 1], [1, 2], [3, 4]];
        let taken = [
            Taken {
                floats: 48,
                span: [1, 1],
            },
            Taken {
                floats: 16,
                span: [2, 2],
            },
        ];
        assert_eq!(allocate(&mut buffers, &lives, &taken), 112);
        assert_eq!(buffers.map(|b| b.offset), [48, 80, 0]);
        assert_eq!(allocate(&mut [], &[], &taken), 48);
    }

    #[test]
    fn another_order_is_taken_where_largest_first_leaves_a_gap() {
        // Largest first puts the short-lived 1 at the bottom and 3 above it, and two pieces of 32 then
        // find 48 values below 3.
        let mut buffers = [row(32), row(48), row(32), row(48)];
        let lives = [[4, 4], [0, 3], [4, 4], [0, 4]];
        for b in &mut buffers {
            b.floats = b.w;
        }
        assert_eq!(place(&buffers, &[1, 3, 0, 2], &lives, &[]).0, 128);
        assert_eq!(allocate(&mut buffers, &lives, &[]), 112);
        assert_eq!(buffers[3].offset, 0);
    }
}
