//! The constants of a chain's buffers.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use tessera_plan::{
    graph::{Graph, TensorIx},
    plan::{Buffer, BufferIx, Chain, Place, View},
};

use crate::{
    names::{buffer, int},
    scope::Scope,
    uses::{Uses, from},
};

/// One constant per buffer, with what it holds.
pub(super) fn constants(scope: &Scope, chain: &Chain, uses: &Uses) -> TokenStream {
    let constant = |(i, b): (usize, &Buffer)| {
        let ty = uses.name(from::IO, "Buffer");
        let (name, literal) = (buffer(BufferIx(i)), literal(b, &ty));
        let place = match b.place {
            Place::Arena => "",
            Place::Input(_) => ", where it arrived",
            Place::Output(_) => ", where it is handed over",
        };
        let tensor = tensor_name(&scope.plan.network, b.tensor);
        let doc = format!(" {tensor}: {}x{}x{}{place}.", b.h, b.w, b.c);
        quote! {
            #[doc = #doc]
            const #name: #ty = #literal;
        }
    };
    chain.buffers.iter().enumerate().map(constant).collect()
}

fn tensor_name(network: &Graph, t: TensorIx) -> String {
    match t.producer() {
        Some(n) => {
            let node = &network.nodes[n];
            format!("Output of layer {}, {}", node.layer, node.name)
        }
        None => "The network's input".to_owned(),
    }
}

fn literal(b: &Buffer, ty: &Ident) -> TokenStream {
    let zero_row = b.zero_row;
    let [offset, h, ring, w, c, pad_left, pad_right] =
        [b.offset, b.h, b.ring, b.w, b.c, b.pad_left, b.pad_right].map(int);
    quote! {
        #ty {
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

/// A box of a buffer.
pub(super) fn view(v: &View, uses: &Uses) -> TokenStream {
    let ty = uses.name(from::IO, "View");
    let [y, x, h, w] = [v.y, v.x, v.h, v.w].map(int);
    quote!(#ty { y: #y, x: #x, h: #h, w: #w })
}
