//! A chain's `run`: its operations in the order of the plan.

use proc_macro2::TokenStream;
use quote::quote;
use tessera_plan::plan::{Firing, Order};

use crate::{chain::Operation, names::int};

/// The driver.
pub(crate) struct Drive {
    /// The constant `ORDER`, where operations fire more than once.
    pub order: Option<TokenStream>,
    /// The body of `run`.
    pub body: TokenStream,
}

/// Emits the driver; `None` if the order names an operation that is not there.
///
/// Operations that fire once each are written one below the other. Otherwise the order is a
/// constant, and `run` calls what its firings name.
pub(crate) fn emit(order: &Order, ops: &[Operation]) -> Option<Drive> {
    if order.repeats == 0 && once_each(&order.prologue) && order.epilogue.is_empty() {
        let mut body = TokenStream::new();
        for f in &order.prologue {
            let (first, end) = (int(f.first), int(f.first + f.rows));
            body.extend(ops.get(f.op)?(quote!(#first..#end)));
        }
        return Some(Drive { order: None, body });
    }
    let mut arms = TokenStream::new();
    let mut fires = vec![false; ops.len()];
    for f in [&order.prologue, &order.period, &order.epilogue]
        .into_iter()
        .flatten()
    {
        *fires.get_mut(f.op)? = true;
    }
    for (i, op) in ops.iter().enumerate().filter(|(i, _)| fires[*i]) {
        let (i, what) = (int(i), op(quote!(rows)));
        arms.extend(quote!(#i => { #what }));
    }
    let [prologue, period, epilogue] =
        [&order.prologue, &order.period, &order.epilogue].map(|l| list(l));
    let repeats = int(order.repeats);
    Some(Drive {
        order: Some(quote! {
            /// Firings: operation, first row, rows, and how far it moves down with every turn.
            const ORDER: Order = Order {
                prologue: #prologue,
                period: #period,
                repeats: #repeats,
                epilogue: #epilogue,
            };
        }),
        body: quote! {
            ORDER.run(&mut |op, rows| match op {
                #arms
                _ => unreachable!("operation {op}"),
            });
        },
    })
}

fn once_each(firings: &[Firing]) -> bool {
    let mut seen: Vec<usize> = firings.iter().map(|f| f.op).collect();
    seen.sort_unstable();
    seen.windows(2).all(|w| w[0] != w[1])
}

fn list(firings: &[Firing]) -> TokenStream {
    let each = firings.iter().map(|f| {
        let [op, first, rows, advance] = [f.op, f.first, f.rows, f.advance].map(int);
        quote!(Firing::new([#op, #first, #rows, #advance]))
    });
    quote!(&[#(#each),*])
}
