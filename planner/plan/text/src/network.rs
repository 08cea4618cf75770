//! The network's part of `plan.toml`: one line per node, layer and head.

use serde::Serialize;
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
        list("nodes", &network.nodes),
        list("layers", &network.layers),
        list("heads", &network.heads),
    ];
    format!("[network]\n{top}{}", lists.concat())
}

/// `name = [...]` with an inline table per line.
fn list(name: &str, items: &[impl Serialize]) -> String {
    let mut text = format!("{name} = [\n");
    for item in items {
        let mut line = String::new();
        item.serialize(toml::ser::ValueSerializer::new(&mut line))
            .expect("plain data has a TOML form");
        text += &format!("    {line},\n");
    }
    text + "]\n"
}
