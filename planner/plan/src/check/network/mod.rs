//! Rules of the network: nodes that read earlier ones and make what their operations make, layers that say
//! what the weights file holds, heads that decode what is computed.

mod heads;
mod op;
mod weights;

use std::collections::BTreeSet;

use super::{Rule, rule};
use crate::{
    graph::{Graph, Node, TensorIx},
    limits::{LIST_MAX, VALUES_MAX},
    region::Shape,
};

/// Longest name of a node, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// Most rows, and columns, of a map.
const SIDE_MAX: usize = 1 << 16;

/// All rules of a network by itself.
pub(super) fn network(g: &Graph) -> Rule {
    let at = || "network".to_string();
    rule(
        [
            g.nodes.len(),
            g.layers.len(),
            g.heads.len(),
            g.outputs.len(),
        ]
        .iter()
        .all(|n| *n <= LIST_MAX),
        &at,
        "too many nodes, layers, heads or outputs",
    )?;
    rule(
        has_values(g.input),
        &at,
        "an input that is empty or too large",
    )?;
    weights::layers(g)?;
    let mut names = BTreeSet::new();
    for (i, n) in g.nodes.iter().enumerate() {
        let at = || format!("network, node {i}");
        rule(
            is_name(&n.name) && names.insert(&n.name),
            &at,
            "must have a name of its own, of letters, digits and _",
        )?;
        node(g, i, n, &at)?;
    }
    let is_known = |t: &TensorIx| is_before(*t, g.nodes.len());
    rule(
        g.layers
            .iter()
            .filter_map(|l| l.tensor.as_ref())
            .all(is_known),
        &at,
        "a layer names no tensor of the network",
    )?;
    rule(
        !g.outputs.is_empty() && g.outputs.iter().all(is_known),
        &at,
        "must have outputs, tensors of its own",
    )?;
    heads::heads(g)
}

fn node(g: &Graph, i: usize, n: &Node, at: &dyn Fn() -> String) -> Rule {
    rule(n.layer < g.layers.len(), at, "belongs to no layer")?;
    rule(
        has_values(n.shape),
        at,
        "makes a map that is empty or too large",
    )?;
    rule(
        (1..=LIST_MAX).contains(&n.inputs.len()) && n.inputs.iter().all(|t| is_before(*t, i)),
        at,
        "must read tensors of earlier nodes",
    )?;
    let ins: Vec<Shape> = n.inputs.iter().map(|t| g.shape(*t)).collect();
    rule(
        op::makes(&n.op, &ins, n.shape).is_some(),
        at,
        "its operation does not make this shape of its inputs, or has impossible parameters",
    )?;
    rule(
        weights::are_stored(g, n, &ins),
        at,
        "its layer stores no such weights",
    )
}

/// Whether `t` is the input or the output of one of the first `nodes` nodes.
fn is_before(t: TensorIx, nodes: usize) -> bool {
    t == TensorIx::INPUT || t.producer().is_some_and(|n| n.0 < nodes)
}

fn has_values(s: Shape) -> bool {
    let values = s.h.checked_mul(s.w).and_then(|n| n.checked_mul(s.c));
    s.h <= SIDE_MAX && s.w <= SIDE_MAX && values.is_some_and(|n| (1..VALUES_MAX).contains(&n))
}

fn is_name(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}
