//! A chain's steps against the oracle, one by one.

use std::collections::{BTreeMap, BTreeSet};

use tessera_plan::{
    graph::{Graph, Node, NodeIx, Op, ShortcutKind, TensorIx},
    plan::{Chain, Step, View},
};

use crate::oracle::{self, Box2};

/// Where on its map a view lies, given the boxes that the buffers hold; checks that it stays
/// inside its buffer.
pub fn place(chain: &Chain, view: Option<&View>, boxes: &BTreeMap<TensorIx, Box2>) -> Option<Box2> {
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

/// Steps read and write what the oracle finds: views, paddings, phases, multiply-adds.
pub fn steps(
    graph: &Graph,
    chain: &Chain,
    nodes: &[NodeIx],
    boxes: &BTreeMap<TensorIx, Box2>,
    text: &str,
) {
    let needed: Vec<NodeIx> = nodes
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
pub fn is_slice(graph: &Graph, chain: &Chain, n: NodeIx) -> bool {
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
fn pool(chain: &Chain, s: &Step) -> Option<NodeIx> {
    s.conv.as_ref().filter(|k| k.pool)?;
    chain.buffers[s.out.buffer].tensor.producer()
}

/// Nodes that a chain's steps make, in order.
pub fn made(chain: &Chain) -> Vec<NodeIx> {
    let steps = chain.steps.iter();
    let mut list: Vec<NodeIx> = steps
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
    nodes: &[NodeIx],
    conv: NodeIx,
    pool: NodeIx,
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
fn position(node: &Node, phase: [usize; 2], out: Box2) {
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
