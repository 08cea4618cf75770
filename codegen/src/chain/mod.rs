//! One module per chain class: its buffers, `run`, and one function per layer.

mod buffers;
mod drive;
mod operations;

use std::collections::BTreeSet;

use proc_macro2::TokenStream;
use quote::quote;
use tessera_plan::{
    graph::TensorIx,
    plan::{Chain, ConvKernel},
};

use crate::{
    cpu, header,
    layer::{self, Layer},
    module::Module,
    names::int,
    scope::Scope,
    uses::{Uses, from},
};
use operations::Operations;

/// Emits `chain`, which reads the first of `ports` and makes the second, and whose module docs begin with `title`; with the kernels that it calls and the number of
/// existing channels of each.
pub(crate) fn emit(
    scope: &Scope,
    chain: &Chain,
    ports: [&[TensorIx]; 2],
    title: &str,
) -> (Module, BTreeSet<(ConvKernel, usize)>) {
    let uses = Uses::default();
    let layers: Vec<Option<Layer>> = chain
        .steps
        .iter()
        .enumerate()
        .map(|(i, step)| (!step.is_there()).then(|| layer::emit(scope, chain, i, &uses)))
        .collect();
    let ops = Operations::new(scope, chain, ports, &layers, &uses);
    let drive = drive::emit(&chain.order, &ops, &uses);

    let mut docs = header::docs(title, scope.plan, scope.target);
    docs.extend(table(chain, &layers));
    let kernels = layers
        .iter()
        .flatten()
        .flat_map(|l| l.kernels.clone())
        .collect();
    let functions: TokenStream = layers.into_iter().flatten().map(|l| l.item).collect();
    let buffers = buffers::constants(scope, chain, &uses);
    let (arena, order, body) = (int(chain.arena_floats), drive.order, drive.body);
    let io = if body.is_empty() {
        quote!(_io)
    } else {
        quote!(io)
    };
    let (attributes, task_io) = (cpu::attributes(scope.isa), uses.name(from::IO, "TaskIo"));
    let items = quote! {
        /// Working memory: float32 values.
        pub const ARENA_FLOATS: usize = #arena;
        #buffers
        #order
        /// Computes the chain.
        #attributes
        pub fn run(#io: &mut #task_io<'_>) { #body }
        #functions
    };
    let module = Module {
        docs,
        forbids_unsafe: true,
        uses,
        items,
    };
    (module, kernels)
}

/// A table of the layers that are computed, for the module's docs.
fn table(chain: &Chain, layers: &[Option<Layer>]) -> Vec<String> {
    let rows: Vec<Vec<String>> = chain
        .steps
        .iter()
        .zip(layers)
        .filter_map(|(step, layer)| {
            let layer = layer.as_ref()?;
            let out = &chain.buffers[step.out.buffer];
            let ins = step
                .copied()
                .map(|v| format!("{}x{}x{}", v.h, v.w, chain.buffers[v.buffer].c));
            Some(vec![
                format!("{} {}", step.layer, layer.what),
                ins.collect::<Vec<_>>().join(", "),
                format!("{}x{}x{}", step.out.h, step.out.w, out.c),
                step.firing.to_string(),
                out.ring.to_string(),
                layer.how.clone(),
            ])
        })
        .collect();
    if rows.is_empty() {
        return Vec::new();
    }
    header::table(&["layer", "in", "out", "rows", "ring", "kernel"], &rows)
}
