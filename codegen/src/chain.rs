//! One module per chain class: its buffers, `run`, and one function per layer.

use std::collections::BTreeSet;

use proc_macro2::TokenStream;
use quote::quote;
use tessera_plan::{
    graph::{Graph, TensorIx},
    plan::{Buffer, Chain, ConvKernel, Isa, Place, Plan, View},
};

use crate::{
    EmitError, drive, header, kernel,
    layer::{self, ident_buffer},
    names::int,
};

/// A chain's module and the kernels it calls.
pub(crate) struct Module {
    /// Lines of the module's docs.
    pub docs: Vec<String>,
    /// Items.
    pub tokens: TokenStream,
    /// Kernels called, with their lanes.
    pub kernels: BTreeSet<(ConvKernel, usize)>,
}

/// What an operation does with given rows.
pub(crate) type Operation = Box<dyn Fn(TokenStream) -> TokenStream>;

/// What all chains of a program share.
pub(crate) struct ChainCx<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The network.
    pub graph: &'a Graph,
    /// Name of the target.
    pub target: &'a str,
    /// Instruction set of the kernels.
    pub isa: Isa,
    /// Path of the program's module inside the crate: `crate` or `crate::p0`.
    pub root: TokenStream,
}

/// Emits `chain`; `title` says what it is, `inputs` and `outputs` which tensors it reads and makes.
///
/// # Errors
/// When plan and graph disagree.
pub(crate) fn emit(
    cx: &ChainCx,
    chain: &Chain,
    title: &str,
    inputs: &[TensorIx],
    outputs: &[TensorIx],
) -> Result<Module, EmitError> {
    let bad = |rule| EmitError::Chain {
        chain: chain.name.clone(),
        rule,
    };
    if chain.loads.len() != inputs.len() || chain.stores.len() != outputs.len() {
        return Err(bad(
            "a chain loads every input and stores every output of its stage",
        ));
    }
    let buffer = |i: usize| {
        chain
            .buffers
            .get(i)
            .ok_or_else(|| bad("a view names a buffer"))
    };

    // What every operation does with the rows `rows`; in the order of the plan's numbers.
    let mut ops: Vec<Operation> = Vec::new();
    for (k, view) in chain.loads.iter().enumerate() {
        let Some(v) = view else {
            ops.push(Box::new(|_| TokenStream::new()));
            continue;
        };
        let b = buffer(v.buffer)?;
        if (v.y, v.x, v.h, v.w) != (0, 0, b.h, b.w) {
            return Err(bad("an input fills its buffer"));
        }
        let (k, b) = (int(k), ident_buffer(v.buffer));
        ops.push(Box::new(move |rows| quote!(io.load(#k, &#b, #rows);)));
    }
    let mut rows = Vec::new();
    let mut items = TokenStream::new();
    let mut kernels = BTreeSet::new();
    for (number, step) in chain.steps.iter().enumerate() {
        let node = cx
            .graph
            .nodes
            .get(step.node)
            .ok_or_else(|| bad("a step names a node of the graph"))?;
        if !layer::finds_parts(node, step, chain) {
            return Err(bad(
                "only a concatenation finds inputs in its output, all of them where they belong",
            ));
        }
        if step.is_there() {
            ops.push(Box::new(|_| TokenStream::new()));
            continue;
        }
        let layer = layer::emit(node, number, chain, cx.isa)?;
        let out = buffer(step.out.buffer)?;
        ops.push(layer.call);
        items.extend(layer.item);
        kernels.extend(layer.kernels);
        let ins: Vec<String> = step
            .copied()
            .map(|v| format!("{}x{}x{}", v.h, v.w, chain.buffers[v.buffer].c))
            .collect();
        rows.push(vec![
            format!("{} {}", step.layer, layer.what),
            ins.join(", "),
            format!("{}x{}x{}", out.h, out.w, out.c),
            step.firing.to_string(),
            out.ring.to_string(),
            layer.how,
        ]);
    }
    let mut view = false;
    for (k, store) in chain.stores.iter().enumerate() {
        let Some(v) = store else {
            ops.push(Box::new(|_| TokenStream::new()));
            continue;
        };
        let b = buffer(v.buffer)?;
        view |= !matches!(b.place, Place::Output(_));
        let (k, b, v) = (int(k), ident_buffer(v.buffer), view_tokens(v));
        ops.push(Box::new(move |rows| quote!(io.store(#k, &#b, #v, #rows);)));
    }
    let drive =
        drive::emit(&chain.order, &ops).ok_or_else(|| bad("a firing names an operation"))?;
    let run = drive.body;

    let buffers = chain.buffers.iter().enumerate().map(|(i, b)| {
        let (name, literal) = (ident_buffer(i), buffer_tokens(b));
        let place = match b.place {
            Place::Arena => "",
            Place::Input(_) => ", where it arrived",
            Place::Output(_) => ", where it is handed over",
        };
        let doc = format!(
            " {}: {}x{}x{}{place}.",
            tensor_name(cx.graph, b.tensor),
            b.h,
            b.w,
            b.c
        );
        quote! {
            #[doc = #doc]
            const #name: Buffer = #literal;
        }
    });
    let arena = int(chain.arena_floats);
    let body = items.to_string();
    let root = &cx.root;
    let mut uses = TokenStream::new();
    if !chain.steps.is_empty() {
        uses.extend(quote!(
            use std::ops::Range;
        ));
    }
    let mut names = Vec::new();
    if !chain.buffers.is_empty() {
        names.push(quote!(Buffer));
    }
    names.push(quote!(TaskIo));
    if view {
        names.push(quote!(View));
    }
    uses.extend(match names.as_slice() {
        [one] => quote!(use tessera_runtime::io::#one;),
        all => quote!(use tessera_runtime::io::{#(#all),*};),
    });
    let splits = run.to_string().contains("Split {");
    uses.extend(match (body.contains("Across"), splits) {
        (true, true) => quote!(
            use tessera_runtime::team::{Across, Split, Team};
        ),
        (true, false) => quote!(
            use tessera_runtime::team::{Across, Team};
        ),
        (false, true) => quote!(
            use tessera_runtime::team::Split;
        ),
        (false, false) => TokenStream::new(),
    });
    if run.to_string().contains("layout ::") {
        uses.extend(quote!(use #root::layout;));
    }
    if !kernels.is_empty() {
        uses.extend(quote!(
            use crate::kernels;
        ));
    }
    if body.contains("math ::") {
        uses.extend(quote!(
            use crate::math;
        ));
    }
    let io = if run.is_empty() {
        quote!(_io)
    } else {
        quote!(io)
    };
    if drive.order.is_some() {
        uses.extend(quote!(
            use tessera_runtime::order::{Firing, Order};
        ));
    }
    let order = drive.order;
    let attributes = kernel::attributes(cx.isa);
    let tokens = quote! {
        #![forbid(unsafe_code)]
        #uses
        /// Working memory: float32 values.
        pub const ARENA_FLOATS: usize = #arena;
        #(#buffers)*
        #order
        /// Computes the chain.
        #attributes
        pub fn run(#io: &mut TaskIo<'_>) { #run }
        #items
    };
    let mut docs = header::docs(title, cx.plan, cx.target);
    if !rows.is_empty() {
        docs.extend(header::table(
            &["layer", "in", "out", "rows", "ring", "kernel"],
            &rows,
        ));
    }
    Ok(Module {
        docs,
        tokens,
        kernels,
    })
}

fn tensor_name(graph: &Graph, t: TensorIx) -> String {
    match t.producer().and_then(|n| graph.nodes.get(n)) {
        Some(node) => format!("Output of layer {}, {}", node.layer, node.name),
        None => "The network's input".to_owned(),
    }
}

fn buffer_tokens(b: &Buffer) -> TokenStream {
    let Buffer { zero_row, .. } = *b;
    let [offset, h, ring, w, c, pad_left, pad_right] =
        [b.offset, b.h, b.ring, b.w, b.c, b.pad_left, b.pad_right].map(int);
    quote! {
        Buffer {
            offset: #offset,
            h: #h,
            ring: #ring,
            w: #w,
            c: #c,
            pad_left: #pad_left,
            pad_right: #pad_right,
            zero_row: #zero_row,
        }
    }
}

fn view_tokens(v: &View) -> TokenStream {
    let [y, x, h, w] = [v.y, v.x, v.h, v.w].map(int);
    quote!(View { y: #y, x: #x, h: #h, w: #w })
}
