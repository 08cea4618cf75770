//! Where slots lie among the segment's slot bytes.

use tessera_plan::dataflow::{LINE_BYTES, SlotCount};

/// Where the slots of `classes` begin, in lines, with their bytes, ascending; and how many bytes all
/// take. Slots of a page or more begin on pages, others on lines.
pub(super) fn place(classes: &[SlotCount]) -> (Vec<(usize, usize)>, usize) {
    let mut sorted = classes.to_vec();
    sorted.sort_unstable_by_key(|c| (c.bytes, c.count));
    let mut places = Vec::new();
    let mut end = 0usize;
    for class in sorted {
        for _ in 0..class.count {
            let start = end.checked_next_multiple_of(class.align_bytes());
            let start = start.unwrap_or(usize::MAX);
            places.push((start / LINE_BYTES, class.bytes));
            end = start.saturating_add(class.stride_bytes());
        }
    }
    (places, end)
}
