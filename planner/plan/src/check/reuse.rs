//! Rules of stages whose tiles have two colours: who hands which strips to whom, and buffers that steps and strips fill
//! together.

use std::collections::{BTreeMap, BTreeSet};

use super::{Rule, rule};
use crate::{
    graph::Graph,
    plan::{Border, Buffer, Chain, Dataflow, ElementType, Place, Split, Stage, Tensor, Tile, View},
    region::{Region, Shape, Span},
};

/// A tensor that is a strip: a box of a node's output.
pub(super) fn strip(network: &Graph, t: &Tensor) -> Rule {
    let place = || format!("strip of tensor {}", t.id.0);
    let node = t.id.producer().filter(|n| n.0 < network.nodes.len());
    let Some((_, [y, x])) = node.zip(t.strip) else {
        return rule(false, &place, "a strip is of a layer's output");
    };
    let map = network.shape(t.id);
    let inside = |s: Span, extent: usize| !s.is_empty() && s.hi <= extent;
    rule(
        inside(y, map.h)
            && inside(x, map.w)
            && t.shape == Shape::new(y.len(), x.len(), map.c)
            && t.parts == 1
            && t.scales.is_none()
            && t.element != ElementType::U8,
        &place,
        "a strip is a box of its map, with all channels, in float32 or half precision",
    )
}

/// Every strip is handed over once: a task of its own makes it in the place of a tile, and a tile takes it.
pub(super) fn strips(d: &Dataflow) -> Rule {
    let mut made = vec![0_usize; d.tensors.len()];
    let mut taken = vec![0_usize; d.tensors.len()];
    for t in d.stages.iter().flat_map(|s| &s.tiles) {
        let place = || format!("tile {}x{}", t.row, t.col);
        let known = |k: &usize| d.tensors.get(*k).is_some_and(Tensor::is_strip);
        rule(
            t.takes.iter().chain(&t.gives).all(known),
            &place,
            "a tile hands over what is no strip",
        )?;
        t.takes.iter().for_each(|k| taken[*k] += 1);
        if t.instead_of.is_some() {
            t.gives.iter().for_each(|k| made[*k] += 1);
        }
    }
    let mut all = d.tensors.iter().zip(made.iter().zip(&taken));
    rule(
        all.all(|(t, (made, taken))| [*made, *taken] == [usize::from(t.is_strip()); 2]),
        &|| "dataflow".into(),
        "a strip has one task of its own and one taker",
    )
}

/// Tiles of the first colour, tasks in their place, tiles of the second colour. Stages of other borders have none of this.
pub(super) fn stage(s: &Stage, place: &dyn Fn() -> String) -> Rule {
    if s.border != Border::Reuse {
        let plain = s
            .tiles
            .iter()
            .all(|t| t.takes.is_empty() && t.gives.is_empty() && t.instead_of.is_none());
        return rule(plain, place, "only tiles of two colours hand over strips");
    }
    let colour = |t: &Tile| match t.row.wrapping_add(t.col) % 2 {
        _ if t.instead_of.is_some() => 1,
        0 => 0,
        _ => 2,
    };
    let key = |t: &Tile| match colour(t) {
        1 => (1, 0, 0),
        other => (other, t.row, t.col),
    };
    let in_order = s.tiles.windows(2).all(|w| {
        let [before, behind] = [key(&w[0]), key(&w[1])];
        before < behind || [before.0, behind.0] == [1; 2]
    });
    rule(
        s.split != Split::Channels && in_order,
        place,
        "tiles of the first colour come first, those of the second last, each row by row",
    )?;
    // Strips that tasks make alone: by the tile for which they stand in, and by the place of the one that takes them.
    let mut given: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut taken: BTreeMap<[usize; 2], BTreeSet<usize>> = BTreeMap::new();
    for t in s.tiles.iter().filter(|t| t.instead_of.is_some()) {
        let maker = t.instead_of.unwrap_or(0);
        given.entry(maker).or_default().extend(&t.gives);
        taken.entry([t.row, t.col]).or_default().extend(&t.gives);
    }
    for (k, t) in s.tiles.iter().enumerate() {
        let fits = match colour(t) {
            0 => t.takes.is_empty() && given.get(&k).map_or(&[][..], Vec::as_slice) == t.gives,
            1 => {
                let maker = t.instead_of.and_then(|m| s.tiles.get(m));
                let beside = maker.is_some_and(|m| {
                    let steps = [m.row.abs_diff(t.row), m.col.abs_diff(t.col)];
                    colour(m) == 0 && [[0, 1], [1, 0]].contains(&steps)
                });
                beside && t.takes.is_empty() && !t.gives.is_empty()
            }
            _ => {
                let mine = taken.get(&[t.row, t.col]);
                let of_mine = |strip: &usize| mine.is_some_and(|m| m.contains(strip));
                t.gives.is_empty() && t.takes.iter().all(of_mine)
            }
        };
        rule(
            fits,
            place,
            "tiles of the first colour give strips to their neighbours of the second, which take them",
        )?;
    }
    Ok(())
}

/// Whether a view, a load or what steps write, is part of a buffer that steps and loads fill together: all steps that write
/// the buffer write one box of it, and loads bring whole rows above and below, and columns beside.
pub(super) fn is_patched(c: &Chain, view: Option<&View>) -> bool {
    let Some(view) = view else { return true };
    let b: &Buffer = &c.buffers[view.buffer];
    let mut outs = c
        .steps
        .iter()
        .map(|s| &s.out)
        .filter(|o| o.buffer == view.buffer);
    let Some(own) = outs.next() else { return false };
    if b.place != Place::Arena || !outs.all(|o| o == own) {
        return false;
    }
    let mut boxes = vec![own];
    for v in c.loads.iter().flatten().filter(|v| v.buffer == view.buffer) {
        let rows = (v.x, v.w) == (0, b.w);
        let columns = (v.y, v.h) == (own.y, own.h);
        if !(rows || columns) || v.h == 0 || v.w == 0 {
            return false;
        }
        boxes.push(v);
    }
    let region = |v: &View| Region::new([v.y, v.y + v.h], [v.x, v.x + v.w], [0, 1]);
    let regions: Vec<Region> = boxes.iter().map(|v| region(v)).collect();
    let apart =
        (1..regions.len()).all(|k| regions[..k].iter().all(|r| r.meet(regions[k]).is_empty()));
    let pixels = |h: usize, w: usize| h as u128 * w as u128;
    let all: u128 = boxes.iter().map(|v| pixels(v.h, v.w)).sum();
    apart && all == pixels(b.h, b.w)
}
