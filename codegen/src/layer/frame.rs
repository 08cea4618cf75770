//! The function around a layer's body, and its call.

use std::collections::BTreeSet;

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use tessera_plan::plan::ConvKernel;

use super::{
    context::{Body, LayerCx, Sharing},
    places::Places,
};
use crate::{
    cpu,
    names::{buffer, ident, int},
    scope::Scope,
    uses::from,
};

/// A layer, emitted.
pub(crate) struct Layer {
    /// The function, with its doc comment.
    pub item: TokenStream,
    /// Kernels it calls, with their numbers of existing channels.
    pub kernels: BTreeSet<(ConvKernel, usize)>,
    /// What the chain's table says about how it is computed.
    pub how: String,
    /// What it is: `conv 3x3/1, 32 -> 64, leaky`.
    pub what: String,
    call: Call,
}

impl Layer {
    /// The function of step `number` around `body`.
    pub(super) fn new(scope: &Scope, cx: &LayerCx, number: usize, body: Body) -> Self {
        let call = Call::new(scope, cx, number, &body);
        Self {
            item: function(cx, &body, &call.inputs),
            kernels: body.kernels,
            how: body.how,
            what: body.what,
            call,
        }
    }

    /// Statements in `run` that compute the rows `rows`, an expression without side effects.
    pub fn call(&self, rows: &TokenStream) -> TokenStream {
        self.call.statements(rows)
    }
}

/// `fn l02_conv(x: &[f32], w: &[f32], y: &mut [f32], rows: Range<usize>)`, and its doc comment.
fn function(cx: &LayerCx, body: &Body, inputs: &[TokenStream]) -> TokenStream {
    let (name, doc, code) = (ident(&cx.step.name), doc(cx, body), &body.code);
    let weights = body.weights.then(|| quote!(w: &[f32],));
    let over = if body.sharing == Sharing::Channels {
        quote!(channels)
    } else {
        quote!(rows)
    };
    let (team, scratch) = match body.sharing {
        Sharing::Own => {
            let team = cx.uses.name(from::TEAM, "Team");
            (quote!(team: &#team,), quote!(scratch: &mut [f32],))
        }
        Sharing::RowsWide(_) => (quote!(), quote!(wide: &mut [f32],)),
        Sharing::Rows | Sharing::Channels => (quote!(), quote!()),
    };
    let (attributes, range) = (cpu::attributes(cx.isa), cx.uses.name(from::OPS, "Range"));
    quote! {
        #[doc = #doc]
        #attributes
        pub fn #name(#team #(#inputs: &[f32],)* #weights #scratch y: &mut [f32], #over: #range<usize>) { #code }
    }
}

/// ` Layer 2: conv 3x3/1, 32 -> 64, leaky. In 8x8x32 (border 1 1 1 1), out 8x8x64, f32 HWC.`
fn doc(cx: &LayerCx, body: &Body) -> String {
    let (step, out) = (cx.step, cx.out);
    let ins = cx.taken().map(|i| cx.ins[i]);
    let ins: Vec<String> = ins.map(|i| format!("{}x{}x{}", i.h, i.w, i.c)).collect();
    let border = match step.pad {
        [0, 0, 0, 0] => String::new(),
        [t, b, l, r] => format!(" (border {t} {b} {l} {r})"),
    };
    let channels = if cx.node.shape.c == out.c {
        out.c.to_string()
    } else {
        let end = step.channel + cx.node.shape.c;
        format!("{}, channels {}..{end}", out.c, step.channel)
    };
    format!(
        " Layer {}: {}. In {}{border}, out {}x{}x{channels}, f32 HWC.",
        step.layer,
        body.what,
        ins.join(" and "),
        out.h,
        out.w,
    )
}

/// The call of a layer function.
struct Call {
    /// The function.
    name: Ident,
    /// Names of the inputs.
    inputs: Vec<TokenStream>,
    /// The argument with the packed weights, and a comma.
    weights: TokenStream,
    /// Where inputs and output lie.
    places: Places,
    /// Clears the padding of the output's buffer, where it has any.
    clear: TokenStream,
    sharing: Sharing,
    /// The row of the output's buffer in which the first row lies.
    first: usize,
    /// Values of a row of the output, padding included.
    row: TokenStream,
    /// Output channels.
    channels: TokenStream,
    /// The output's only pixel, where channels are shared.
    pixel: TokenStream,
    /// Runtime type that says how rows and working memory are split.
    split: Option<Ident>,
}

impl Call {
    fn new(scope: &Scope, cx: &LayerCx, number: usize, body: &Body) -> Self {
        let (step, out) = (cx.step, cx.out);
        let inputs: Vec<TokenStream> = cx.taken().map(|i| cx.x(i)).collect();
        let weights = if body.weights {
            let range = scope.weights(&cx.node.name, cx.uses);
            let some = cx.weights(&scope.parts.packing).map(|r| {
                let (from, to) = (int(r.start), int(r.end));
                quote!([#from..#to])
            });
            quote!(&io.weights[#range]#some,)
        } else {
            TokenStream::new()
        };
        let clear = if out.is_padded() || out.zero_row {
            let to = buffer(step.out.buffer);
            quote!(io.arena.clear_padding(&#to);)
        } else {
            TokenStream::new()
        };
        let is_wide = matches!(body.sharing, Sharing::RowsWide(_));
        Self {
            name: ident(&step.name),
            places: Places::new(cx, number, &inputs),
            inputs,
            weights,
            clear,
            sharing: body.sharing,
            first: out.first,
            row: int(out.row),
            channels: int(out.c),
            pixel: out.pixels_mut(),
            split: is_wide.then(|| cx.uses.name(from::TEAM, "Split")),
        }
    }

    /// Statements that compute `rows`: clear padding before the first ones, take inputs and output, share the
    /// work.
    fn statements(&self, rows: &TokenStream) -> TokenStream {
        let is_variable = rows.to_string() == "rows";
        if self.first > 0 && !is_variable {
            // Rows count from the first that the layer writes; others lie above it in the buffer.
            let statements = self.statements(&quote!(rows));
            return quote!({ let rows = #rows; #statements });
        }
        let clear = &self.clear;
        let clear = if clear.is_empty() || !is_variable {
            clear.clone()
        } else {
            quote!(if rows.start == 0 { #clear })
        };
        let range = match (is_variable, self.first) {
            (true, 0) => quote!(&rows),
            (false, _) => quote!(&(#rows)),
            (true, first) => {
                let first = int(first);
                quote!(&(rows.start + #first..rows.end + #first))
            }
        };
        let works = matches!(self.sharing, Sharing::Own | Sharing::RowsWide(_));
        let (take, share) = (self.places.take(&range, works), self.share(rows));
        quote! { #clear #take #share }
    }

    /// The call itself, by a team.
    fn share(&self, rows: &TokenStream) -> TokenStream {
        let Self {
            name,
            weights: w,
            row,
            channels,
            pixel,
            split,
            ..
        } = self;
        let xs = &self.inputs;
        match self.sharing {
            Sharing::Rows => quote! {
                io.team.rows(#rows, #row, y, |rows, y| #name(#(#xs,)* #w y, rows));
            },
            Sharing::RowsWide(wide) => {
                let wide = int(wide);
                quote! {
                    let split = #split { row_floats: #row, scratch_floats: #wide };
                    io.team.rows_scratch(#rows, split, y, scratch, |rows, y, wide| {
                        #name(#(#xs,)* #w wide, y, rows)
                    });
                }
            }
            Sharing::Channels => quote! {
                io.team.rows(0..#channels, 1, #pixel, |channels, y| #name(#(#xs,)* #w y, channels));
            },
            Sharing::Own => quote!(#name(io.team, #(#xs,)* #w scratch, y, #rows);),
        }
    }
}
