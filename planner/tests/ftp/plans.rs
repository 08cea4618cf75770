//! Every plan: tiles cover each output once; regions, views and paddings are exactly what the
//! oracle finds; buffers that live at the same time lie apart; multiply-adds are counted right.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use tessera_plan::{
    graph::{Graph, Op, TensorIx},
    plan::{Chain, Place, Plan, Split, Stage, Step, View},
    region::Region,
};
use tessera_planner::{
    make::{self, PlanError},
    options::{PlanOptions, Rows},
    weights,
};

use crate::{
    nets::{Net, any_net},
    oracle::{self, Box2},
    runner,
};

/// The plan that a random net asks for, with grids cut down to what its stages allow; `Err` when
/// the planner refuses it.
fn plan(net: &Net, graph: &Graph) -> Result<Plan, PlanError> {
    let layers = graph.layers.len();
    let barrier = tessera_planner::ftp::first_barrier(graph).unwrap_or(layers);
    let mut cuts: Vec<usize> = (1..=barrier)
        .filter(|l| net.cuts >> (l % 16) & 1 == 1)
        .take(4)
        .collect();
    if cuts.is_empty() {
        cuts.push(barrier.max(1));
    }
    let split = if net.equal {
        Split::Equal
    } else {
        Split::Balanced
    };
    let (stages, _) = make::stages(graph, &cuts, false)?;
    let grids = stages
        .iter()
        .zip(&net.grids)
        .map(|(s, g)| match make::check_grid(graph, s, *g, split) {
            Err(PlanError::TooFine { largest, .. }) => largest,
            _ => *g,
        })
        .collect();
    let options = PlanOptions {
        grids,
        cuts,
        split,
        // Two plans of three roll rows: in the planner's blocks, or in low ones of any height.
        rows: match net.cuts % 3 {
            0 => Rows::Whole,
            1 => Rows::Rolling,
            _ => Rows::Blocks(1 + usize::from(net.cuts) / 3 % 4),
        },
        ..PlanOptions::default()
    };
    make::plan(&weights::without(graph.clone()), &options)
}

#[test]
fn random_plans_are_exact() {
    let (planned, stages, refused) = (Cell::new(0), Cell::new(0), Cell::new(0));
    // Steps that write into a concatenation, and such that find all of it there.
    let (parts, whole) = (Cell::new(0), Cell::new(0));
    runner(1500)
        .run(&any_net(), |net| {
            let (text, graph) = net.build();
            let plan = match plan(&net, &graph) {
                Ok(plan) => plan,
                Err(PlanError::Broken(e)) => panic!("{e}\n{text}"),
                Err(_) => {
                    refused.set(refused.get() + 1);
                    return Ok(());
                }
            };
            planned.set(planned.get() + 1);
            for (i, stage) in plan.dataflow.stages.iter().enumerate() {
                covers_once(&graph, stage);
                for target in plan.target.values() {
                    tiles(&graph, stage, &target.stages[i], &text);
                }
                stages.set(stages.get() + 1);
            }
            flows(&graph, &plan);
            for target in plan.target.values() {
                tail(&graph, &plan, &target.tail);
                let chains = target.stages.iter().flatten().chain([&target.tail]);
                for s in chains.flat_map(|c| &c.steps) {
                    let there = s.inputs.len() - s.copied().count();
                    parts.set(parts.get() + there);
                    whole.set(whole.get() + usize::from(s.is_there()));
                }
            }
            Ok(())
        })
        .unwrap();
    let (planned, stages, refused) = (planned.get(), stages.get(), refused.get());
    assert!(
        planned > 1200 && stages > planned + 400,
        "{planned} plans of {stages} stages, {refused} refusals: the nets became too tame"
    );
    let (parts, whole) = (parts.get(), whole.get());
    assert!(
        parts > 100 && whole > 5,
        "{parts} parts written in place, {whole} by all"
    );
}

/// Paints every output, pixel by pixel.
fn covers_once(graph: &Graph, stage: &Stage) {
    for (k, t) in stage.outputs.iter().enumerate() {
        let s = graph.shape(*t);
        let mut painted = vec![0u32; s.h * s.w];
        for tile in &stage.tiles {
            let r = &tile.outputs[k];
            assert!(r.is_empty() || (r.c.lo, r.c.hi) == (0, s.c));
            for (y, x) in Box2::of(r).into_iter().flat_map(Box2::pixels) {
                painted[y as usize * s.w + x as usize] += 1;
            }
        }
        assert!(painted.iter().all(|n| *n == 1), "output {k}: {painted:?}");
    }
    assert_eq!(stage.tiles.len(), stage.grid[0] * stage.grid[1]);
    for (i, tile) in stage.tiles.iter().enumerate() {
        assert_eq!((tile.row, tile.col), (i / stage.grid[1], i % stage.grid[1]));
    }
}

/// Regions of every tile, and its chain's steps, against the oracle.
fn tiles(graph: &Graph, stage: &Stage, chains: &[Chain], text: &str) {
    let inside = |n: &usize| (stage.first_layer..stage.end_layer).contains(&graph.nodes[*n].layer);
    let nodes: Vec<usize> = (0..graph.nodes.len()).filter(inside).collect();
    for tile in &stage.tiles {
        let outputs: Vec<(TensorIx, Region)> = stage
            .outputs
            .iter()
            .copied()
            .zip(tile.outputs.iter().copied())
            .collect();
        let boxes = oracle::boxes(graph, &nodes, &outputs);
        for (t, r) in stage.inputs.iter().zip(&tile.inputs) {
            assert_eq!(
                Box2::of(r),
                boxes.get(t).copied(),
                "tile {} {}: tensor {}\n{text}",
                tile.row,
                tile.col,
                t.0
            );
            assert!(r.is_empty() || r.c.len() == graph.shape(*t).c);
        }
        let chain = &chains[tile.class];
        steps(graph, chain, &nodes, &boxes, text);
        memory_is_kept(graph, chain, &boxes);
        let macs: u64 = nodes
            .iter()
            .filter_map(|n| {
                let b = boxes.get(&TensorIx::node(*n))?;
                Some(oracle::macs(graph, &graph.nodes[*n], *b))
            })
            .sum();
        assert_eq!((tile.macs, chain.macs), (macs, macs), "{text}");
        for ((t, r), v) in stage.inputs.iter().zip(&tile.inputs).zip(&chain.loads) {
            assert_eq!(
                place(chain, v.as_ref(), &boxes),
                Box2::of(r),
                "load {}",
                t.0
            );
        }
        for ((t, r), v) in outputs.iter().zip(&chain.stores) {
            assert_eq!(
                place(chain, v.as_ref(), &boxes),
                Box2::of(r),
                "store {}",
                t.0
            );
        }
    }
}

/// Where on its map a view lies, given the boxes that the buffers hold; checks that it stays
/// inside its buffer.
fn place(chain: &Chain, view: Option<&View>, boxes: &BTreeMap<TensorIx, Box2>) -> Option<Box2> {
    let v = view?;
    let b = &chain.buffers[v.buffer];
    assert!(v.h > 0 && v.w > 0 && v.y + v.h <= b.h && v.x + v.w <= b.w);
    let held = boxes[&b.tensor];
    let (y, x) = (held.y.0 + v.y as i64, held.x.0 + v.x as i64);
    Some(Box2 {
        y: (y, y + v.h as i64),
        x: (x, x + v.w as i64),
    })
}

fn steps(
    graph: &Graph,
    chain: &Chain,
    nodes: &[usize],
    boxes: &BTreeMap<TensorIx, Box2>,
    text: &str,
) {
    let needed: Vec<usize> = nodes
        .iter()
        .copied()
        .filter(|n| boxes.contains_key(&TensorIx::node(*n)))
        .filter(|n| !is_slice(graph, chain, *n))
        .collect();
    assert_eq!(made(chain), needed, "{text}");
    for b in &chain.buffers {
        assert_eq!((b.h, b.w), boxes[&b.tensor].size());
        assert_eq!(b.c, graph.shape(b.tensor).c);
    }
    for s in &chain.steps {
        let node = &graph.nodes[s.node];
        let out = boxes[&TensorIx::node(s.node)];
        let to = chain.buffers[s.out.buffer].tensor;
        if to == TensorIx::node(s.node) {
            assert_eq!(s.channel, 0);
        } else if let Some(pool) = pool(chain, s) {
            assert_eq!(s.channel, 0);
            squares(graph, nodes, s.node, pool, boxes);
        } else {
            // Channels of a concatenation, and nobody else's.
            let maker = to.producer().expect("a step writes no input");
            let begins = oracle::parts(&graph.nodes[maker], TensorIx::node(s.node));
            assert_eq!(begins, [s.channel], "{}\n{text}", s.name);
            let readers = nodes.iter().flat_map(|n| &graph.nodes[*n].inputs);
            assert_eq!(readers.filter(|t| **t == TensorIx::node(s.node)).count(), 1);
        }
        let written = pool(chain, s).map_or(out, |n| boxes[&TensorIx::node(n)]);
        assert_eq!(place(chain, Some(&s.out), boxes), Some(written));
        assert_eq!(s.macs, oracle::macs(graph, node, out));
        for (k, v) in s.inputs.iter().enumerate() {
            let there = v.buffer == s.out.buffer;
            let made = |o: &Step| TensorIx::node(o.node) == node.inputs[k];
            let maker = chain.steps.iter().find(|o| made(o));
            if there {
                assert_eq!(maker.map(|o| o.out.buffer), Some(v.buffer), "{text}");
            } else {
                let held = chain.buffers[v.buffer].tensor;
                assert_eq!((held, v.channel), source(graph, chain, node.inputs[k]));
                let alone = matches!(&node.op, Op::Conv(c) if c.groups == 1);
                assert!(held == node.inputs[k] || alone, "{}", s.name);
            }
            let (want, pad) = oracle::need(graph, node, k, out);
            assert_eq!(
                place(chain, Some(v), boxes),
                want,
                "{} input {k}\n{text}",
                s.name
            );
            if k == 0 {
                assert_eq!(s.pad.map(|p| p as i64), pad, "{}\n{text}", s.name);
            }
        }
        position(node, s.phase, out);
    }
}

/// Whether a node takes some channels of its only input, and no buffer holds them: its readers look there.
fn is_slice(graph: &Graph, chain: &Chain, n: usize) -> bool {
    matches!(&graph.nodes[n].op, Op::Concat(list) if list.len() == 1)
        && chain.buffers.iter().all(|b| b.tensor != TensorIx::node(n))
}

/// The tensor that holds `t`, and which of its channels is `t`'s first.
fn source(graph: &Graph, chain: &Chain, t: TensorIx) -> (TensorIx, usize) {
    let sliced = t.producer().filter(|n| is_slice(graph, chain, *n));
    match sliced.map(|n| &graph.nodes[n]) {
        Some(node) => match &node.op {
            Op::Concat(list) => (node.inputs[0], list[0].c.lo),
            _ => unreachable!("a slice is a concatenation of one part"),
        },
        None => (t, 0),
    }
}

/// The pool that a convolution's kernel does.
fn pool(chain: &Chain, s: &Step) -> Option<usize> {
    s.conv.as_ref().filter(|k| k.pool)?;
    chain.buffers[s.out.buffer].tensor.producer()
}

/// Nodes that a chain's steps make, in order.
fn made(chain: &Chain) -> Vec<usize> {
    let steps = chain.steps.iter();
    let mut list: Vec<usize> = steps
        .flat_map(|s| [Some(s.node), pool(chain, s)])
        .flatten()
        .collect();
    list.sort_unstable();
    list
}

/// A pool that the convolution before it does has windows of 2x2 cells side by side, which are all that is
/// made of its map, and that map has no other reader.
fn squares(
    graph: &Graph,
    nodes: &[usize],
    conv: usize,
    pool: usize,
    boxes: &BTreeMap<TensorIx, Box2>,
) {
    let (map, node) = (TensorIx::node(conv), &graph.nodes[pool]);
    assert_eq!(node.inputs, [map]);
    let readers = nodes.iter().flat_map(|n| &graph.nodes[*n].inputs);
    assert_eq!(readers.filter(|t| **t == map).count(), 1);
    let (out, held) = (boxes[&TensorIx::node(pool)], boxes[&map]);
    for p in out.pixels() {
        let read: BTreeSet<_> = oracle::reads(graph, node, 0, p).into_iter().collect();
        let y = held.y.0 + 2 * (p.0 - out.y.0);
        let x = held.x.0 + 2 * (p.1 - out.x.0);
        let cells = [(y, x), (y, x + 1), (y + 1, x), (y + 1, x + 1)];
        assert_eq!(read, BTreeSet::from(cells), "{}", node.name);
    }
    let (h, w) = out.size();
    assert_eq!(held.size(), (2 * h, 2 * w));
}

/// Operations that look at their position find its remainder in `phase`.
fn position(node: &tessera_plan::graph::Node, phase: [usize; 2], out: Box2) {
    use tessera_plan::graph::{Op, ShortcutKind};
    let stride = match &node.op {
        Op::Upsample { stride, .. }
        | Op::Reorg3d {
            stride,
            reverse: true,
        } => *stride,
        Op::Shortcut {
            kind: ShortcutKind::Resized { up, .. },
            ..
        } => *up,
        _ => return,
    };
    let n = stride as i64;
    assert_eq!(
        phase.map(|p| p as i64 % n),
        [out.y.0 % n, out.x.0 % n],
        "{}",
        node.name
    );
}

/// Runs a chain's firings with owners for values: whoever writes a row owns its place in the arena
/// until somebody else writes there, and every row that is read must still be there.
fn memory_is_kept(graph: &Graph, chain: &Chain, boxes: &BTreeMap<TensorIx, Box2>) {
    let mut memory = Memory::new(chain);
    let (loads, steps) = (chain.loads.len(), chain.steps.len());
    for f in chain.order.firings() {
        let rows = f.first..f.first + f.rows;
        if f.op < loads {
            let v = chain.loads[f.op]
                .as_ref()
                .expect("only what is there fires");
            let channels: Vec<usize> = (0..chain.buffers[v.buffer].c).collect();
            memory.write(v.buffer, rows, &channels);
        } else if f.op < loads + steps {
            let s = &chain.steps[f.op - loads];
            let read = reads(graph, chain, s, boxes, &rows);
            memory.owner[..s.scratch].fill(Memory::NOBODY);
            memory.kept(&read, &s.name);
            memory.write(s.out.buffer, rows, &written(graph, chain, s));
            memory.kept(&read, &s.name);
        } else {
            let v = chain.stores[f.op - loads - steps]
                .as_ref()
                .expect("only what is there fires");
            let read: Vec<(usize, usize)> = rows.map(|y| (v.buffer, v.y + y)).collect();
            memory.kept(&read, "store");
        }
    }
    memory.handed();
}

/// Rows of buffers that rows `rows` of a step need, by the oracle.
fn reads(
    graph: &Graph,
    chain: &Chain,
    s: &Step,
    boxes: &BTreeMap<TensorIx, Box2>,
    rows: &Range<usize>,
) -> Vec<(usize, usize)> {
    let (node, out) = (&graph.nodes[s.node], boxes[&TensorIx::node(s.node)]);
    let side = s.conv.as_ref().map_or(1, |k| k.side());
    let [first, end] = [rows.start, rows.end].map(|row| out.y.0 + (side * row) as i64);
    let part = Box2 {
        y: (first, end),
        ..out
    };
    let of = |(k, v): (usize, &View)| {
        let (t, buffer) = (node.inputs[k], v.buffer);
        let held = boxes[&chain.buffers[buffer].tensor].y.0;
        let h = graph.shape(t).h as i64;
        let all = part.pixels().flat_map(|p| oracle::reads(graph, node, k, p));
        let rows: BTreeSet<i64> = all.map(|p| p.0).filter(|y| (0..h).contains(y)).collect();
        rows.into_iter().map(move |y| (buffer, (y - held) as usize))
    };
    let inputs = s.inputs.iter().enumerate();
    inputs
        .filter(|(_, v)| v.buffer != s.out.buffer)
        .flat_map(of)
        .collect()
}

/// Channels of its buffer that a step writes: a concatenation none that lie there already.
fn written(graph: &Graph, chain: &Chain, s: &Step) -> Vec<usize> {
    let all = |o: &Step| o.channel..o.channel + graph.shape(TensorIx::node(o.node)).c;
    let joins = s.copied().count() < s.inputs.len();
    let parts = chain.steps.iter().filter(|o| o.node != s.node);
    let there: BTreeSet<usize> = parts
        .filter(|o| o.out.buffer == s.out.buffer && joins)
        .flat_map(all)
        .collect();
    all(s).filter(|c| !there.contains(c)).collect()
}

/// Who wrote what into an arena: buffer and row.
struct Memory<'a> {
    chain: &'a Chain,
    owner: Vec<(usize, usize)>,
    /// Where every buffer begins: maps outside the arena have places of their own behind it.
    begins: Vec<usize>,
}

impl Memory<'_> {
    /// The row number of zero rows; they are written with the first rows.
    const ZERO: usize = usize::MAX;
    /// Owner of what holds nothing: at first, and where a step worked.
    const NOBODY: (usize, usize) = (usize::MAX, 0);

    fn new(chain: &Chain) -> Memory<'_> {
        let mut end = chain.arena_floats;
        let mut begins = Vec::new();
        for b in &chain.buffers {
            begins.push(if b.place.is_arena() { b.offset } else { end });
            end += if b.place.is_arena() { 0 } else { b.floats };
        }
        let owner = vec![Memory::NOBODY; end];
        let mut memory = Memory {
            chain,
            owner,
            begins,
        };
        for (i, b) in chain.buffers.iter().enumerate() {
            if matches!(b.place, Place::Input(_)) {
                memory.write(i, 0..b.h, &(0..b.c).collect::<Vec<usize>>());
            }
        }
        memory
    }

    /// Every row of an output that is written where it is handed over has been.
    fn handed(&self) {
        for (i, b) in self.chain.buffers.iter().enumerate() {
            if matches!(b.place, Place::Output(_)) {
                let rows: Vec<(usize, usize)> = (0..b.h).map(|y| (i, y)).collect();
                self.kept(&rows, "output");
            }
        }
    }

    fn place(&self, buffer: usize, row: usize) -> Range<usize> {
        let b = &self.chain.buffers[buffer];
        let floats = (b.pad_left + b.w + b.pad_right) * b.c;
        if row == Self::ZERO {
            let begin = self.begins[buffer];
            return begin..begin + floats * usize::from(b.zero_row);
        }
        let at = self.begins[buffer] + (row % b.ring + usize::from(b.zero_row)) * floats;
        at..at + floats
    }

    fn write(&mut self, buffer: usize, rows: Range<usize>, channels: &[usize]) {
        let b = &self.chain.buffers[buffer];
        let zero = (rows.start == 0).then_some(Self::ZERO);
        for row in rows.chain(zero) {
            let place = self.place(buffer, row);
            for (x, pixel) in self.owner[place].chunks_mut(b.c).enumerate() {
                let inside = (b.pad_left..b.pad_left + b.w).contains(&x) && row != Self::ZERO;
                if inside {
                    channels.iter().for_each(|c| pixel[*c] = (buffer, row));
                } else {
                    pixel.fill((buffer, row));
                }
            }
        }
    }

    fn kept(&self, read: &[(usize, usize)], what: &str) {
        for &(b, row) in read {
            for row in [row, Self::ZERO] {
                let place = &self.owner[self.place(b, row)];
                assert!(
                    place.iter().all(|o| *o == (b, row)),
                    "{what}: row {row} of buffer {b} was overwritten"
                );
            }
        }
    }
}

/// What a stage reads is there: the input, or made by an earlier stage. The tail gives everything
/// that the network is for.
fn flows(graph: &Graph, plan: &Plan) {
    let mut there = vec![TensorIx::INPUT];
    for s in &plan.dataflow.stages {
        assert!(s.inputs.iter().all(|t| there.contains(t)));
        there.extend(&s.outputs);
    }
    let tail = &plan.dataflow.tail;
    assert!(tail.inputs.iter().all(|t| there.contains(t)));
    for t in &graph.outputs {
        assert!(tail.outputs.contains(t));
    }
}

/// The tail works on whole maps.
fn tail(graph: &Graph, plan: &Plan, chain: &Chain) {
    let tail = &plan.dataflow.tail;
    let first = tail.first_layer;
    let nodes: Vec<usize> = (0..graph.nodes.len())
        .filter(|n| graph.nodes[*n].layer >= first)
        .collect();
    let steps = nodes.iter().copied();
    let steps: Vec<usize> = steps.filter(|n| !is_slice(graph, chain, *n)).collect();
    assert_eq!(made(chain), steps);
    let whole = |t: TensorIx| {
        let s = graph.shape(t);
        let (y, x) = ((0, s.h as i64), (0, s.w as i64));
        (t, Box2 { y, x })
    };
    let held = chain.buffers.iter().map(|b| b.tensor);
    let made = nodes.iter().map(|n| TensorIx::node(*n));
    let boxes = held.chain(made).map(whole).collect();
    memory_is_kept(graph, chain, &boxes);
    for (t, v) in tail
        .inputs
        .iter()
        .zip(&chain.loads)
        .chain(tail.outputs.iter().zip(&chain.stores))
    {
        let v = v.as_ref().expect("the tail holds whole maps");
        let s = graph.shape(*t);
        assert_eq!((v.y, v.x, v.h, v.w), (0, 0, s.h, s.w));
        assert_eq!(chain.buffers[v.buffer].tensor, *t);
    }
}
