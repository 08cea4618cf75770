//! A chain's operations by the plan's numbers: loads, then layers, then stores.

use proc_macro2::TokenStream;
use quote::quote;
use tessera_plan::{
    graph::TensorIx,
    plan::{Chain, Place},
};

use super::buffers::view;
use crate::{
    layer::Layer,
    names::{buffer, int},
    program,
    scope::Scope,
    uses::Uses,
};

/// What every operation does with given rows.
pub(super) struct Operations<'a> {
    chain: &'a Chain,
    /// Per input, and per output, its scales, if it is of bytes that have some.
    scales: [Vec<Option<TokenStream>>; 2],
    layers: &'a [Option<Layer>],
    uses: &'a Uses,
}

impl<'a> Operations<'a> {
    /// The operations of a chain, which reads the first of `ports` and makes the second. `layers` has the code of each step, `None` for steps that never fire.
    pub fn new(
        scope: &Scope,
        chain: &'a Chain,
        ports: [&[TensorIx]; 2],
        layers: &'a [Option<Layer>],
        uses: &'a Uses,
    ) -> Self {
        let used = [&chain.loads, &chain.stores];
        // Only what is loaded or stored is imported.
        let of = |k: usize| {
            let moved = ports[k].iter().zip(used[k]);
            let scales = |(t, view): (&TensorIx, &Option<_>)| {
                view.as_ref()
                    .and_then(|_| program::scales_of(scope, *t, uses))
            };
            moved.map(scales).collect()
        };
        Self {
            chain,
            scales: [of(0), of(1)],
            layers,
            uses,
        }
    }

    /// Number of operations.
    pub fn len(&self) -> usize {
        self.chain.loads.len() + self.layers.len() + self.chain.stores.len()
    }

    /// Statements of operation `number` for `rows`, an expression without side effects.
    pub fn call(&self, number: usize, rows: &TokenStream) -> TokenStream {
        let (loads, layers) = (self.chain.loads.len(), self.layers.len());
        if number < loads {
            self.load(number, rows)
        } else if let Some(layer) = self.layers.get(number - loads) {
            layer.as_ref().map(|l| l.call(rows)).unwrap_or_default()
        } else {
            self.store(number - loads - layers, rows)
        }
    }

    fn load(&self, number: usize, rows: &TokenStream) -> TokenStream {
        let Some(v) = &self.chain.loads[number] else {
            return TokenStream::new();
        };
        let (whole, k, b) = (
            v.h == self.chain.buffers[v.buffer].h,
            int(number),
            buffer(v.buffer),
        );
        // A part of a map that a step makes otherwise.
        if self.chain.steps.iter().any(|s| s.out.buffer == v.buffer) {
            let v = view(v, self.uses);
            return quote!(io.load_box(#k, &#b, #v, #rows););
        }
        if let Some(scales) = self.scales[0].get(number).and_then(Option::as_ref) {
            let first = if whole { int(0) } else { int(v.y) };
            return quote!(io.load_scaled(#k, &#b, #first, #rows, &#scales););
        }
        if whole {
            return quote!(io.load(#k, &#b, #rows););
        }
        let first = int(v.y);
        quote!(io.load_rows(#k, &#b, #first, #rows);)
    }

    fn store(&self, k: usize, rows: &TokenStream) -> TokenStream {
        let Some(v) = &self.chain.stores[k] else {
            return TokenStream::new();
        };
        debug_assert!(
            !matches!(self.chain.buffers[v.buffer].place, Place::Output(_)),
            "what is written where it is handed over is not stored"
        );
        let scales = self.scales[1].get(k).and_then(Option::as_ref);
        let (k, b, v) = (int(k), buffer(v.buffer), view(v, self.uses));
        if let Some(scales) = scales {
            return quote!(io.store_scaled(#k, &#b, #v, #rows, &#scales););
        }
        quote!(io.store(#k, &#b, #v, #rows);)
    }
}
