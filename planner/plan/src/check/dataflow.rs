//! Rules of the dataflow: tensors, stages that follow each other, tiles that cover every output once.

use super::{Rule, reuse, rule};
use crate::{
    graph::{Graph, NodeIx, Op, TensorIx},
    limits::{BOARDS_MAX, LIST_MAX, SOURCE_FRAMES_MAX, STAGE_TILES_MAX},
    placement::{ANYWHERE, Placement},
    plan::{Border, Dataflow, ElementType, Plan, Split, Stage, Tensor, Tile},
    region::{Region, Shape},
};

/// For plans whose network has passed its rules.
pub(super) fn dataflow(plan: &Plan) -> Rule {
    let d = &plan.dataflow;
    rule(
        d.tensors.len() <= LIST_MAX && d.stages.len() <= LIST_MAX,
        &here,
        "too many tensors or stages",
    )?;
    rule(
        (1..=BOARDS_MAX).contains(&d.boards),
        &here,
        "the number of boards must lie between 1 and 65535",
    )?;
    rule(
        (1..=SOURCE_FRAMES_MAX).contains(&d.frames_in_flight),
        &here,
        "a source has between 1 and 11 frames in flight",
    )?;
    tensors(&plan.network, d)?;
    let known = |t: &TensorIx| shape(d, *t).is_some();
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
        stage(d, i, s)?;
    }
    reuse::strips(d)?;
    let tail = || "tail".to_string();
    rule(
        d.tail.first_layer == layer && d.tail.end_layer >= layer,
        &tail,
        "must begin where the stages end",
    )?;
    rule(
        d.tail.end_layer == plan.network.layers.len(),
        &tail,
        "must end with the network's last layer",
    )?;
    rule(
        plan.network
            .outputs
            .iter()
            .all(|t| d.tail.outputs.contains(t)),
        &tail,
        "must make the network's outputs",
    )
}

fn here() -> String {
    "dataflow".to_string()
}

/// Tensors are listed once, in order, with the shapes that they have in the network.
fn tensors(network: &Graph, d: &Dataflow) -> Rule {
    rule(
        d.tensors.first().is_some_and(|t| t.id == TensorIx::INPUT),
        &here,
        "tensor 0 must be the network's input",
    )?;
    rule(
        d.tensors
            .windows(2)
            .all(|w| match [&w[0], &w[1]].map(Tensor::is_strip) {
                [false, false] => w[0].id < w[1].id,
                [is_before, is_strip] => is_strip || !is_before,
            }),
        &here,
        "tensors must be listed once, in order, and strips behind them",
    )?;
    for t in &d.tensors {
        if t.is_strip() {
            reuse::strip(network, t)?;
            continue;
        }
        let known = t.id.producer().is_none_or(|n| n.0 < network.nodes.len());
        rule(
            known,
            &|| format!("tensor {}", t.id.0),
            "is no tensor of the network",
        )?;
        let shape = network.shape(t.id);
        let channels = shape.c.checked_mul(t.parts);
        let of_conv = |n: NodeIx| matches!(network.nodes[n].op, Op::Conv(_));
        rule(
            t.parts == 1
                || ((2..=STAGE_TILES_MAX).contains(&t.parts)
                    && t.element == ElementType::F32
                    && t.id.producer().is_some_and(of_conv)),
            &|| format!("tensor {}", t.id.0),
            "partial sums are float32, of a convolution",
        )?;
        let scaled = t.element == ElementType::U8 && t.id != TensorIx::INPUT;
        rule(
            t.scales
                .as_ref()
                .map_or(!scaled, |s| scaled && s.fit(t.shape.c)),
            &|| format!("tensor {}", t.id.0),
            "tensors of bytes, but for the input, have a step above 0 and a zero for every channel, and no others have",
        )?;
        rule(
            known && channels.is_some_and(|c| t.shape == Shape { c, ..shape }),
            &|| format!("tensor {}", t.id.0),
            "is no tensor of the network, or has another shape there",
        )?;
    }
    Ok(())
}

fn shape(d: &Dataflow, t: TensorIx) -> Option<Shape> {
    let tensor = d.tensors.iter().find(|x| x.id == t && !x.is_strip());
    tensor.map(|x| x.shape)
}

fn stage(d: &Dataflow, i: usize, s: &Stage) -> Rule {
    let place = || format!("stage {i}");
    let number = s.grid[0].checked_mul(s.grid[1]);
    let mut tiles: Vec<&Tile> = s.tiles.iter().filter(|t| t.instead_of.is_none()).collect();
    rule(
        number == Some(tiles.len()) && !tiles.is_empty() && tiles.len() <= STAGE_TILES_MAX,
        &place,
        "tiles must fill the grid",
    )?;
    reuse::stage(s, &place)?;
    if s.border == Border::Reuse {
        tiles.sort_by_key(|t| (t.row, t.col));
    }
    for k in 0..tiles.len() {
        tile(d, i, (s, &tiles), k)?;
    }
    for t in s.tiles.iter().filter(|t| t.instead_of.is_some()) {
        ports(d, i, s, t)?;
    }
    covered(d, i, (s, &tiles))
}

/// Tile `k` of stage `i`, whose tiles are `tiles`, row by row.
fn tile(d: &Dataflow, i: usize, (s, tiles): (&Stage, &[&Tile]), k: usize) -> Rule {
    let t = tiles[k];
    let place = || format!("stage {i}, tile {k}");
    rule(
        (t.row, t.col) == (k / s.grid[1], k % s.grid[1]),
        &place,
        "tiles must be row-major",
    )?;
    ports(d, i, s, t)
}

/// What a task of stage `i` reads and makes, and its home.
fn ports(d: &Dataflow, i: usize, s: &Stage, t: &Tile) -> Rule {
    let place = || format!("stage {i}, tile {}x{}", t.row, t.col);
    let outputs = if t.instead_of.is_some() {
        0
    } else {
        s.outputs.len()
    };
    rule(
        t.inputs.len() == s.inputs.len() && t.outputs.len() == outputs,
        &place,
        "a region per input and output",
    )?;
    let anywhere = t.home == ANYWHERE && d.placement == Placement::Home;
    rule(
        anywhere || usize::from(t.home) < d.boards,
        &place,
        "the home must be one of the boards, or none where tasks have homes",
    )?;
    let inputs = t.inputs.iter().zip(&s.inputs);
    for (r, tensor) in inputs.chain(t.outputs.iter().zip(&s.outputs)) {
        let Some(shape) = shape(d, *tensor) else {
            continue;
        };
        let ordered = [r.y, r.x, r.c].into_iter().all(|s| s.lo <= s.hi);
        rule(
            ordered && Region::whole(shape).contains(*r),
            &place,
            "a region leaves its tensor",
        )?;
    }
    let whole = |(r, tensor): (&Region, &TensorIx)| {
        r.is_empty() || shape(d, *tensor).is_none_or(|shape| r.c.len() == shape.c)
    };
    let outputs = || t.outputs.iter().zip(&s.outputs);
    rule(
        t.inputs.iter().zip(&s.inputs).all(whole)
            && (s.split == Split::Channels || outputs().all(whole)),
        &place,
        "regions hold all channels, but for outputs of a stage that is cut by channels",
    )
}

/// Outputs are covered exactly once: rows of tiles abut, and so do columns, or ranges of channels.
fn covered(d: &Dataflow, i: usize, (s, tiles): (&Stage, &[&Tile])) -> Rule {
    if s.split == Split::Channels {
        return covered_by_channels(d, i, s);
    }
    for (k, tensor) in s.outputs.iter().enumerate() {
        let Some(shape) = shape(d, *tensor) else {
            continue;
        };
        let place = || format!("stage {i}, output {k}");
        let at = |row: usize, col: usize| &tiles[row * s.grid[1] + col].outputs[k];
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

/// Ranges of channels abut, and each has all rows and columns.
fn covered_by_channels(d: &Dataflow, i: usize, s: &Stage) -> Rule {
    for (k, tensor) in s.outputs.iter().enumerate() {
        let Some(shape) = shape(d, *tensor) else {
            continue;
        };
        let place = || format!("stage {i}, output {k}");
        let mut end = 0;
        for r in s.tiles.iter().map(|t| t.outputs[k]) {
            let whole = Region::whole(shape);
            rule(
                (r.y, r.x, r.c.lo) == (whole.y, whole.x, end) && !r.is_empty(),
                &place,
                "ranges of channels must abut, over all rows and columns",
            )?;
            end = r.c.hi;
        }
        rule(
            end == shape.c && s.grid[0] == 1,
            &place,
            "one row of tiles must cover all channels",
        )?;
    }
    Ok(())
}
