//! What the emitter of a layer sees, and what it makes.

use std::{borrow::Cow, collections::BTreeSet, ops::Range};

use proc_macro2::TokenStream;
use quote::quote;
use tessera_plan::{
    graph::{Activation, Node, Op},
    kernel::{block_floats, part_floats},
    plan::{Chain, ConvKernel, Isa, Packing, Place, Step},
    region::Span,
};

use super::view::{In, Out};
use crate::{names::ident, scope::Scope, uses::Uses};

/// What a layer's emitter sees: a step and its node, which fit each other as the plan's check says.
pub(super) struct LayerCx<'a> {
    /// The network's node, with the channels that the step makes.
    pub node: Cow<'a, Node>,
    /// The plan's step.
    pub step: &'a Step,
    /// Instruction set of the kernels.
    pub isa: Isa,
    /// Views of the inputs.
    pub ins: Vec<In>,
    /// The output.
    pub out: Out,
    /// Where the inputs lie.
    pub places: Vec<Place>,
    /// Where the output lies.
    pub place: Place,
    /// Imports of the chain's module.
    pub uses: &'a Uses,
}

impl<'a> LayerCx<'a> {
    /// Of a step of `chain`.
    pub fn new(scope: &'a Scope, chain: &Chain, step: &'a Step, uses: &'a Uses) -> Self {
        let node = narrowed(&scope.plan.network.nodes[step.node], step);
        let (buffers, out) = (&chain.buffers, &chain.buffers[step.out.buffer]);
        Self {
            out: Out::new(out, &step.out, step.channel, node.shape.c),
            node,
            step,
            isa: scope.isa,
            ins: step
                .inputs
                .iter()
                .map(|v| In::new(&buffers[v.buffer], v))
                .collect(),
            places: step
                .inputs
                .iter()
                .map(|v| buffers[v.buffer].place)
                .collect(),
            place: out.place,
            uses,
        }
    }

    /// The values among a node's packed weights that the step reads; `None`: all of them.
    pub fn weights(&self, packing: &[Packing]) -> Option<Range<usize>> {
        let k = self.step.conv.as_ref()?;
        let block = block_floats(k.nr, k.size * k.size * k.cin, self.step.weights);
        if let Some(depth) = self.step.depth {
            let packed = packing.iter().find(|p| p.node == self.step.node)?;
            let before = packed.spans().take_while(|part| part.lo < depth.lo);
            let first: usize = before
                .map(|part| part_floats(&self.node, k.nr, self.step.weights, part))
                .sum();
            return Some(first..first + self.node.shape.c.div_ceil(k.nr) * block);
        }
        let filters = self.step.filters?;
        Some(filters.lo / k.nr * block..filters.hi.div_ceil(k.nr) * block)
    }

    /// The only input.
    pub fn input(&self) -> In {
        self.ins[0]
    }

    /// Whether input `i` lies in the output already.
    pub fn is_there(&self, i: usize) -> bool {
        self.step.finds(&self.step.inputs[i])
    }

    /// Inputs that the function takes.
    pub fn taken(&self) -> impl Iterator<Item = usize> {
        (0..self.ins.len()).filter(|i| !self.is_there(*i))
    }

    /// Name of input `i` inside the function.
    pub fn x(&self, i: usize) -> TokenStream {
        if self.ins.len() == 1 {
            quote!(x)
        } else {
            let x = ident(&format!("x{i}"));
            quote!(#x)
        }
    }
}

/// A node with the channels that a step makes.
fn narrowed<'a>(node: &'a Node, step: &Step) -> Cow<'a, Node> {
    if step.filters.is_none() && step.depth.is_none() {
        return Cow::Borrowed(node);
    }
    let mut node = node.clone();
    node.shape.c = step.filters.map_or(node.shape.c, Span::len);
    if let (Op::Conv(c), Some(_)) = (&mut node.op, step.depth) {
        c.activation = Activation::Linear;
    }
    Cow::Owned(node)
}

/// A layer function's body and what goes with it; the frame around it is common to all.
pub(super) struct Body {
    /// Short description for the doc comment and the table.
    pub what: String,
    /// Statements; they see `x` (or `x0`...), `w`, `y`, and `rows` or `channels`.
    pub code: TokenStream,
    /// Whether the function takes packed weights.
    pub weights: bool,
    /// Kernels called, with their numbers of existing channels.
    pub kernels: BTreeSet<(ConvKernel, usize)>,
    /// How it is computed.
    pub how: String,
    /// How threads share the work.
    pub sharing: Sharing,
}

/// How the threads of a team share a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sharing {
    /// Each computes some rows.
    Rows,
    /// Each computes some rows, with so many values of working memory of its own, which the function takes as
    /// `wide`.
    RowsWide(usize),
    /// Each computes some output channels of the only pixel.
    Channels,
    /// The function takes the team, and `scratch`, and shares its work itself.
    Own,
}

impl Body {
    /// A plain loop without weights.
    pub fn plain(what: impl Into<String>, code: TokenStream) -> Self {
        Self {
            what: what.into(),
            code,
            weights: false,
            kernels: BTreeSet::new(),
            how: "loop".to_owned(),
            sharing: Sharing::Rows,
        }
    }

    /// A plain loop over packed weights.
    pub fn weighted(what: impl Into<String>, code: TokenStream) -> Self {
        Self {
            weights: true,
            ..Self::plain(what, code)
        }
    }
}
