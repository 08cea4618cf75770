//! Rules of buffers that lie outside the arena.

use super::{Rule, rule};
use crate::plan::{Buffer, Chain, Place, View};

/// For chains whose views lie in their buffers; `is_packed`: inputs arrive as one packed map each.
pub(super) fn places(c: &Chain, is_packed: bool, place: &str) -> Rule {
    let is = |list: &[Option<View>], k: usize, b: usize| match list.get(k) {
        Some(Some(v)) => v.buffer == b && fills(v, &c.buffers[b]),
        _ => false,
    };
    let reads = |b: usize| {
        c.steps
            .iter()
            .flat_map(|s| &s.inputs)
            .any(|v| v.buffer == b)
    };
    let stored = |b: usize| c.stores.iter().flatten().any(|v| v.buffer == b);
    let writes = |b: usize| c.steps.iter().any(|s| s.out.buffer == b);
    for (i, b) in c.buffers.iter().enumerate() {
        let fits = match b.place {
            Place::Arena => continue,
            Place::Input(k) => is_packed && is(&c.loads, k, i) && !writes(i) && !stored(i),
            Place::Output(k) => is(&c.stores, k, i) && writes(i) && !reads(i),
        };
        rule(
            fits && b.offset == 0 && b.ring == b.h,
            &|| format!("{place}, buffer {i}"),
            "a map outside the arena is a packed input or an output that no step reads, whole",
        )?;
    }
    Ok(())
}

/// Whether a view is all of an unpadded buffer.
fn fills(v: &View, b: &Buffer) -> bool {
    (v.y, v.x, v.h, v.w) == (0, 0, b.h, b.w) && !b.is_padded()
}
