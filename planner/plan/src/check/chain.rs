//! Rules of a chain: buffers that lie in the arena, views that lie in their buffers, steps that write what
//! they own.

use super::{Rule, kernel, order, place, reuse, rule, scratch};
use crate::{
    limits::{LIST_MAX, VALUES_MAX},
    plan::{Buffer, Chain, Isa, Step, Tensor, Tile, View},
    region::{Region, Shape},
};

/// All rules of a chain by itself; `is_packed`: inputs arrive as one packed map each.
pub(super) fn chain(c: &Chain, isa: Isa, is_packed: bool, place: &str) -> Rule {
    let at = || place.to_string();
    rule(
        c.buffers.len() <= LIST_MAX && c.steps.len() <= LIST_MAX && c.arena_floats < VALUES_MAX,
        &at,
        "too many or too large",
    )?;
    for b in &c.buffers {
        buffer(c, b, &at)?;
    }
    views(c, &at)?;
    place::places(c, is_packed, place)?;
    for s in &c.steps {
        step(c, s, place)?;
        match &s.conv {
            Some(k) => kernel::kernel(c, s, k, isa, &at)?,
            None => rule(
                s.scratch == 0 && s.weights.is_f32() && !s.joined,
                &at,
                "only convolutions have working memory, halves and joined rows",
            )?,
        }
    }
    order::order(c, place)?;
    scratch::scratch(c, place)
}

fn buffer(c: &Chain, b: &Buffer, at: &dyn Fn() -> String) -> Rule {
    let columns = b
        .pad_left
        .checked_add(b.w)
        .and_then(|n| n.checked_add(b.pad_right));
    let floats = columns
        .and_then(|n| n.checked_mul(b.c))
        .and_then(|n| n.checked_mul(b.ring.checked_add(usize::from(b.zero_row))?));
    rule(
        floats == Some(b.floats)
            && (1..VALUES_MAX).contains(&b.floats)
            && (1..=b.h).contains(&b.ring)
            && b.w > 0,
        at,
        "a buffer's size does not fit its shape",
    )?;
    rule(
        !b.place.is_arena()
            || (b.offset.is_multiple_of(16)
                && b.offset
                    .checked_add(b.floats)
                    .is_some_and(|e| e <= c.arena_floats)),
        at,
        "a buffer leaves the arena or is not aligned",
    )
}

fn views(c: &Chain, at: &dyn Fn() -> String) -> Rule {
    let views = c
        .loads
        .iter()
        .chain(&c.stores)
        .flatten()
        .chain(c.steps.iter().flat_map(|s| s.inputs.iter().chain([&s.out])));
    rule(
        views.into_iter().all(|v| inside(v, &c.buffers)),
        at,
        "a view leaves its buffer",
    )?;
    let loops = c.steps.iter().filter(|s| s.conv.is_none());
    let whole = (c.loads.iter().chain(&c.stores).flatten())
        .chain(c.steps.iter().map(|s| &s.out))
        .chain(loops.flat_map(|s| &s.inputs));
    rule(
        whole.into_iter().all(|v| v.channel == 0),
        at,
        "only convolutions read some channels",
    )?;
    rule(
        (0..c.loads.len()).all(|k| loads(c, k) || reuse::is_patched(c, c.loads[k].as_ref())),
        at,
        "an input fills its buffer, or the rows that the input before it leaves, or what steps leave",
    )
}

/// Whether input `k` has all columns of its buffer, and the rows that inputs of the same buffer leave: a first one the
/// rows up to a second one's, which follows it and has the rest.
fn loads(c: &Chain, k: usize) -> bool {
    let Some(v) = &c.loads[k] else { return true };
    let b = &c.buffers[v.buffer];
    let of_buffer = |o: &&View| o.buffer == v.buffer;
    let beside = |k: Option<usize>| {
        let view = k.and_then(|k| c.loads.get(k)).and_then(Option::as_ref);
        view.filter(of_buffer)
    };
    let (before, behind) = (beside(k.checked_sub(1)), beside(k.checked_add(1)));
    let first = before.map_or(0, |o| o.h);
    let rows = before.into_iter().chain(behind).map(|o| o.h).sum::<usize>();
    let others = c.loads.iter().flatten().filter(of_buffer).count();
    let arena = others == 1 || b.place.is_arena();
    arena
        && others == 1 + usize::from(before.is_some()) + usize::from(behind.is_some())
        && others <= 2
        && v.h > 0
        && (v.y, v.x, v.w) == (first, 0, b.w)
        && rows.checked_add(v.h) == Some(b.h)
}

/// Whether a view is all rows and columns of its buffer.
fn fills(v: &View, b: &Buffer) -> bool {
    (v.y, v.x, v.h, v.w) == (0, 0, b.h, b.w)
}

/// A step by itself, whatever it computes.
fn step(c: &Chain, s: &Step, place: &str) -> Rule {
    let at = || place.to_string();
    let out = &c.buffers[s.out.buffer];
    rule(
        fills(&s.out, out) || reuse::is_patched(c, Some(&s.out)),
        &at,
        "a step writes the whole of its buffer, but for strips",
    )?;
    rule(
        s.pad.iter().all(|n| *n <= LIST_MAX),
        &at,
        "a step's border is too wide",
    )?;
    rule(
        (1..=s.out.h).contains(&s.firing) && (1..=s.firing).contains(&s.row_block),
        &at,
        "firing must lie between 1 and the rows, row_block between 1 and firing",
    )?;
    place::part(c, s, place)?;
    for v in s.copied() {
        let b = &c.buffers[v.buffer];
        let apart = [b, out].iter().any(|b| !b.place.is_arena())
            || b.offset + b.floats <= out.offset
            || out.offset + out.floats <= b.offset;
        rule(apart, &at, "a step's input overlaps its output")?;
    }
    Ok(())
}

fn inside(v: &View, buffers: &[Buffer]) -> bool {
    buffers.get(v.buffer.0).is_some_and(|b| {
        v.channel < b.c
            && v.y.checked_add(v.h).is_some_and(|e| e <= b.h)
            && v.x.checked_add(v.w).is_some_and(|e| e <= b.w)
    })
}

/// Whether a tile's regions are what its chain loads and stores.
pub(super) fn fits(c: &Chain, tensors: &[Tensor], tile: &Tile, place: &str) -> Rule {
    let strips = |list: &[usize]| -> Vec<Region> {
        let each = list.iter().filter_map(|t| tensors.get(*t));
        each.map(|t| Region::whole(t.shape)).collect()
    };
    let (takes, gives) = (strips(&tile.takes), strips(&tile.gives));
    rule(
        c.loads.len() == tile.inputs.len() + takes.len()
            && c.stores.len() == tile.outputs.len() + gives.len(),
        &|| place.to_string(),
        "loads or stores do not match the tile",
    )?;
    let same = |r: &Region, v: &Option<View>| match v {
        None => r.is_empty(),
        Some(v) => r.shape() == Shape::new(v.h, v.w, c.buffers[v.buffer].c),
    };
    let mut inputs = tile.inputs.iter().chain(&takes).zip(&c.loads);
    let inputs = inputs.all(|(r, v)| same(r, v));
    let mut outputs = tile.outputs.iter().chain(&gives).zip(&c.stores);
    let outputs = outputs.all(|(r, v)| same(r, v));
    rule(
        inputs && outputs,
        &|| place.to_string(),
        "the tile's regions differ from its chain's",
    )?;
    let made = tile.outputs.iter().zip(&c.stores);
    let made = made.filter_map(|(r, v)| Some((r.c, v.as_ref()?.buffer)));
    rule(
        made.into_iter().all(|(channels, b)| {
            let mut makers = c.steps.iter().filter(|s| s.out.buffer == b);
            makers.all(|s| s.filters.is_none_or(|f| f == channels))
        }),
        &|| place.to_string(),
        "a tile's chain makes other channels than the tile",
    )
}
