//! `scales.rs`: what the bytes of tensors stand for, channel by channel.

use proc_macro2::TokenStream;
use quote::quote;
use tessera_plan::{
    graph::TensorIx,
    plan::{ElementType, Tensor},
};

use crate::{
    header,
    module::Module,
    names::{float, upper},
    scope::Scope,
    uses::{Uses, from},
};

/// The module; `None` where no tensor has scales.
pub(crate) fn module(scope: &Scope) -> Option<Module> {
    let uses = Uses::default();
    let constants: Vec<TokenStream> = (scope.plan.dataflow.tensors.iter())
        .filter_map(|t| constant(scope, t, &uses))
        .collect();
    if constants.is_empty() {
        return None;
    }
    Some(Module {
        docs: header::docs(
            "What the bytes of tensors stand for: of each channel `(byte - zero) * step`.",
            scope.plan,
            scope.target,
        ),
        forbids_unsafe: true,
        uses,
        items: quote!(#(#constants)*),
    })
}

fn constant(scope: &Scope, t: &Tensor, uses: &Uses) -> Option<TokenStream> {
    let scales = t.scales.as_ref()?;
    let producer = t.id.producer()?;
    let name = upper(&scope.plan.network.nodes[producer].name);
    let ty = uses.name(from::PROGRAM, "Scales");
    let steps = scales.steps.iter().map(|s| float(*s));
    let inverses = scales.steps.iter().map(|s| float(1.0 / *s));
    let zeros = scales.zeros.iter().map(|z| float((*z).into()));
    let doc = format!(" The output of layer {}.", t.layer);
    Some(quote! {
        #[doc = #doc]
        pub static #name: #ty = #ty {
            steps: &[#(#steps),*],
            inverses: &[#(#inverses),*],
            zeros: &[#(#zeros),*],
        };
    })
}

/// `scales::L07_MAXPOOL`: the scales of a tensor; `None` if it has none.
pub(crate) fn of(scope: &Scope, t: TensorIx, uses: &Uses) -> Option<TokenStream> {
    let tensor = scope.plan.dataflow.tensors.iter().find(|x| x.id == t)?;
    let producer = t.producer()?;
    if tensor.element != ElementType::U8 || tensor.scales.is_none() {
        return None;
    }
    let module = uses.name(&scope.root, "scales");
    let constant = upper(&scope.plan.network.nodes[producer].name);
    Some(quote!(#module::#constant))
}
