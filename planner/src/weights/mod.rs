//! Darknet weights files (`docs/darknet.md#weights`): reading, checking, folding, making random ones.

mod fold;
mod header;
mod random;
mod read;
mod size;
mod sniff;

use std::{fs, path::Path};

use sha2::{Digest, Sha256};

pub use self::{header::Header, random::random_file};
use crate::model::Model;
use tessera_plan::graph::{Graph, NodeWeights};

/// Why a weights file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The file cannot be opened or read.
    #[error("cannot read the weights")]
    Io(#[from] std::io::Error),
    /// It is a folder or a device.
    #[error("this is no regular file; give a Darknet .weights file")]
    NotAFile,
    /// It is something else.
    #[error("this looks like {what}, not a Darknet weights file; {help}")]
    Foreign {
        /// What it looks like.
        what: &'static str,
        /// What to do.
        help: &'static str,
    },
    /// Shorter than any header.
    #[error("the file has {found} bytes, a Darknet header alone has 16 or 20; fetch it again")]
    NoHeader {
        /// Bytes in the file.
        found: u64,
    },
    /// The header's version makes no sense, and the length does not prove the file right.
    #[error(
        "the header says version {major}.{minor}.{revision}: this is no Darknet weights file, or its bytes are swapped"
    )]
    Version {
        /// First word.
        major: i32,
        /// Second word.
        minor: i32,
        /// Third word.
        revision: i32,
    },
    /// The length does not fit the cfg.
    #[error("the cfg needs {expected} bytes of weights, the file has {found}; {help}")]
    Size {
        /// Bytes that header and layers take.
        expected: u64,
        /// Bytes in the file.
        found: u64,
        /// Where it ends, and what that suggests.
        help: String,
    },
    /// A value that no trained network has.
    #[error(
        "layer {layer}: {array}[{index}] is {value}; the file is damaged or belongs to another cfg"
    )]
    Value {
        /// cfg layer.
        layer: usize,
        /// Which array.
        array: &'static str,
        /// Where in the array.
        index: usize,
        /// The value.
        value: f32,
    },
}

/// Something odd about weights that can be used.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightsWarning {
    /// cfg layer; none for the header.
    pub layer: Option<usize>,
    /// What is odd.
    pub message: String,
}

impl std::fmt::Display for WeightsWarning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.layer {
            Some(layer) => write!(f, "layer {layer}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

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

/// As [`load`], from memory.
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
