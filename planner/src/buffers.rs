//! Places a chain's buffers in one arena: memory is shared by buffers whose lives do not overlap.
//!
//! Largest first, each at the lowest offset that no living buffer takes (the greedy-by-size
//! heuristic of Pisarchyk and Lee 2020, "Efficient memory management for deep neural net
//! inference").

use crate::plan::Buffer;

/// Alignment of offsets in float32 values: one cache line.
pub(crate) const ALIGN: usize = 16;

/// Values at the beginning of the arena that a step works in, between two firings.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// Their number.
    pub floats: usize,
    /// The step's first and last firing.
    pub span: [usize; 2],
}

const fn meet(a: [usize; 2], b: [usize; 2]) -> bool {
    a[0] <= b[1] && b[0] <= a[1]
}

/// Sets offsets and sizes of the buffers in the arena; gives the arena's size in float32 values. `lives` are the first and the
/// last firing during which a buffer holds something; `taken` is what steps need for themselves: all
/// at the same place, since only one step runs at a time.
pub fn allocate(buffers: &mut [Buffer], lives: &[[usize; 2]], taken: &[Taken]) -> usize {
    for b in buffers.iter_mut() {
        let row = (b.pad_left + b.w + b.pad_right) * b.c;
        b.floats = row * (b.ring + usize::from(b.zero_row));
    }
    let mut order: Vec<usize> = (0..buffers.len())
        .filter(|b| buffers[*b].place.is_arena())
        .collect();
    order.sort_by_key(|b| (std::cmp::Reverse(buffers[*b].floats), *b));
    let mut placed: Vec<usize> = Vec::new();
    let mut total = taken.iter().map(|t| t.floats).max().unwrap_or(0);
    for b in order {
        let mut busy: Vec<(usize, usize)> = placed
            .iter()
            .filter(|p| meet(lives[**p], lives[b]))
            .map(|p| (buffers[*p].offset, buffers[*p].offset + buffers[*p].floats))
            .collect();
        busy.sort_unstable();
        let mut at = taken
            .iter()
            .filter(|t| meet(t.span, lives[b]))
            .map(|t| t.floats.next_multiple_of(ALIGN))
            .max()
            .unwrap_or(0);
        for (lo, hi) in busy {
            if at + buffers[b].floats <= lo {
                break;
            }
            at = at.max(hi.next_multiple_of(ALIGN));
        }
        buffers[b].offset = at;
        total = total.max(at + buffers[b].floats);
        placed.push(b);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{graph::TensorIx, plan::Place};

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
}
