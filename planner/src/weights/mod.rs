//! Darknet weights files (`docs/darknet.md#weights`): reading, checking, folding, making random ones.

mod error;
mod fold;
mod header;
mod random;
mod read;
mod size;
mod sniff;

use std::{fs, path::Path};

use sha2::{Digest, Sha256};

pub use self::{
    error::{WeightsError, WeightsWarning},
    header::Header,
    random::random_file,
};
use crate::model::Model;
use tessera_plan::graph::{Graph, NodeWeights};

/// Loads and folds the weights of `graph`.
///
/// # Errors
/// When the file is no weights file of this cfg; see [`WeightsError`].
pub fn load(path: &Path, graph: Graph) -> Result<(Model, Vec<WeightsWarning>), WeightsError> {
    let meta = fs::metadata(path)?;
    if !meta.is_file() {
        return Err(WeightsError::NotAFile);
    }
    let expected = read::floats(&graph) as u64 * 4 + 20;
    let mut file = fs::File::open(path)?;
    // Only as much as could be needed is read of a file that is far too long.
    let most = expected.max(1 << 16);
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(&mut file, most), &mut bytes)?;
    // What was read counts, should the file change meanwhile.
    let len = match bytes.len() as u64 {
        read if read < most => read,
        read => read.max(meta.len()),
    };
    parse(&bytes, len, graph)
}

/// As [`load`], from the file's bytes.
///
/// # Errors
/// As [`load`].
pub fn from_bytes(
    _name: &str,
    bytes: &[u8],
    graph: Graph,
) -> Result<(Model, Vec<WeightsWarning>), WeightsError> {
    parse(bytes, bytes.len() as u64, graph)
}

/// A model without weights: it can be planned and emitted, not run.
pub fn without(graph: Graph) -> Model {
    let digest = digest(&graph, None);
    Model {
        graph,
        weights: None,
        digest,
    }
}

fn parse(
    bytes: &[u8],
    len: u64,
    graph: Graph,
) -> Result<(Model, Vec<WeightsWarning>), WeightsError> {
    sniff::sniff(bytes)?;
    let mut warnings = Vec::new();
    let header = header::parse(bytes, len, graph.darknet)?;
    let header = size::check_size(&graph, &header, len, &mut warnings)?;
    let raw = read::arrays(&graph, &bytes[header.bytes..], &header, &mut warnings)?;
    let weights = fold::fold(&graph, raw);
    let digest = digest(&graph, Some(&weights));
    Ok((
        Model {
            graph,
            weights: Some(weights),
            digest,
        },
        warnings,
    ))
}

/// SHA-256 over what the graph computes and, when there are any, the folded weights.
fn digest(graph: &Graph, weights: Option<&[Option<NodeWeights>]>) -> [u8; 32] {
    let mut h = Sha256::new();
    h.update(b"tessera model 1\n");
    h.update(format!(
        "{:?} {:?} {}\n",
        graph.darknet, graph.input, graph.letterbox
    ));
    for n in &graph.nodes {
        h.update(format!(
            "{} {:?} {:?} {:?}\n",
            n.layer, n.op, n.inputs, n.shape
        ));
    }
    h.update(format!("{:?} {:?}\n", graph.heads, graph.outputs));
    for w in weights.into_iter().flatten().flatten() {
        let mut buffer = Vec::with_capacity(1 << 16);
        for chunk in w.weights.chunks(1 << 14).chain(w.bias.chunks(1 << 14)) {
            buffer.clear();
            buffer.extend(chunk.iter().flat_map(|v| v.to_le_bytes()));
            h.update(&buffer);
        }
    }
    h.finalize().into()
}
