//! Rules of a chain's order: every operation does its rows once, in order, in pieces that lie side by
//! side in its ring.

use super::{Rule, rule};
use crate::{
    limits::LIST_MAX,
    plan::{BufferIx, Chain, Place, View},
};

/// Most firings of a chain.
const FIRINGS_MAX: usize = 1 << 20;

pub(super) fn order(c: &Chain, place: &str) -> Rule {
    let at = || place.to_string();
    let o = &c.order;
    let turns = o.period.len().checked_mul(o.repeats);
    rule(
        o.prologue.len() <= LIST_MAX
            && o.epilogue.len() <= LIST_MAX
            && turns.is_some_and(|n| n <= FIRINGS_MAX),
        &at,
        "too many firings",
    )?;
    // Rows, and the ring that is written. What is read or written in its place is not copied.
    let place_of = |v: &View| c.buffers[v.buffer].place;
    let loads = c.loads.iter().map(|v| {
        let copied = v.as_ref().filter(|v| place_of(v).is_arena());
        copied.map_or((0, None), |v| (v.y + v.h, Some((v.buffer, 0))))
    });
    let steps = c.steps.iter().map(|s| {
        if s.is_there() {
            (0, None)
        } else {
            (s.out.h, Some((s.out.buffer, s.out.y)))
        }
    });
    let stores = c
        .stores
        .iter()
        .map(|v| {
            v.as_ref()
                .filter(|v| !matches!(place_of(v), Place::Output(_)))
        })
        .map(|v| (v.map_or(0, |v| v.h), None));
    // A load counts rows from its buffer's first one, a step from the first that it writes.
    let ops: Vec<(usize, Option<(BufferIx, usize)>)> = loads.chain(steps).chain(stores).collect();
    // A load may bring the last rows of a buffer.
    let begins = c.loads.iter().map(|v| v.as_ref().map_or(0, |v| v.y));
    let mut done: Vec<usize> = begins.collect();
    done.resize(ops.len(), 0);
    let bounded = o
        .period
        .iter()
        .all(|f| f.advance <= LIST_MAX && f.first <= LIST_MAX);
    rule(bounded, &at, "a firing's rows are out of reach")?;
    for f in o.firings() {
        let Some(&(h, ring)) = ops.get(f.op) else {
            return rule(false, &at, "a firing names a load, step or store");
        };
        let next = done[f.op];
        let fits = f.first == next && f.rows > 0 && f.rows <= h.saturating_sub(next);
        rule(fits, &at, "firings do rows once, in order")?;
        let side_by_side = ring.is_none_or(|(b, before)| {
            let ring = c.buffers[b].ring;
            f.rows <= ring && (before + f.first) % ring <= ring - f.rows
        });
        rule(side_by_side, &at, "the rows of a firing lie side by side")?;
        done[f.op] = next + f.rows;
    }
    // Rows that nobody reads (behind the last window of a stride) need not be made.
    let stored = ops.iter().zip(&done).all(|((h, ring), done)| {
        let kept = ring.is_some_and(|(b, _)| c.buffers[b].place.is_arena());
        kept || h == done
    });
    rule(stored, &at, "firings store every row")
}
