//! `program.rs`, the constant that tells the runtime of a program, and `layout.rs`.

mod heads;
mod layout;
mod scales;
mod tasks;

use std::collections::BTreeMap;

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use tessera_plan::{
    graph::{Darknet, TensorIx},
    plan::{ElementType, Isa, Placement, Tensor},
};

use crate::{
    cpu, header,
    module::Module,
    names::{hex32, ident, int, int64},
    scope::Scope,
    uses::{Uses, from},
};

pub(crate) use layout::module as layout;
pub(crate) use scales::{module as scales, of as scales_of};

/// What all parts of the constant look up.
struct Cx<'a> {
    scope: &'a Scope<'a>,
    uses: &'a Uses,
    /// Numbers of the tensors that cross a boundary.
    tensors: BTreeMap<TensorIx, usize>,
}

impl Cx<'_> {
    /// The runtime's name of one of its types.
    fn ty(&self, name: &str) -> Ident {
        self.uses.name(from::PROGRAM, name)
    }

    /// The number of a tensor that crosses a boundary.
    fn tensor(&self, t: TensorIx) -> TokenStream {
        int(self.tensors[&t])
    }
}

/// `program.rs` of the program called `name`.
pub(crate) fn module(scope: &Scope, name: &str) -> Module {
    let (flow, network) = (&scope.plan.dataflow, &scope.plan.network);
    let uses = Uses::default();
    let maps = flow.tensors.iter().enumerate();
    let numbers = maps.filter(|(_, t)| !t.is_strip()).map(|(i, t)| (t.id, i));
    let cx = Cx {
        scope,
        uses: &uses,
        tensors: numbers.collect(),
    };
    let [hash, digest] = [&scope.plan.hash, &flow.digest].map(|h| bytes(&hex32(h)));
    let tensors = flow.tensors.iter().map(|t| tensor(&cx, t));
    let (tasks, starts, tail) = (tasks::tasks(&cx), tasks::starts(&cx), tasks::tail(&cx));
    let (heads, nms) = (heads::heads(&cx), heads::nms(&cx));
    let (sections, target) = (sections(&cx), scope.target);
    let (placement, boards) = (placement(&cx), int(flow.boards));
    let frames_in_flight = int(flow.frames_in_flight);
    let letterbox = network.letterbox;
    let one = network.darknet == Darknet::Alexey;
    let (ty, kernels) = (cx.ty("Program"), uses.name(from::CRATE, "kernels"));
    let items = quote! {
        /// What the runtime must know of the model.
        pub static PROGRAM: #ty = #ty {
            name: #name,
            target: #target,
            plan_hash: #hash,
            model_digest: #digest,
            tensors: &[#(#tensors),*],
            tasks: &[#tasks],
            placement: #placement,
            boards: #boards,
            frames_in_flight: #frames_in_flight,
            stage_starts: &[#starts],
            tail: #tail,
            heads: &[#heads],
            nms: #nms,
            letterbox: #letterbox,
            region_objectness_one: #one,
            sections: &[#sections],
            check_cpu: #kernels::check_cpu,
        };
    };
    Module {
        docs: header::docs(
            "What the runtime must know of the model.",
            scope.plan,
            scope.target,
        ),
        forbids_unsafe: true,
        uses,
        items,
    }
}

fn tensor(cx: &Cx, t: &Tensor) -> TokenStream {
    let layer = int(t.layer.unsigned_abs() as usize);
    let minus = (t.layer < 0).then(|| quote!(-));
    let [h, w, c] = [t.shape.h, t.shape.w, t.shape.c].map(int);
    let (ty, types) = (cx.ty("TensorSpec"), cx.ty("ElementType"));
    let element = match t.element {
        ElementType::U8 => quote!(#types::U8),
        ElementType::F16 => quote!(#types::F16),
        ElementType::F32 => quote!(#types::F32),
    };
    let known = (!t.is_strip()).then(|| scales_of(cx.scope, t.id, cx.uses));
    let scales = match known.flatten() {
        Some(scales) => quote!(Some(&#scales)),
        None => quote!(None),
    };
    quote! {
        #ty { layer: #minus #layer, h: #h, w: #w, c: #c, element: #element, scales: #scales }
    }
}

fn placement(cx: &Cx) -> TokenStream {
    let ty = cx.ty("Placement");
    match cx.scope.plan.dataflow.placement {
        Placement::Home => quote!(#ty::Home),
        Placement::Steal => quote!(#ty::Steal),
        Placement::StealIdle => quote!(#ty::StealIdle),
        Placement::Queue => quote!(#ty::Queue),
        Placement::QueueIdle => quote!(#ty::QueueIdle),
        Placement::Share => quote!(#ty::Share),
    }
}

fn sections(cx: &Cx) -> TokenStream {
    let each = cx.scope.parts.sections.iter().map(|s| {
        let ty = cx.ty("SectionSpec");
        let (name, offset, floats) = (&s.name, int(s.offset), int(s.floats));
        quote!(#ty { name: #name, offset: #offset, floats: #floats })
    });
    quote!(#(#each),*)
}

/// A chain's driver as a safe function.
fn run(isa: Isa, driver: &TokenStream, kernels: &Ident) -> TokenStream {
    if cpu::is_baseline(isa) {
        driver.clone()
    } else {
        quote!(|io| #kernels::call(#driver, io))
    }
}

/// Name of a stage's module.
fn stage(number: usize) -> Ident {
    ident(&format!("s{number}"))
}

/// Where a chain lies: its `ARENA_FLOATS`, multiply-adds of one run, and its driver.
fn chain(cx: &Cx, path: &TokenStream, macs: u64) -> TokenStream {
    let kernels = cx.uses.name(from::CRATE, "kernels");
    let (macs, run) = (
        int64(macs),
        run(cx.scope.isa, &quote!(#path::run), &kernels),
    );
    quote! {
        arena_floats: #path::ARENA_FLOATS,
        macs: #macs,
        run: #run,
    }
}

fn bytes(b: &[u8; 32]) -> TokenStream {
    let lits = b.iter().map(|b| {
        let l = syn::LitInt::new(&format!("0x{b:02x}"), proc_macro2::Span::call_site());
        quote!(#l)
    });
    quote!([#(#lits),*])
}
