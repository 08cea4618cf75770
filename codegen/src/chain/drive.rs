//! A chain's `run`: its operations in the order of the plan.

use proc_macro2::TokenStream;
use quote::quote;
use tessera_plan::plan::{Firing, Order};

use super::operations::Operations;
use crate::{
    names::int,
    uses::{Uses, from},
};

/// The driver.
pub(super) struct Drive {
    /// The constant `ORDER`, where operations fire more than once.
    pub order: Option<TokenStream>,
    /// The body of `run`.
    pub body: TokenStream,
}

/// Emits the driver.
///
/// Operations that fire once each are written one below the other. Otherwise the order is a
/// constant, and `run` calls what its firings name.
pub(super) fn emit(order: &Order, ops: &Operations, uses: &Uses) -> Drive {
    if order.repeats == 0 && once_each(&order.prologue) && order.epilogue.is_empty() {
        let call = |f: &Firing| {
            let (first, end) = (int(f.first), int(f.first + f.rows));
            ops.call(f.op, &quote!(#first..#end))
        };
        return Drive {
            order: None,
            body: order.prologue.iter().map(call).collect(),
        };
    }
    Drive {
        order: Some(constant(order, uses)),
        body: calls(order, ops),
    }
}

/// `ORDER`.
fn constant(order: &Order, uses: &Uses) -> TokenStream {
    let ty = uses.name(from::ORDER, "Order");
    let [prologue, period, epilogue] =
        [&order.prologue, &order.period, &order.epilogue].map(|l| list(l, uses));
    let repeats = int(order.repeats);
    quote! {
        /// Firings: operation, first row, rows, and how far it moves down with every turn.
        const ORDER: #ty = #ty {
            prologue: #prologue,
            period: #period,
            repeats: #repeats,
            epilogue: #epilogue,
        };
    }
}

/// Every operation that fires, by its number.
fn calls(order: &Order, ops: &Operations) -> TokenStream {
    let mut fires = vec![false; ops.len()];
    for f in [&order.prologue, &order.period, &order.epilogue]
        .into_iter()
        .flatten()
    {
        fires[f.op] = true;
    }
    let arms = (0..ops.len()).filter(|i| fires[*i]).map(|i| {
        let (number, what) = (int(i), ops.call(i, &quote!(rows)));
        quote!(#number => { #what })
    });
    quote! {
        ORDER.run(&mut |op, rows| match op {
            #(#arms)*
            _ => unreachable!("operation {op}"),
        });
    }
}

fn once_each(firings: &[Firing]) -> bool {
    let mut seen: Vec<usize> = firings.iter().map(|f| f.op).collect();
    seen.sort_unstable();
    seen.windows(2).all(|w| w[0] != w[1])
}

fn list(firings: &[Firing], uses: &Uses) -> TokenStream {
    let each = firings.iter().map(|f| {
        let [op, first, rows, advance] = [f.op, f.first, f.rows, f.advance].map(int);
        let ty = uses.name(from::ORDER, "Firing");
        quote!(#ty::new([#op, #first, #rows, #advance]))
    });
    quote!(&[#(#each),*])
}
