//! Every plan: tiles cover each output once; regions, views and paddings are exactly what the
//! oracle finds; buffers that live at the same time lie apart; multiply-adds are counted right.

use std::{cell::Cell, collections::BTreeMap};

use tessera_planner::{
    graph::{Graph, TensorIx},
    make::{self, PlanError},
    options::PlanOptions,
    plan::{Chain, Plan, Split, Stage, View},
    region::Region,
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
    let barrier = tessera_planner::inspect::first_barrier(graph).unwrap_or(layers);
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
        ..PlanOptions::default()
    };
    make::plan(&weights::without(graph.clone()), &options)
}

#[test]
fn random_plans_are_exact() {
    let (planned, stages, refused) = (Cell::new(0), Cell::new(0), Cell::new(0));
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
                for chain in target.stages.iter().flatten().chain([&target.tail]) {
                    memory_is_kept(chain);
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
        .collect();
    let made: Vec<usize> = chain.steps.iter().map(|s| s.node).collect();
    assert_eq!(made, needed, "{text}");
    for b in &chain.buffers {
        assert_eq!((b.h, b.w), boxes[&b.tensor].size());
        assert_eq!(b.c, graph.shape(b.tensor).c);
    }
    for s in &chain.steps {
        let node = &graph.nodes[s.node];
        let out = boxes[&TensorIx::node(s.node)];
        assert_eq!(chain.buffers[s.out.buffer].tensor, TensorIx::node(s.node));
        assert_eq!(place(chain, Some(&s.out), boxes), Some(out));
        assert_eq!(s.macs, oracle::macs(graph, node, out));
        for (k, v) in s.inputs.iter().enumerate() {
            assert_eq!(chain.buffers[v.buffer].tensor, node.inputs[k]);
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

/// Operations that look at their position find its remainder in `phase`.
fn position(node: &tessera_planner::graph::Node, phase: [usize; 2], out: Box2) {
    use tessera_planner::graph::{Op, ShortcutKind};
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

/// Runs a chain with owners for values: whoever writes a buffer owns its part of the arena until
/// somebody else writes there, and everything that is read must still belong to its buffer.
fn memory_is_kept(chain: &Chain) {
    let mut owner = vec![usize::MAX; chain.arena_floats];
    let part = |b: usize| {
        let b = &chain.buffers[b];
        b.offset..b.offset + b.floats
    };
    let mut own = |b: usize| owner[part(b)].fill(b);
    for v in chain.loads.iter().flatten() {
        own(v.buffer);
    }
    let kept = |owner: &[usize], v: &View, what: &str| {
        assert!(
            owner[part(v.buffer)].iter().all(|o| *o == v.buffer),
            "{what}: buffer {} was overwritten",
            v.buffer
        );
    };
    for s in &chain.steps {
        for v in &s.inputs {
            kept(&owner, v, &s.name);
        }
        owner[part(s.out.buffer)].fill(s.out.buffer);
        for v in &s.inputs {
            kept(&owner, v, &s.name);
        }
    }
    for v in chain.stores.iter().flatten() {
        kept(&owner, v, "store");
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
    let made: Vec<usize> = chain.steps.iter().map(|s| s.node).collect();
    assert_eq!(made, nodes);
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
