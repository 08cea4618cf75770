//! Statements of `run` that take a layer's inputs and output from where they lie.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use tessera_plan::plan::Place;

use super::context::LayerCx;
use crate::names::{buffer, int};

/// Where a layer's buffers lie.
pub(super) struct Places {
    /// The step's number.
    number: TokenStream,
    /// Names and constants of the inputs in the arena.
    arena: Vec<(TokenStream, Ident)>,
    /// Statements that name the inputs that are read where they arrived.
    arrived: TokenStream,
    /// The output's constant.
    to: Ident,
    /// The output's number, if it is written where it is handed over.
    handed: Option<usize>,
    /// Values of working memory.
    scratch: TokenStream,
}

impl Places {
    /// Of step `number` of its chain, whose inputs the function calls `xs`.
    pub fn new(cx: &LayerCx, number: usize, xs: &[TokenStream]) -> Self {
        let step = cx.step;
        let mut arena = Vec::new();
        let mut arrived = TokenStream::new();
        for (x, i) in xs.iter().zip(cx.taken()) {
            let b = buffer(step.inputs[i].buffer);
            if let Place::Input(k) = cx.places[i] {
                let k = int(k);
                arrived.extend(quote!(let #x = io.packed(#k, &#b);));
            } else {
                arena.push((x.clone(), b));
            }
        }
        Self {
            number: int(number),
            arena,
            arrived,
            to: buffer(step.out.buffer),
            handed: match cx.place {
                Place::Output(k) => Some(k),
                _ => None,
            },
            scratch: int(step.scratch),
        }
    }

    /// Statements that name the inputs, the rows `range` of the output `y` and, if the layer
    /// `works` in it, `scratch`.
    pub fn take(&self, range: &TokenStream, works: bool) -> TokenStream {
        let Self {
            number,
            arrived,
            to,
            scratch,
            ..
        } = self;
        let (xs, bufs): (Vec<_>, Vec<_>) = self.arena.iter().cloned().unzip();
        let ins = quote!([#(#bufs.range()),*]);
        let place = quote!(#to.rows(#range));
        let taken = match (self.handed, works) {
            (None, false) => quote! {
                let ([#(#xs),*], y) = io.arena.io(#number, #ins, #place);
            },
            (None, true) => quote! {
                let ([#(#xs),*], y, scratch) =
                    io.arena.io_scratch(#number, #ins, #place, #scratch);
            },
            (Some(k), works) => {
                let (k, scratch) = (int(k), if works { scratch.clone() } else { int(0) });
                let work = if works { quote!(scratch) } else { quote!(_) };
                quote! {
                    let y = #to.handed(io.outputs[#k], #range);
                    let ([#(#xs),*], #work) = io.arena.read(#number, #ins, #scratch);
                }
            }
        };
        quote! { #arrived #taken }
    }
}
