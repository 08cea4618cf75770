//! Rules of buffers that lie outside the arena, and of those that several steps write.

use super::{Rule, rule};
use crate::plan::{Buffer, Chain, Place, Step, View};

/// For chains whose views lie in their buffers; `is_packed`: inputs arrive as one packed map each.
pub(super) fn places(c: &Chain, is_packed: bool, place: &str) -> Rule {
    let is = |list: &[Option<View>], k: usize, b: usize| match list.get(k) {
        Some(Some(v)) => v.buffer == b && fills(v, &c.buffers[b]),
        _ => false,
    };
    let reads = |b: usize| c.steps.iter().flat_map(Step::copied).any(|v| v.buffer == b);
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

/// A step that writes some channels of a buffer is a convolution, and one other step, no convolution, finds
/// them in its own output.
pub(super) fn part(c: &Chain, s: &Step, place: &str) -> Rule {
    let others = |b: usize| c.steps.iter().filter(move |o| o.out.buffer == b);
    let joins = |o: &&Step| o.conv.is_none() && o.copied().count() < o.inputs.len();
    let fits = match &s.conv {
        // Whole blocks of channels: how many follow, the packed weights say.
        Some(k) => {
            let alone = others(s.out.buffer).count() == 1;
            alone && s.channel == 0
                || k.y_stride > s.channel && others(s.out.buffer).filter(joins).count() == 1
        }
        None => {
            let joined = others(s.out.buffer).filter(|o| o.conv.is_none());
            s.channel == 0
                && joined.count() == 1
                && s.inputs.iter().filter(|v| s.finds(v)).all(|v| *v == s.out)
        }
    };
    let of_one = s.conv.is_none() || s.copied().count() == s.inputs.len();
    rule(
        fits && of_one,
        &|| format!("{place}, {}", s.name),
        "steps that share a buffer are convolutions and the one that joins them",
    )
}

/// Whether a view is all of an unpadded buffer.
fn fills(v: &View, b: &Buffer) -> bool {
    (v.y, v.x, v.h, v.w) == (0, 0, b.h, b.w) && !b.is_padded()
}
