//! Rules of buffers that lie outside the arena, and of those that several steps write.

use super::{Rule, rule};
use crate::plan::{Buffer, BufferIx, Chain, Place, Step, View};

/// For chains whose views lie in their buffers; `is_packed`: inputs arrive as one packed map each.
pub(super) fn places(c: &Chain, is_packed: bool, place: &str) -> Rule {
    let is = |list: &[Option<View>], k: usize, b: BufferIx| match list.get(k) {
        Some(Some(v)) => v.buffer == b && fills(v, &c.buffers[b]),
        _ => false,
    };
    let reads = |b: BufferIx| c.steps.iter().flat_map(Step::copied).any(|v| v.buffer == b);
    let stored = |b: BufferIx| c.stores.iter().flatten().any(|v| v.buffer == b);
    let writes = |b: BufferIx| c.steps.iter().any(|s| s.out.buffer == b);
    for (i, b) in c.buffers.iter().enumerate() {
        let at = BufferIx(i);
        let fits = match b.place {
            Place::Arena => continue,
            Place::Input(k) => is_packed && is(&c.loads, k, at) && !writes(at) && !stored(at),
            Place::Output(k) => is(&c.stores, k, at) && writes(at) && !reads(at),
        };
        rule(
            fits && b.offset == 0 && b.ring == b.h,
            &|| format!("{place}, buffer {i}"),
            "a map outside the arena is a packed input or an output that no step reads, whole",
        )?;
    }
    Ok(())
}

/// Steps write buffers of their own, or channels of one that another step, no convolution, finds them in: its
/// own output.
pub(super) fn part(c: &Chain, s: &Step, place: &str) -> Rule {
    let writers = || c.steps.iter().filter(|o| o.out.buffer == s.out.buffer);
    let joins = |o: &&Step| o.copied().count() < o.inputs.len();
    let joining = writers().filter(joins).count();
    // Whole blocks of a convolution's channels: how many follow, the packed weights say.
    let in_buffer = s.channel < c.buffers[s.out.buffer].c;
    let fits = if joins(&s) {
        s.conv.is_none()
            && s.channel == 0
            && joining == 1
            && s.inputs.iter().filter(|v| s.finds(v)).all(|v| *v == s.out)
    } else {
        in_buffer && (joining == 1 || s.channel == 0 && writers().count() == 1)
    };
    rule(
        fits,
        &|| format!("{place}, {}", s.name),
        "steps that share a buffer are its parts' makers and the one that joins them",
    )
}

/// Whether a view is all of an unpadded buffer.
fn fills(v: &View, b: &Buffer) -> bool {
    (v.y, v.x, v.h, v.w) == (0, 0, b.h, b.w) && !b.is_padded()
}
