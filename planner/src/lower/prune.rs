//! Drops nodes that no output needs. Their layers stay listed and their weights are skipped.

use tessera_plan::graph::{Graph, NodeIx, TensorIx};

/// Keeps the nodes that [`Graph::outputs`] need, in their order, and renumbers nodes and tensors.
pub(super) fn prune(g: &mut Graph) {
    let mut live = vec![false; g.nodes.len()];
    for t in &g.outputs {
        if let Some(n) = t.producer() {
            live[n.0] = true;
        }
    }
    for n in g.node_ixs().rev() {
        if live[n.0] {
            for t in &g.nodes[n].inputs {
                if let Some(p) = t.producer() {
                    live[p.0] = true;
                }
            }
        }
    }
    let mut new = Vec::with_capacity(live.len());
    let mut next = 0;
    for &l in &live {
        new.push(l.then_some(NodeIx(next)));
        next += usize::from(l);
    }
    let renumber = |t: TensorIx| match t.producer() {
        None => Some(t),
        Some(n) => new[n.0].map(TensorIx::node),
    };
    let mut keep = live.iter();
    g.nodes.retain(|_| *keep.next().expect("one flag per node"));
    for n in &mut g.nodes {
        for t in &mut n.inputs {
            *t = renumber(*t).expect("inputs of live nodes live");
        }
    }
    for l in &mut g.layers {
        l.tensor = l.tensor.and_then(renumber);
    }
    for h in &mut g.heads {
        h.tensor = renumber(h.tensor).expect("heads are outputs");
    }
    for t in &mut g.outputs {
        *t = renumber(*t).expect("outputs live");
    }
}
