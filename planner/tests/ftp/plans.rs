//! Every plan: tiles cover each output once; regions, views and paddings are exactly what the
//! oracle finds; buffers that live at the same time lie apart; multiply-adds are counted right.

mod memory;
mod steps;

use std::{cell::Cell, collections::BTreeSet};

use tessera_plan::{
    graph::{Graph, NodeIx, TensorIx},
    plan::{Border, Chain, Plan, Split, Stage},
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
use memory::memory_is_kept;
use steps::{is_slice, made, place, steps};

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
        borders: match net.cuts % 4 {
            1 => vec![Border::Exchange],
            _ => Vec::new(),
        },
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
    let exchanged = Cell::new(0);
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
                if stage.border == Border::Exchange {
                    computes_once(&graph, stage, &text);
                    exchanged.set(exchanged.get() + 1);
                }
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
    let exchanged = exchanged.get();
    assert!(exchanged > 400, "{exchanged} stages exchange halos");
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

/// Tiles of a stage that exchanges halos compute no pixel of any layer twice.
fn computes_once(graph: &Graph, stage: &Stage, text: &str) {
    let inside = |n: &NodeIx| (stage.first_layer..stage.end_layer).contains(&graph.nodes[*n].layer);
    let nodes: Vec<NodeIx> = graph.node_ixs().filter(inside).collect();
    let mut painted: BTreeSet<(TensorIx, i64, i64)> = BTreeSet::new();
    for tile in &stage.tiles {
        let outputs = stage
            .outputs
            .iter()
            .copied()
            .zip(tile.outputs.iter().copied());
        let outputs: Vec<(TensorIx, Region)> = outputs.collect();
        let boxes = oracle::boxes(graph, &nodes, &outputs);
        for n in &nodes {
            let t = TensorIx::node(*n);
            for (y, x) in boxes.get(&t).into_iter().flat_map(|b| b.pixels()) {
                assert!(
                    painted.insert((t, y, x)),
                    "{} at {y}, {x}\n{text}",
                    graph.nodes[*n].name
                );
            }
        }
    }
}

/// Regions of every tile, and its chain's steps, against the oracle.
fn tiles(graph: &Graph, stage: &Stage, chains: &[Chain], text: &str) {
    let inside = |n: &NodeIx| (stage.first_layer..stage.end_layer).contains(&graph.nodes[*n].layer);
    let nodes: Vec<NodeIx> = graph.node_ixs().filter(inside).collect();
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
    let nodes: Vec<NodeIx> = graph
        .node_ixs()
        .filter(|n| graph.nodes[*n].layer >= first)
        .collect();
    let steps = nodes.iter().copied();
    let steps: Vec<NodeIx> = steps.filter(|n| !is_slice(graph, chain, *n)).collect();
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
