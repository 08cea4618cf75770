//! The network's part of `plan.toml`: one line per node, layer and head.

use serde::Serialize;

use crate::lines;
use tessera_plan::{
    graph::{Darknet, Graph, TensorIx},
    region::Shape,
};

/// All but the lists.
#[derive(Serialize)]
struct Top<'a> {
    name: &'a str,
    darknet: Darknet,
    input: Shape,
    letterbox: bool,
    outputs: &'a [TensorIx],
}

/// `[network]` and its lists.
pub(super) fn toml(network: &Graph) -> String {
    let top = super::toml(&Top {
        name: &network.name,
        darknet: network.darknet,
        input: network.input,
        letterbox: network.letterbox,
        outputs: &network.outputs,
    });
    let lists = [
        lines::list("nodes", &network.nodes),
        lines::list("layers", &network.layers),
        lines::list("heads", &network.heads),
    ];
    format!("[network]\n{top}{}", lists.concat())
}
