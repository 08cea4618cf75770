//! One step back, for every small geometry.

use tessera_plan::{
    graph::{Activation, Conv, Darknet, Graph, Node, NodeIx, Op, Pool, TensorIx, WeightSource},
    region::{Shape, Span},
};
use tessera_planner::ftp::{Axis, halo};

use crate::oracle::{self, Box2};

fn graph(extent: usize, op: Op, out: usize) -> Graph {
    Graph {
        name: "one".into(),
        darknet: Darknet::Alexey,
        input: Shape::new(extent, 1, 1),
        letterbox: false,
        nodes: vec![Node {
            layer: 0,
            name: "l00".into(),
            op,
            inputs: vec![TensorIx::INPUT],
            shape: Shape::new(out, 1, 1),
        }],
        layers: Vec::new(),
        heads: Vec::new(),
        outputs: vec![TensorIx::node(NodeIx(0))],
    }
}

/// All ranges of the node's rows; gives how many were compared.
fn compare(g: &Graph) -> usize {
    let node = &g.nodes[0];
    let rows = node.shape.h;
    let mut compared = 0;
    for lo in 0..rows {
        for hi in lo + 1..=rows {
            let have = halo::input_range(node, 0, Span::new(lo, hi), Axis::Y, g.input.h);
            // One column suffices: the rows that are read do not depend on it.
            let out = Box2 {
                y: (lo as i64, hi as i64),
                x: (0, 1),
            };
            let all: Vec<i64> = out
                .pixels()
                .flat_map(|p| oracle::reads(g, node, 0, p))
                .map(|(y, _)| y)
                .collect();
            let inside = || {
                all.iter()
                    .copied()
                    .filter(|y| (0..g.input.h as i64).contains(y))
            };
            let (first, last) = (inside().min().unwrap(), inside().max().unwrap());
            let want = (
                (first, last + 1),
                first - all.iter().min().unwrap(),
                all.iter().max().unwrap() - last,
            );
            let span = (have.span.lo as i64, have.span.hi as i64);
            assert_eq!(
                (span, have.before as i64, have.after as i64),
                want,
                "{:?} of {} rows, output rows {lo}..{hi}",
                node.op,
                g.input.h
            );
            compared += 1;
        }
    }
    compared
}

#[test]
fn every_small_convolution() {
    let mut compared = 0;
    for extent in 1..=12usize {
        for size in 1..=5usize {
            for stride in 1..=4 {
                for dilation in 1..=3 {
                    for p in 0..size {
                        if (dilation > 1 && (size == 1 || 2 * p != size - 1))
                            || extent + 2 * p < size
                        {
                            continue;
                        }
                        let out = (extent + 2 * p - size) / stride + 1;
                        let conv = Conv {
                            size,
                            stride_y: stride,
                            stride_x: 1,
                            pad: p * dilation,
                            dilation,
                            groups: 1,
                            activation: Activation::Linear,
                            source: WeightSource::Blur,
                        };
                        compared += compare(&graph(extent, Op::Conv(conv), out));
                    }
                }
            }
        }
    }
    assert!(compared > 10_000, "{compared}");
}

#[test]
fn every_small_pool() {
    let mut compared = 0;
    for extent in 1..=11usize {
        for size in 1..=5usize {
            for stride in 1..=4 {
                for padding in 0..=2 * size {
                    let before = padding / 2;
                    if extent + padding < size || before >= size {
                        continue;
                    }
                    let out = (extent + padding - size) / stride + 1;
                    if (out - 1) * stride >= extent + before {
                        continue; // a window wholly outside: refused by the front end
                    }
                    let pool = Pool {
                        size,
                        stride_y: stride,
                        stride_x: 1,
                        pad_before: before,
                    };
                    compared += compare(&graph(extent, Op::MaxPool(pool), out));
                }
            }
        }
    }
    assert!(compared > 5_000, "{compared}");
}

#[test]
fn every_small_resampling() {
    for extent in 1..=12usize {
        for stride in 1..=4usize {
            let up = |op| compare(&graph(extent, op, extent * stride));
            up(Op::Upsample { stride, scale: 1.0 });
            up(Op::Reorg3d {
                stride,
                reverse: true,
            });
            if extent >= stride {
                let down = |op| compare(&graph(extent, op, extent / stride));
                down(Op::Downsample { stride, scale: 1.0 });
                if extent.is_multiple_of(stride) {
                    down(Op::Reorg3d {
                        stride,
                        reverse: false,
                    });
                }
            }
        }
    }
}
