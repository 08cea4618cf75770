//! Places a chain's buffers in one arena: memory is shared by buffers whose lives do not overlap.
//!
//! Largest first, each at the lowest offset that no living buffer takes (the greedy-by-size
//! heuristic of Pisarchyk and Lee 2020, "Efficient memory management for deep neural net
//! inference").

use crate::plan::{Buffer, Step, View};

/// Alignment of offsets in float32 values: one cache line.
const ALIGN: usize = 16;

/// When a buffer is written first and read last, in steps; loads come before step 0.
#[derive(Clone, Copy, Debug)]
struct Life {
    first: usize,
    last: usize,
}

/// Sets offsets and sizes; gives the arena's size in float32 values.
pub fn allocate(
    buffers: &mut [Buffer],
    loads: &[Option<View>],
    steps: &[Step],
    stores: &[Option<View>],
) -> usize {
    let end = steps.len() + 1;
    let mut lives = vec![
        Life {
            first: end,
            last: 0
        };
        buffers.len()
    ];
    let mut touch = |b: usize, when: usize| {
        lives[b].first = lives[b].first.min(when);
        lives[b].last = lives[b].last.max(when);
    };
    for v in loads.iter().flatten() {
        touch(v.buffer, 0);
    }
    for (i, s) in steps.iter().enumerate() {
        touch(s.out.buffer, i + 1);
        for v in &s.inputs {
            touch(v.buffer, i + 1);
        }
    }
    for v in stores.iter().flatten() {
        touch(v.buffer, end);
    }
    for b in buffers.iter_mut() {
        let row = (b.pad_left + b.w + b.pad_right) * b.c;
        b.floats = row * (b.h + usize::from(b.zero_row));
    }
    let mut order: Vec<usize> = (0..buffers.len()).collect();
    order.sort_by_key(|b| (std::cmp::Reverse(buffers[*b].floats), *b));
    let mut placed: Vec<usize> = Vec::new();
    let mut total = 0;
    for b in order {
        let mut busy: Vec<(usize, usize)> = placed
            .iter()
            .filter(|p| lives[**p].first <= lives[b].last && lives[b].first <= lives[**p].last)
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
    total.next_multiple_of(ALIGN)
}
