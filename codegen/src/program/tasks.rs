//! Tasks of the stages, and the tail.

use proc_macro2::TokenStream;
use quote::quote;
use tessera_plan::{
    graph::TensorIx,
    plan::{Stage, Tile},
    region::Region,
};

use super::{Cx, chain, stage};
use crate::names::{ident, int};

/// Every tile of every stage, in the order of task ids.
pub(super) fn tasks(cx: &Cx) -> TokenStream {
    let stages = cx.scope.plan.dataflow.stages.iter().enumerate();
    stages
        .flat_map(|(s, stage)| stage.tiles.iter().map(move |tile| task(cx, s, stage, tile)))
        .collect()
}

fn task(cx: &Cx, number: usize, of: &Stage, tile: &Tile) -> TokenStream {
    let class = ident(&cx.scope.parts.stages[number][tile.class].name);
    let module = cx.uses.name("super", &stage(number).to_string());
    let (inputs, outputs) = (
        ports(cx, &of.inputs, &tile.inputs, &tile.takes),
        ports(cx, &of.outputs, &tile.outputs, &tile.gives),
    );
    let chain = chain(cx, &quote!(#module::#class), tile.macs);
    let ty = cx.ty("TaskSpec");
    let [stage, row, col, home] = [number, tile.row, tile.col, tile.home.into()].map(int);
    quote! {
        #ty {
            stage: #stage,
            row: #row,
            col: #col,
            home: #home,
            inputs: &[#inputs],
            outputs: &[#outputs],
            #chain
        },
    }
}

/// Tensors and the regions of them that a task reads or makes, and whole strips, by their numbers.
fn ports(cx: &Cx, tensors: &[TensorIx], regions: &[Region], strips: &[usize]) -> TokenStream {
    let each = tensors.iter().zip(regions).map(|(t, r)| {
        let (ty, tensor, region) = (cx.ty("Port"), cx.tensor(*t), region(cx, r));
        quote!(#ty { tensor: #tensor, region: #region })
    });
    let strips = strips.iter().map(|t| {
        let shape = cx.scope.plan.dataflow.tensors[*t].shape;
        let (ty, tensor, region) = (cx.ty("Port"), int(*t), region(cx, &Region::whole(shape)));
        quote!(#ty { tensor: #tensor, region: #region })
    });
    let all = each.chain(strips);
    quote!(#(#all),*)
}

fn region(cx: &Cx, r: &Region) -> TokenStream {
    let ty = cx.ty("Region");
    if r.is_empty() {
        return quote!(#ty::EMPTY);
    }
    let [y0, y1, x0, x1, c0, c1] = [r.y.lo, r.y.hi, r.x.lo, r.x.hi, r.c.lo, r.c.hi].map(int);
    quote!(#ty::new([#y0, #y1], [#x0, #x1], [#c0, #c1]))
}

/// The first task of every stage, and their number.
pub(super) fn starts(cx: &Cx) -> TokenStream {
    let mut first = 0;
    let mut starts = vec![int(0)];
    for s in &cx.scope.plan.dataflow.stages {
        first += s.tiles.len();
        starts.push(int(first));
    }
    quote!(#(#starts),*)
}

/// What the gateway computes.
pub(super) fn tail(cx: &Cx) -> TokenStream {
    let tail = &cx.scope.plan.dataflow.tail;
    let (ty, module) = (cx.ty("TailSpec"), cx.uses.name("super", "tail"));
    let inputs = tail.inputs.iter().map(|t| cx.tensor(*t));
    let outputs = tail.outputs.iter().map(|t| cx.tensor(*t));
    let chain = chain(cx, &quote!(#module), cx.scope.parts.tail.macs);
    quote! {
        #ty {
            inputs: &[#(#inputs),*],
            outputs: &[#(#outputs),*],
            #chain
        }
    }
}
