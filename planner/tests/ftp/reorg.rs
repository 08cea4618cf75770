//! Darknet's reorg by tiles: the rows and columns that the planner names against Darknet's own index arithmetic.

use std::collections::BTreeSet;

use tessera_plan::{
    graph::{Darknet, Graph, Node, Op, TensorIx},
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

/// Every tile of small maps: it is given every row and column that it reads, and nothing beyond them.
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
                    let read: BTreeSet<usize> = pixels[lo..hi]
                        .iter()
                        .flatten()
                        .flatten()
                        .map(|p| p.0)
                        .collect();
                    let given = cyclic::runs(have.span, x.h).map(|r| r.lo..r.hi);
                    let given: BTreeSet<usize> = given.into_iter().flatten().collect();
                    assert!(given.is_superset(&read), "{x:?} {lo}..{hi}");
                    // Both ends are read, unless a range as long as the map became the whole map.
                    let (first, last) = (have.span.lo, (have.span.hi - 1) % x.h);
                    let ends = read.contains(&first) && read.contains(&last);
                    assert!(ends || have.span == Span::new(0, x.h), "{x:?} {lo}..{hi}");
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
    assert!(wrapped > 20, "{wrapped}");
}

fn graph(layers: &str) -> Graph {
    // Of 14 rows: with an odd number of output rows, every channel group begins at another row.
    let text = format!("[net]\nwidth=14\nheight=14\nchannels=4\n{layers}");
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
    // Row 13, then rows 0 to 4.
    let top = Span::new(13, 19);
    assert_eq!(rows(&g, 0, 2), [top, top, Span::new(0, 2)]);
    let bottom = Span::new(9, 15);
    assert_eq!(rows(&g, 5, 7), [bottom, bottom, Span::new(5, 7)]);
    let inner = Span::new(3, 9);
    assert_eq!(rows(&g, 2, 4), [inner, inner, Span::new(2, 4)]);
    let stage = StageGraph::new(&g, 0, g.layers.len(), &g.outputs);
    assert_eq!(stage.inputs, [TensorIx::INPUT; 2]);
}

#[test]
fn windows_need_whole_maps_behind_them() {
    let conv = "[convolutional]\nfilters=4\nsize=3\npad=1\nactivation=leaky\n";
    let g = graph(&format!("{conv}{REORG}"));
    let whole = Span::new(0, 14);
    assert_eq!(rows(&g, 0, 2), [whole, whole, Span::new(0, 2)]);
    assert_eq!(rows(&g, 2, 4)[1], Span::new(3, 9));
    let stage = StageGraph::new(&g, 0, g.layers.len(), &g.outputs);
    assert_eq!(stage.inputs, [TensorIx::INPUT]);
}

/// A second reader, of the same rows and of nearly all: what is read stays side by side, or the maps are whole.
#[test]
fn several_readers_share_what_they_need() {
    // The reorg of layer 0 beside a pool of it.
    let text = format!(
        "{POINTWISE}{REORG}[route]\nlayers=0\n[maxpool]\nsize=2\nstride=2\n[route]\nlayers=-1,1\n"
    );
    let spans = rows(&graph(&text), 0, 2);
    assert_eq!(spans[1], Span::new(13, 19));
    // Another reader needs all of the first map. The rows of the second do not lie side by side in it: it is whole too.
    let wide = format!(
        "{POINTWISE}{POINTWISE}{REORG}[route]\nlayers=0\n\
         [local_avgpool]\nsize=26\nstride=2\npadding=24\n[route]\nlayers=-1,2\n"
    );
    let spans = rows(&graph(&wide), 0, 2);
    let whole = Span::new(0, 14);
    assert_eq!(spans[1..3], [whole; 2], "{spans:?}");
}
