//! An emitted module before it becomes text.

use proc_macro2::TokenStream;
use quote::quote;

use crate::{EmitError, format, uses::Uses};

/// A file of an emitted crate.
pub(crate) struct Module {
    /// Lines of the module's docs.
    pub docs: Vec<String>,
    /// Whether it says that it forbids unsafe code: what computes says so, but for kernels, which may have some.
    pub forbids_unsafe: bool,
    /// What the items import.
    pub uses: Uses,
    /// Items, imports left out.
    pub items: TokenStream,
}

impl Module {
    /// The text of the file at `path`, which is named in errors.
    ///
    /// # Errors
    /// Only by an error of this crate.
    pub fn source(&self, path: &str) -> Result<Vec<u8>, EmitError> {
        let forbid = if self.forbids_unsafe {
            quote!(#![forbid(unsafe_code)])
        } else {
            TokenStream::new()
        };
        let (uses, items) = (self.uses.items(), &self.items);
        format::module(path, &self.docs, quote!(#forbid #uses #items))
    }
}
