//! Darknet's reorg by tiles: the rows and columns that the planner names against Darknet's own index arithmetic.

use std::collections::BTreeSet;

use tessera_plan::{
    graph::{Darknet, Graph, Node, NodeIx, Op, TensorIx},
    region::{Shape, Span},
};
use tessera_planner::{
    cfg,
    ftp::{Axis, StageGraph, cyclic, halo},
};

/// Rows and columns of the input that each pixel of the output is read from, by `reorg_cpu` of Darknet's `src/blas.c`.
fn read(x: Shape, s: usize) -> Vec<Vec<BTreeSet<(usize, usize)>>> {
    let (oh, ow, group) = (x.h / s, x.w / s, x.c / (s * s));
    let mut pixels = vec![vec![BTreeSet::new(); ow]; oh];
    for k in 0..x.c {
        for j in 0..x.h {
            for i in 0..x.w {
                let here = i + x.w * (j + x.h * k);
                let (c2, offset) = (k % group, k / group);
                let (w2, h2) = (i * s + offset % s, j * s + offset / s);
                let there = w2 + x.w * s * (h2 + x.h * s * c2);
                // Both are places in maps that lie as channels, rows, columns.
                let (row, col) = (here / ow % oh, here % ow);
                pixels[row][col].insert((there / x.w % x.h, there % x.w));
            }
        }
    }
    pixels
}

fn node(x: Shape, s: usize) -> Node {
    Node {
        layer: 0,
        name: "l00_reorg".into(),
        op: Op::Reorg {
            stride: s,
            reverse: false,
        },
        inputs: vec![TensorIx::INPUT],
        shape: Shape::new(x.h / s, x.w / s, x.c * s * s),
    }
}

/// Every tile of small maps: it is given every row and column that it reads, and no others.
#[test]
fn every_small_reorg() {
    let mut wrapped = 0;
    for s in 1..=3 {
        for (oh, ow) in [(1, 2), (2, 1), (3, 2), (5, 3), (6, 4), (9, 1)] {
            let x = Shape::new(oh * s, ow * s, 2 * s * s);
            let (pixels, node) = (read(x, s), node(x, s));
            for lo in 0..oh {
                for hi in lo + 1..=oh {
                    let have = halo::input_range(&node, 0, Span::new(lo, hi), Axis::Y, x.h);
                    assert_eq!((have.before, have.after), (0, 0));
                    let read: BTreeSet<usize> =
                        pixels[lo..hi].iter().flatten().flatten().map(|p| p.0).collect();
                    let given = cyclic::runs(have.span, x.h).map(|r| r.lo..r.hi);
                    let given: BTreeSet<usize> = given.into_iter().flatten().collect();
                    // A range that would be as long as the map is the whole map.
                    let whole = have.span == Span::new(0, x.h);
                    assert!(given == read || whole && given.is_superset(&read), "{x:?} {lo}..{hi}");
                    wrapped += usize::from(cyclic::wraps(have.span, x.h));
                }
            }
            for lo in 0..ow {
                for hi in lo + 1..=ow {
                    let have = halo::input_range(&node, 0, Span::new(lo, hi), Axis::X, x.w);
                    let columns = pixels.iter().flat_map(|row| &row[lo..hi]).flatten();
                    let read: BTreeSet<usize> = columns.map(|p| p.1).collect();
                    assert_eq!(read, (have.span.lo..have.span.hi).collect(), "{x:?}");
                }
            }
        }
    }
    assert!(wrapped > 50, "{wrapped}");
}

fn graph(layers: &str) -> Graph {
    let text = format!("[net]\nwidth=12\nheight=12\nchannels=4\n{layers}");
    cfg::read(text.as_bytes(), "net", Darknet::Alexey)
        .0
        .expect("a valid cfg")
}

/// The ranges of all tensors for rows `lo..hi` of a net's last layer, which is one stage.
fn rows(g: &Graph, lo: usize, hi: usize) -> Vec<Span> {
    let stage = StageGraph::new(g, 0, g.layers.len(), &g.outputs);
    let trace = stage.trace(g, Axis::Y, &[Span::new(lo, hi)]);
    let nodes = g.node_ixs().map(TensorIx::node);
    [TensorIx::INPUT]
        .into_iter()
        .chain(nodes)
        .map(|t| trace.span(t))
        .collect()
}

const POINTWISE: &str = "[convolutional]\nfilters=4\nsize=1\nactivation=leaky\n";
const REORG: &str = "[reorg]\nstride=2\n";

#[test]
fn pointwise_layers_pass_rows_of_the_other_end_on() {
    let g = graph(&format!("{POINTWISE}{REORG}"));
    // Row 11, then rows 0 to 4.
    let top = Span::new(11, 17);
    assert_eq!(rows(&g, 0, 2), [top, top, Span::new(0, 2)]);
    let bottom = Span::new(7, 13);
    assert_eq!(rows(&g, 4, 6), [bottom, bottom, Span::new(4, 6)]);
    let inner = Span::new(3, 9);
    assert_eq!(rows(&g, 2, 4), [inner, inner, Span::new(2, 4)]);
    let stage = StageGraph::new(&g, 0, g.layers.len(), &g.outputs);
    assert_eq!(stage.inputs, [TensorIx::INPUT; 2]);
}

#[test]
fn windows_need_whole_maps_behind_them() {
    let conv = "[convolutional]\nfilters=4\nsize=3\npad=1\nactivation=leaky\n";
    let g = graph(&format!("{conv}{REORG}"));
    let whole = Span::new(0, 12);
    assert_eq!(rows(&g, 0, 2), [whole, whole, Span::new(0, 2)]);
    assert_eq!(rows(&g, 2, 4)[1], Span::new(3, 9));
    let stage = StageGraph::new(&g, 0, g.layers.len(), &g.outputs);
    assert_eq!(stage.inputs, [TensorIx::INPUT]);
}

/// A second reader, at the same rows and far away: what is read stays side by side, or the maps are whole.
#[test]
fn several_readers_share_what_they_need() {
    // The reorg of layer 0 beside a pool of it.
    let text = format!(
        "{POINTWISE}{REORG}[route]\nlayers=0\n[maxpool]\nsize=2\nstride=2\n[route]\nlayers=-1,1\n"
    );
    let spans = rows(&graph(&text), 0, 2);
    assert_eq!(spans[1], Span::new(11, 17));
    let stage = |g: &Graph| StageGraph::new(g, 0, g.layers.len(), &g.outputs);
    let g = graph(&text);
    let node = stage(&g).nodes[0];
    assert_eq!(node, NodeIx(0));
    // A global view of the same map makes all of it whole, and the convolution before it too.
    let wide = format!(
        "{POINTWISE}{POINTWISE}{REORG}[route]\nlayers=0\n\
         [maxpool]\nsize=12\nstride=2\npadding=10\n[route]\nlayers=-1,2\n"
    );
    let spans = rows(&graph(&wide), 0, 2);
    let whole = Span::new(0, 12);
    assert!(
        spans[1] == whole && spans[2] == whole || spans[1].len() < 12,
        "{spans:?}"
    );
}
