//! The rules that every plan obeys, whoever wrote it. Codegen and nodes rely on them.

mod element;
mod order;
mod place;
mod scratch;

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    kernel::{reads, scratch as scratch_floats, takes_winograd, vector, winograd::Sizes},
    limits::{LIST_MAX, STAGE_TILES_MAX, TEAM_MAX, VALUES_MAX},
    plan::{Buffer, Chain, ConvKernel, Isa, Plan, Stage, Step, TargetPlan, View, WeightFormat},
};

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {rule}")]
pub struct CheckError {
    /// Where in the plan.
    pub place: String,
    /// Which rule.
    pub rule: &'static str,
}

type Rule = Result<(), CheckError>;

fn rule(holds: bool, place: &dyn Fn() -> String, text: &'static str) -> Rule {
    if holds {
        Ok(())
    } else {
        Err(CheckError {
            place: place(),
            rule: text,
        })
    }
}

/// Checks a plan.
///
/// # Errors
/// With the first broken rule.
pub fn check(plan: &Plan) -> Rule {
    let d = &plan.dataflow;
    let here = || "dataflow".to_string();
    rule(
        is_crate_name(&plan.name),
        &|| "name".into(),
        "must be a crate name: a letter, then letters, digits, - or _",
    )?;
    rule(
        d.tensors.len() <= LIST_MAX && d.stages.len() <= LIST_MAX,
        &here,
        "too many tensors or stages",
    )?;
    rule(
        d.tensors.first().is_some_and(|t| t.id.0 == -1),
        &here,
        "tensor 0 must be the network's input",
    )?;
    rule(
        d.tensors.windows(2).all(|w| w[0].id < w[1].id),
        &here,
        "tensors must be listed once, in order",
    )?;
    for t in &d.tensors {
        let s = t.shape;
        let values = s.h.checked_mul(s.w).and_then(|n| n.checked_mul(s.c));
        rule(
            values.is_some_and(|n| (1..VALUES_MAX).contains(&n)),
            &|| format!("tensor {}", t.id.0),
            "is empty or too large",
        )?;
    }
    let known = |t: &crate::graph::TensorIx| d.tensors.iter().any(|x| x.id == *t);
    let all = d
        .stages
        .iter()
        .flat_map(|s| s.inputs.iter().chain(&s.outputs))
        .chain(&d.tail.inputs)
        .chain(&d.tail.outputs);
    rule(
        all.into_iter().all(known),
        &here,
        "a stage or the tail names a tensor that is not listed",
    )?;
    let mut layer = 0;
    for (i, s) in d.stages.iter().enumerate() {
        rule(
            s.first_layer == layer && s.end_layer > layer,
            &|| format!("stage {i}"),
            "stages must follow each other without a gap",
        )?;
        layer = s.end_layer;
        stage(plan, i, s)?;
    }
    rule(
        d.tail.first_layer == layer && d.tail.end_layer >= layer,
        &|| "tail".into(),
        "must begin where the stages end",
    )?;
    for (name, t) in &plan.target {
        rule(
            t.stages.len() == d.stages.len(),
            &|| format!("target {name}"),
            "must have the chains of every stage",
        )?;
        for (i, chains) in t.stages.iter().enumerate() {
            let s = &d.stages[i];
            let needed = s.tiles.iter().map(|t| t.class + 1).max().unwrap_or(0);
            rule(
                chains.len() == needed && needed > 0,
                &|| format!("target {name}, stage {i}"),
                "classes and chains differ in number",
            )?;
            for c in chains {
                let place = format!("target {name}, stage {i}, chain {}", c.name);
                rule(
                    c.loads.len() == s.inputs.len() && c.stores.len() == s.outputs.len(),
                    &|| place.clone(),
                    "loads or stores do not match the stage",
                )?;
                chain(c, t.kernels, false, &place)?;
            }
            for tile in &s.tiles {
                fits(
                    &chains[tile.class],
                    tile,
                    &format!("target {name}, stage {i}, tile {}x{}", tile.row, tile.col),
                )?;
            }
        }
        let place = format!("target {name}, tail");
        rule(
            t.tail.loads.len() == d.tail.inputs.len()
                && t.tail.stores.len() == d.tail.outputs.len(),
            &|| place.clone(),
            "loads or stores do not match",
        )?;
        chain(&t.tail, t.kernels, true, &place)?;
        sections(t, name)?;
        formats(t, name)?;
    }
    element::elements(plan)
}

fn is_crate_name(name: &str) -> bool {
    name.len() <= 200
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

fn stage(plan: &Plan, i: usize, s: &Stage) -> Rule {
    let place = || format!("stage {i}");
    let shape = |t: &crate::graph::TensorIx| {
        plan.dataflow
            .tensors
            .iter()
            .find(|x| x.id == *t)
            .map(|x| x.shape)
    };
    let tiles = s.grid[0].checked_mul(s.grid[1]);
    rule(
        tiles == Some(s.tiles.len()) && !s.tiles.is_empty() && s.tiles.len() <= STAGE_TILES_MAX,
        &place,
        "tiles must fill the grid",
    )?;
    for (k, t) in s.tiles.iter().enumerate() {
        let place = || format!("stage {i}, tile {k}");
        rule(
            (t.row, t.col) == (k / s.grid[1], k % s.grid[1]),
            &place,
            "tiles must be row-major",
        )?;
        rule(
            t.inputs.len() == s.inputs.len() && t.outputs.len() == s.outputs.len(),
            &place,
            "a region per input and output",
        )?;
        for (r, tensor) in t
            .inputs
            .iter()
            .chain(&t.outputs)
            .zip(s.inputs.iter().chain(&s.outputs))
        {
            let Some(shape) = shape(tensor) else { continue };
            let inside = r.y.lo <= r.y.hi
                && r.x.lo <= r.x.hi
                && r.c.lo <= r.c.hi
                && r.y.hi <= shape.h
                && r.x.hi <= shape.w
                && r.c.hi <= shape.c;
            rule(inside, &place, "a region leaves its tensor")?;
            rule(
                r.is_empty() || r.c.len() == shape.c,
                &place,
                "regions hold all channels",
            )?;
        }
    }
    // Outputs are covered exactly once: rows of tiles abut, and so do columns.
    for (k, tensor) in s.outputs.iter().enumerate() {
        let Some(shape) = shape(tensor) else { continue };
        let place = || format!("stage {i}, output {k}");
        let at = |row: usize, col: usize| &s.tiles[row * s.grid[1] + col].outputs[k];
        for row in 0..s.grid[0] {
            for col in 0..s.grid[1] {
                let r = at(row, col);
                let y0 = if row == 0 { 0 } else { at(row - 1, col).y.hi };
                let x0 = if col == 0 { 0 } else { at(row, col - 1).x.hi };
                let aligned = r.y == at(row, 0).y && r.x == at(0, col).x;
                rule(
                    r.y.lo == y0 && r.x.lo == x0 && aligned,
                    &place,
                    "tiles must abut",
                )?;
            }
        }
        let last = at(s.grid[0] - 1, s.grid[1] - 1);
        rule(
            last.y.hi == shape.h && last.x.hi == shape.w,
            &place,
            "tiles must cover the whole map",
        )?;
    }
    Ok(())
}

fn fits(c: &Chain, tile: &crate::plan::Tile, place: &str) -> Rule {
    let same = |r: &crate::region::Region, v: &Option<View>| match v {
        None => r.is_empty(),
        Some(v) => (r.y.len(), r.x.len()) == (v.h, v.w),
    };
    let inputs = tile.inputs.iter().zip(&c.loads).all(|(r, v)| same(r, v));
    let outputs = tile.outputs.iter().zip(&c.stores).all(|(r, v)| same(r, v));
    rule(
        inputs && outputs,
        &|| place.to_string(),
        "the tile's regions differ from its chain's",
    )
}

fn inside(v: &View, buffers: &[Buffer]) -> bool {
    buffers.get(v.buffer).is_some_and(|b| {
        v.channel < b.c
            && v.y.checked_add(v.h).is_some_and(|e| e <= b.h)
            && v.x.checked_add(v.w).is_some_and(|e| e <= b.w)
    })
}

fn chain(c: &Chain, isa: Isa, is_packed: bool, place: &str) -> Rule {
    let at = || place.to_string();
    rule(
        c.buffers.len() <= LIST_MAX && c.steps.len() <= LIST_MAX && c.arena_floats < VALUES_MAX,
        &at,
        "too many or too large",
    )?;
    for b in &c.buffers {
        let columns = b
            .pad_left
            .checked_add(b.w)
            .and_then(|n| n.checked_add(b.pad_right));
        let floats = columns
            .and_then(|n| n.checked_mul(b.c))
            .and_then(|n| n.checked_mul(b.ring.checked_add(usize::from(b.zero_row))?));
        rule(
            floats == Some(b.floats) && b.floats > 0 && (1..=b.h).contains(&b.ring),
            &at,
            "a buffer's size does not fit its shape",
        )?;
        rule(
            !b.place.is_arena()
                || (b.offset % 16 == 0
                    && b.offset
                        .checked_add(b.floats)
                        .is_some_and(|e| e <= c.arena_floats)),
            &at,
            "a buffer leaves the arena or is not aligned",
        )?;
    }
    let views = c
        .loads
        .iter()
        .chain(&c.stores)
        .flatten()
        .chain(c.steps.iter().flat_map(|s| s.inputs.iter().chain([&s.out])));
    rule(
        views.into_iter().all(|v| inside(v, &c.buffers)),
        &at,
        "a view leaves its buffer",
    )?;
    let loops = c.steps.iter().filter(|s| s.conv.is_none());
    let whole = (c.loads.iter().chain(&c.stores).flatten())
        .chain(c.steps.iter().map(|s| &s.out))
        .chain(loops.flat_map(|s| &s.inputs));
    rule(
        whole.into_iter().all(|v| v.channel == 0),
        &at,
        "only convolutions read some channels",
    )?;
    place::places(c, is_packed, place)?;
    for s in &c.steps {
        let out = &c.buffers[s.out.buffer];
        rule(
            (s.out.y, s.out.x, s.out.h, s.out.w) == (0, 0, out.h, out.w),
            &at,
            "a step writes the whole of its buffer",
        )?;
        rule(
            (1..=out.h).contains(&s.firing) && (1..=s.firing).contains(&s.row_block),
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
        if let Some(k) = &s.conv {
            let Some(x) = s.inputs.first() else {
                return rule(false, &at, "a convolution without input");
            };
            let b = &c.buffers[x.buffer];
            let cols = out.w.saturating_mul(k.side());
            let widest = Sizes::new(k).map_or(cols, |_| usize::MAX);
            rule(
                (1..=16).contains(&k.mr) && k.mr <= widest && matches!(k.nr, 8 | 12 | 16 | 32),
                &at,
                "block sizes of a kernel",
            )?;
            rule(
                k.size >= 1 && k.stride_x >= 1 && k.dilation >= 1 && k.cin >= 1,
                &at,
                "parameters of a kernel",
            )?;
            let taps = k.size.checked_mul(k.size);
            let block = taps.and_then(|n| n.checked_mul(k.cin)?.checked_mul(k.nr));
            rule(
                block.is_some_and(|n| n < VALUES_MAX)
                    && k.stride_x.max(k.dilation) < LIST_MAX
                    && (k.depthwise || k.cin <= k.x_stride)
                    && (x.channel == 0
                        || !k.depthwise && k.cin <= k.x_stride.saturating_sub(x.channel)),
                &at,
                "a kernel is too large",
            )?;
            rule(
                k.x_stride == b.c && k.y_stride == out.c,
                &at,
                "pixel strides of a kernel",
            )?;
            rule(
                b.pad_left >= s.pad[2] && (x.x + x.w < b.w || b.pad_right >= s.pad[3]),
                &at,
                "zero columns for a kernel",
            )?;
            rule(
                b.zero_row || s.pad[0] + s.pad[1] == 0,
                &at,
                "a zero row for a kernel",
            )?;
            let reach = (k.size - 1)
                .checked_mul(k.dilation)
                .and_then(|n| n.checked_add((cols - 1).checked_mul(k.stride_x)?));
            let have = b.pad_left + b.w + b.pad_right;
            let start = b.pad_left + x.x - s.pad[2].min(b.pad_left + x.x);
            rule(
                reach
                    .and_then(|n| n.checked_add(start))
                    .is_some_and(|n| n < have),
                &at,
                "a kernel reads behind its rows",
            )?;
            rule(
                !k.pool
                    || ((k.mr.is_multiple_of(2) || !k.algorithm.is_direct())
                        && k.activation.is_in_registers()),
                &at,
                "a kernel that pools has blocks of pairs, and activates in registers",
            )?;
            rule(
                !s.joined
                    || ((k.size, k.stride_x, k.pool) == (1, 1, false)
                        && x.w == b.w
                        && b.w == out.w
                        && [b, out].iter().all(|b| b.pad_left + b.pad_right == 0)),
                &at,
                "rows that are joined have gaps",
            )?;
            winograd(s, k, isa, &at)?;
            working_memory(c, s, k, &at)?;
        } else {
            rule(
                s.scratch == 0 && s.weights.is_f32() && !s.joined,
                &at,
                "only convolutions have working memory, halves and joined rows",
            )?;
        }
    }
    order::order(c, place)?;
    scratch::scratch(c, place)
}

/// What a Winograd kernel needs beyond the rules of all kernels.
fn winograd(s: &Step, k: &ConvKernel, isa: Isa, at: &dyn Fn() -> String) -> Rule {
    let lanes = vector(isa);
    let Some(sizes) = Sizes::new(k) else {
        return Ok(());
    };
    rule(
        [2, 4, 6].contains(&sizes.m)
            && (k.size, k.stride_x, k.dilation, k.depthwise) == (3, 1, 1, false)
            && k.cin <= k.x_stride
            && k.cin.is_multiple_of(lanes)
            && takes_winograd(isa, k.nr)
            && sizes.depth.is_multiple_of(lanes)
            && (lanes..=k.cin).contains(&sizes.depth)
            && s.out.w.saturating_mul(k.side()) >= sizes.m,
        at,
        "a Winograd kernel's geometry",
    )
}

/// A kernel's working memory, in whole cache lines at the beginning of the arena.
fn working_memory(c: &Chain, s: &Step, k: &ConvKernel, at: &dyn Fn() -> String) -> Rule {
    rule(
        reads(k, s.weights),
        at,
        "a kernel reads weights that are stored otherwise",
    )?;
    rule(
        s.weights.is_f32() || (!k.depthwise && k.nr.is_multiple_of(2)),
        at,
        "halves of a depthwise kernel",
    )?;
    rule(
        (1..=TEAM_MAX).contains(&c.threads)
            && s.scratch.is_multiple_of(16)
            && s.scratch <= c.arena_floats
            && s.scratch >= scratch_floats(k, s.weights, [s.row_block, s.out.w], c.threads),
        at,
        "a kernel's working memory",
    )
}

/// Steps read weights as they are stored.
fn formats(t: &TargetPlan, name: &str) -> Rule {
    let stored: BTreeMap<usize, WeightFormat> =
        t.packing.iter().map(|p| (p.node, p.weights)).collect();
    rule(
        stored.len() == t.packing.len(),
        &|| format!("target {name}, weights"),
        "weights that are stored twice",
    )?;
    let mut steps = t
        .stages
        .iter()
        .flatten()
        .chain([&t.tail])
        .flat_map(|c| &c.steps);
    rule(
        steps.all(|s| stored.get(&s.node).copied().unwrap_or_default() == s.weights),
        &|| format!("target {name}, weights"),
        "a step reads its weights in another format than they are stored in",
    )?;
    let chains = t.stages.iter().flatten().chain([&t.tail]);
    let read: BTreeSet<usize> = chains.flat_map(|c| &c.steps).map(|s| s.node).collect();
    rule(
        t.packing.iter().all(|p| read.contains(&p.node)),
        &|| format!("target {name}, weights"),
        "weights that no step reads",
    )
}

fn sections(t: &TargetPlan, name: &str) -> Rule {
    let at = || format!("target {name}, weights");
    rule(
        t.sections.len() == t.stages.len() + 1,
        &at,
        "one section per stage and one for the tail",
    )?;
    let mut end = 0;
    for s in &t.sections {
        let ok = s.offset == end
            && s.offset % 1024 == 0
            && s.floats % 1024 == 0
            && s.floats < VALUES_MAX;
        rule(
            ok && s.name.len() <= 16,
            &at,
            "sections must follow each other on pages",
        )?;
        end = s.offset + s.floats;
    }
    for p in &t.packing {
        let Some(s) = t.sections.get(p.section) else {
            return rule(false, &at, "a tensor lies in no section");
        };
        let ok = p.offset >= s.offset
            && p.offset % 16 == 0
            && p.offset
                .checked_add(p.floats)
                .is_some_and(|e| e <= s.offset + s.floats);
        rule(ok, &at, "a tensor leaves its section")?;
    }
    Ok(())
}
