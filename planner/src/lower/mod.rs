//! From cfg sections to graph nodes: one function per layer kind resolves its keys and shapes.
//!
//! A layer with an error has no shape; layers that read it check their own keys and stay silent
//! about shapes, so that one mistake is reported once.

mod conv;
mod dense;
mod detect;
mod elementwise;
mod input_size;
mod net;
mod pool;
mod prune;
mod refs;
mod reorg;
mod route;
mod section;
mod shortcut;

use std::{cell::RefCell, collections::BTreeSet};

use crate::cfg::{
    diag::{Diagnostic, Severity, Span, bound},
    keys::Keys,
    lex::Section,
};
use input_size::Advice;
use tessera_plan::{
    graph::{Darknet, Graph, Head, Layer, Node, NodeIx, Op, Stored, TensorIx},
    region::Shape,
};

/// Longest side of a map that is accepted.
pub(crate) const SIDE_MAX: usize = 1 << 16;
/// Largest number of values of a tensor, and of a layer's weights.
pub(crate) const VALUES_MAX: usize = 1 << 30;

/// The output of a layer so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Value {
    /// The tensor.
    pub tensor: TensorIx,
    /// Its shape.
    pub shape: Shape,
}

/// A finished layer, as later layers see it.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    pub kind: String,
    pub span: Span,
    /// The layer's output; `None` after an error, and for a layer without output (cost).
    pub value: Option<Value>,
    pub stored: Stored,
    pub macs: u64,
    /// Geometry that a `share_index` must match; `None` unless the layer is a convolution.
    pub conv: Option<conv::Shared>,
    /// True for an antialiased layer, to which no other layer can refer (`docs/darknet.md#antialiasing`).
    pub antialiased: bool,
}

/// The graph under construction.
pub(crate) struct Lowering<'a> {
    pub darknet: Darknet,
    pub input: Option<Value>,
    pub nodes: Vec<Node>,
    pub layers: Vec<Done>,
    pub heads: Vec<Head>,
    /// Layers whose maps do not fit together, but may fit at another size of the input.
    pub misfits: RefCell<BTreeSet<usize>>,
    /// Advice for those layers; empty until the network has been lowered for other sizes.
    pub advice: Advice,
    pub out: &'a mut Vec<Diagnostic>,
}

/// The result of a layer function.
pub(crate) struct Made {
    pub value: Option<Value>,
    pub stored: Stored,
    pub macs: u64,
    pub conv: Option<conv::Shared>,
    pub antialiased: bool,
}

impl Made {
    pub fn nothing() -> Self {
        Self {
            value: None,
            stored: Stored::Nothing,
            macs: 0,
            conv: None,
            antialiased: false,
        }
    }

    pub fn value(value: Option<Value>) -> Self {
        Self {
            value,
            ..Self::nothing()
        }
    }
}

impl<'a> Lowering<'a> {
    /// Starts lowering a network with this input; `out` receives diagnostics.
    fn new(darknet: Darknet, input: Option<Shape>, out: &'a mut Vec<Diagnostic>) -> Self {
        Self {
            darknet,
            input: input.map(|shape| Value {
                tensor: TensorIx::INPUT,
                shape,
            }),
            nodes: Vec::new(),
            layers: Vec::new(),
            heads: Vec::new(),
            misfits: RefCell::default(),
            advice: Advice::default(),
            out,
        }
    }

    /// Notes that the maps of the current layer do not fit; returns the help text: the input size that makes the
    /// maps fit, or `otherwise`.
    pub fn misfit(&self, otherwise: &str) -> String {
        self.misfits.borrow_mut().insert(self.here());
        self.advice.or(self.here(), otherwise)
    }

    /// Index of the current layer.
    pub fn here(&self) -> usize {
        self.layers.len()
    }

    /// Output of the previous layer, or the network's input for the first layer. `None` if the previous layer is
    /// wrong.
    pub fn previous(&self) -> Option<Value> {
        match self.layers.last() {
            Some(l) => l.value,
            None => self.input,
        }
    }

    /// Adds a node of the current layer; refuses maps that are too large.
    pub fn add(
        &mut self,
        keys: &Keys<'_>,
        suffix: &str,
        op: Op,
        inputs: Vec<TensorIx>,
        shape: Shape,
    ) -> Option<Value> {
        let layer = self.here();
        let fits = shape.h <= SIDE_MAX
            && shape.w <= SIDE_MAX
            && shape
                .h
                .checked_mul(shape.w)
                .and_then(|n| n.checked_mul(shape.c))
                .is_some_and(|n| (1..=VALUES_MAX).contains(&n));
        if !fits {
            keys.error(
                "",
                format!(
                    "layer {layer} [{}]: output {} x {} x {} is empty or too large",
                    keys.name(),
                    shape.h,
                    shape.w,
                    shape.c
                ),
                format!("sides up to {SIDE_MAX} and up to {VALUES_MAX} values are possible"),
            );
            return None;
        }
        self.nodes.push(Node {
            layer,
            name: format!("l{layer:02}_{suffix}"),
            op,
            inputs,
            shape,
        });
        Some(Value {
            tensor: TensorIx::node(NodeIx(self.nodes.len() - 1)),
            shape,
        })
    }
}

/// Lowers all sections. The result may be incomplete when diagnostics carry an error.
pub(crate) fn lower(
    sections: &[Section],
    name: &str,
    darknet: Darknet,
    out: &mut Vec<Diagnostic>,
) -> Option<Graph> {
    let (first, rest) = sections.split_first()?;
    let net = net::net(first, darknet, out);
    let input = net.as_ref().map(|n| n.shape);
    let (mut said, mut said_again) = (Vec::new(), Vec::new());
    let mut l = Lowering::new(darknet, input, &mut said);
    layers(&mut l, rest);
    if let Some(shape) = input
        && !l.misfits.borrow().is_empty()
    {
        // Lowers the network again: diagnostics now carry the advice.
        l = Lowering::new(darknet, input, &mut said_again);
        l.advice = input_size::advice(rest, darknet, shape);
        layers(&mut l, rest);
    }
    if rest.is_empty() {
        l.out.push(Diagnostic::new(
            Severity::Error,
            first.span,
            "the network has no layers",
            "nothing follows",
            "add layers, for example [convolutional]",
        ));
    }
    out.append(l.out);
    bound(out);
    let net = net?;
    let outputs = outputs(&l)?;
    let layers = l
        .layers
        .iter()
        .map(|d| Layer {
            kind: d.kind.clone(),
            line: d.span.line,
            tensor: d.value.map(|v| v.tensor),
            shape: d.value.map_or(Shape::new(0, 0, 0), |v| v.shape),
            weights: d.stored.floats().unwrap_or(0),
            stored: d.stored.clone(),
            macs: d.macs,
        })
        .collect();
    let mut graph = Graph {
        name: name.to_string(),
        darknet,
        input: net.shape,
        letterbox: net.letterbox,
        nodes: l.nodes,
        layers,
        heads: l.heads,
        outputs,
    };
    prune::prune(&mut graph);
    Some(graph)
}

/// The network's outputs: all detection maps, or else the output of the last layer that computes something.
fn outputs(l: &Lowering<'_>) -> Option<Vec<TensorIx>> {
    if !l.heads.is_empty() {
        return Some(l.heads.iter().map(|h| h.tensor).collect());
    }
    let last = l
        .layers
        .iter()
        .rev()
        .find(|d| !matches!(d.kind.as_str(), "cost" | "contrastive"))?;
    last.value.map(|v| vec![v.tensor])
}

fn layers(l: &mut Lowering<'_>, sections: &[Section]) {
    for section in sections {
        section::layer(l, section);
    }
}
