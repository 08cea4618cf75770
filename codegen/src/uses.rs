//! What an emitted module imports.
//!
//! A name that needs an import is printed through [`Uses`], which hands out the name and keeps the import. So
//! no module misses an import or has an idle one, and nobody looks through printed text for names.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;

/// Modules of the runtime and of the standard library that emitted code imports from.
pub(crate) mod from {
    pub const OPS: &str = "std::ops";
    pub const IO: &str = "tessera_runtime::io";
    pub const ORDER: &str = "tessera_runtime::order";
    pub const PROGRAM: &str = "tessera_runtime::program";
    pub const STRIP: &str = "tessera_runtime::strip";
    pub const TEAM: &str = "tessera_runtime::team";
    pub const ARCH: &str = "std::arch";
    pub const AARCH64: &str = "std::arch::aarch64";
    pub const X86_64: &str = "std::arch::x86_64";
    pub const SYNC: &str = "std::sync";
    /// The emitted crate itself.
    pub const CRATE: &str = "crate";
}

/// Imports of one module, and the scalar functions of `math.rs` that it calls.
#[derive(Clone, Debug, Default)]
pub struct Uses {
    /// Names by the module they come from; [`EVERYTHING`] stands for all of a module's.
    names: RefCell<BTreeMap<String, BTreeSet<String>>>,
    math: RefCell<BTreeSet<String>>,
}

const EVERYTHING: &str = "*";

impl Uses {
    /// `name`, which the module imports from `module`.
    pub(crate) fn name(&self, module: &str, name: &str) -> Ident {
        self.add(module, name);
        Ident::new(name, Span::call_site())
    }

    /// Imports all names of `module`: intrinsics, of which kernels print dozens.
    pub(crate) fn everything(&self, module: &str) {
        self.add(module, EVERYTHING);
    }

    /// `math::function`.
    pub(crate) fn math(&self, function: &str) -> TokenStream {
        self.math.borrow_mut().insert(function.to_owned());
        let (math, function) = (
            self.name(from::CRATE, "math"),
            Ident::new(function, Span::call_site()),
        );
        quote!(#math::#function)
    }

    fn add(&self, module: &str, name: &str) {
        let mut names = self.names.borrow_mut();
        names
            .entry(module.to_owned())
            .or_default()
            .insert(name.to_owned());
    }

    /// `use` items, one per module, sorted.
    pub(crate) fn items(&self) -> TokenStream {
        let names = self.names.borrow();
        names
            .iter()
            .map(|(module, names)| item(module, names))
            .collect()
    }

    /// The scalar functions that are called.
    pub(crate) fn into_math(self) -> BTreeSet<String> {
        self.math.into_inner()
    }
}

fn item(module: &str, names: &BTreeSet<String>) -> TokenStream {
    let ident = |name: &str| Ident::new(name, Span::call_site());
    let path: Vec<Ident> = module.split("::").map(ident).collect();
    if names.contains(EVERYTHING) {
        return quote!(use #(#path)::*::*;);
    }
    let list: Vec<Ident> = names.iter().map(|n| ident(n)).collect();
    match list.as_slice() {
        [one] => quote!(use #(#path)::*::#one;),
        all => quote!(use #(#path)::*::{#(#all),*};),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_imported_once() {
        let uses = Uses::default();
        assert_eq!(uses.name(from::IO, "View").to_string(), "View");
        uses.name(from::IO, "Buffer");
        uses.name(from::IO, "Buffer");
        assert_eq!(uses.math("mish").to_string(), "math :: mish");
        uses.everything(from::AARCH64);
        let want = quote! {
            use crate::math;
            use std::arch::aarch64::*;
            use tessera_runtime::io::{Buffer, View};
        };
        assert_eq!(uses.items().to_string(), want.to_string());
        assert_eq!(uses.into_math(), BTreeSet::from(["mish".to_owned()]));
    }
}
