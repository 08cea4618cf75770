//! `layout.rs`: where every node's packed weights lie behind the header of `weights.bin`.

use quote::quote;

use crate::{
    header,
    module::Module,
    names::{int, upper},
    scope::Scope,
    uses::{Uses, from},
};

/// The module; `None` where a program has no weights.
pub(crate) fn module(scope: &Scope) -> Option<Module> {
    let (parts, uses) = (scope.parts, Uses::default());
    if parts.packing.is_empty() {
        return None;
    }
    let range = uses.name(from::OPS, "Range");
    let constants = parts.packing.iter().map(|p| {
        let (name, from, to) = (upper(&p.name), int(p.offset), int(p.offset + p.floats));
        let blocks = if p.nr > 0 {
            format!(", blocks of {} output channels", p.nr)
        } else {
            String::new()
        };
        let doc = format!(" In section {}{blocks}.", parts.sections[p.section].name);
        quote! {
            #[doc = #doc]
            pub const #name: #range<usize> = #from..#to;
        }
    });
    let items = quote!(#(#constants)*);
    Some(Module {
        docs: header::docs(
            "Where weights lie: float32 values behind the header of `weights.bin`.",
            scope.plan,
            scope.target,
        ),
        // A list of constants.
        forbids_unsafe: false,
        uses,
        items,
    })
}
