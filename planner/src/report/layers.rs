//! What tiling costs, layer by layer.

use crate::text::{Table, bytes, count, plural};
use tessera_plan::{
    graph::{Graph, NodeIx, TensorIx},
    plan::Plan,
};

/// Layers that are listed; of more, the dearest.
const SHOWN: usize = 40;

struct Row {
    stage: usize,
    node: NodeIx,
    /// Multiply-adds of all tiles.
    macs: u64,
    untiled: u64,
    /// Bytes of the largest tile's part of the output.
    largest: u64,
}

/// The table of all tiled layers that compute something.
pub(super) fn render(plan: &Plan, graph: &Graph) -> String {
    let Some(target) = plan.target.values().next() else {
        return String::new();
    };
    let mut rows: Vec<Row> = Vec::new();
    for (i, (s, chains)) in plan.dataflow.stages.iter().zip(&target.stages).enumerate() {
        let tiles: Vec<u64> = (0..chains.len())
            .map(|k| {
                let of_class = s.tiles.iter().filter(|t| t.class == k);
                of_class.filter(|t| t.instead_of.is_none()).count() as u64
            })
            .collect();
        let nodes = graph
            .node_ixs()
            .filter(|n| (s.first_layer..s.end_layer).contains(&graph.nodes[*n].layer));
        for n in nodes {
            let shape = graph.shape(TensorIx::node(n));
            let mut row = Row {
                stage: i,
                node: n,
                macs: 0,
                untiled: crate::ftp::work::per_pixel(graph, n) * (shape.h * shape.w) as u64,
                largest: 0,
            };
            for (chain, tiles) in chains.iter().zip(&tiles) {
                for step in &chain.steps {
                    if step.node == n {
                        row.macs += tiles * step.macs;
                    }
                    // A convolution that pools makes the pool's output.
                    let pools = step.conv.as_ref().is_some_and(|k| k.pool);
                    let pooled = chain.buffers[step.out.buffer].tensor == TensorIx::node(n);
                    if if pools { pooled } else { step.node == n } {
                        let values = step.out.h * step.out.w * shape.c;
                        row.largest = row.largest.max(4 * values as u64);
                    }
                }
            }
            rows.push(row);
        }
    }
    if rows.is_empty() {
        return String::new();
    }
    let all = rows.len();
    if all > SHOWN {
        let mut order: Vec<usize> = (0..all).collect();
        order.sort_by_key(|k| (std::cmp::Reverse(rows[*k].macs), *k));
        let mut keep = vec![false; all];
        order[..SHOWN].iter().for_each(|k| keep[*k] = true);
        let mut keep = keep.into_iter();
        rows.retain(|_| keep.next().unwrap_or(false));
    }
    let mut t = Table::new(
        "><<>>>>",
        &[
            "stage",
            "layer",
            "kind",
            "output w x h x c",
            "multiply-adds",
            "redundancy",
            "largest tile",
        ],
    );
    for r in &rows {
        let node = &graph.nodes[r.node];
        let s = node.shape;
        #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
        let times = if r.untiled == 0 {
            "-".to_string()
        } else {
            format!("{:.3}x", r.macs as f64 / r.untiled as f64)
        };
        t.row(&[
            &r.stage.to_string(),
            &node.layer.to_string(),
            &graph.layers[node.layer].kind,
            &format!("{} x {} x {}", s.w, s.h, s.c),
            &count(r.macs),
            &times,
            // What a kernel pools is never stored.
            &if r.largest == 0 {
                "-".to_string()
            } else {
                bytes(r.largest)
            },
        ]);
    }
    let more = if all > SHOWN {
        format!("  and {} that cost less\n", plural(all - SHOWN, "layer"))
    } else {
        String::new()
    };
    format!("\ntiled layers\n{}{more}", t.render(2))
}
