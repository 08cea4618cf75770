//! Places a chain's buffers in one arena: memory is shared by buffers whose lives do not overlap.
//!
//! Largest first, each at the lowest offset that no living buffer takes (the greedy-by-size
//! heuristic of Pisarchyk and Lee 2020, "Efficient memory management for deep neural net
//! inference").

use crate::plan::Buffer;

/// Alignment of offsets in float32 values: one cache line.
pub(crate) const ALIGN: usize = 16;

/// Sets offsets and sizes; gives the arena's size in float32 values. `lives` are the first and the
/// last firing during which a buffer holds something.
pub fn allocate(buffers: &mut [Buffer], lives: &[[usize; 2]]) -> usize {
    for b in buffers.iter_mut() {
        let row = (b.pad_left + b.w + b.pad_right) * b.c;
        b.floats = row * (b.ring + usize::from(b.zero_row));
    }
    let mut order: Vec<usize> = (0..buffers.len()).collect();
    order.sort_by_key(|b| (std::cmp::Reverse(buffers[*b].floats), *b));
    let mut placed: Vec<usize> = Vec::new();
    let mut total = 0;
    for b in order {
        let mut busy: Vec<(usize, usize)> = placed
            .iter()
            .filter(|p| lives[**p][0] <= lives[b][1] && lives[b][0] <= lives[**p][1])
            .map(|p| (buffers[*p].offset, buffers[*p].offset + buffers[*p].floats))
            .collect();
        busy.sort_unstable();
        let mut at = 0;
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
