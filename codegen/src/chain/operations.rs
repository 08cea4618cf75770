//! A chain's operations by the plan's numbers: loads, then layers, then stores.

use proc_macro2::TokenStream;
use quote::quote;
use tessera_plan::plan::{Chain, Place};

use super::buffers::view;
use crate::{
    layer::Layer,
    names::{buffer, int},
    uses::Uses,
};

/// What every operation does with given rows.
pub(super) struct Operations<'a> {
    chain: &'a Chain,
    layers: &'a [Option<Layer>],
    uses: &'a Uses,
}

impl<'a> Operations<'a> {
    /// The operations of a chain. `layers` has the code of each step, `None` for steps that never fire.
    pub fn new(chain: &'a Chain, layers: &'a [Option<Layer>], uses: &'a Uses) -> Self {
        Self {
            chain,
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

    fn load(&self, k: usize, rows: &TokenStream) -> TokenStream {
        let Some(v) = &self.chain.loads[k] else {
            return TokenStream::new();
        };
        let (whole, k, b) = (
            v.h == self.chain.buffers[v.buffer].h,
            int(k),
            buffer(v.buffer),
        );
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
        let (k, b, v) = (int(k), buffer(v.buffer), view(v, self.uses));
        quote!(io.store(#k, &#b, #v, #rows);)
    }
}
