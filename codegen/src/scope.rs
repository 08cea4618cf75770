//! What all modules of a program share.

use proc_macro2::TokenStream;
use quote::quote;
use tessera_plan::plan::{Isa, Plan, TargetPlan};

use crate::{names::upper, uses::Uses};

/// A program being emitted: a plan that passed its check, for one of its targets.
pub(crate) struct Scope<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Name of the target.
    pub target: &'a str,
    /// The target's part of the plan.
    pub parts: &'a TargetPlan,
    /// Instruction set of the kernels.
    pub isa: Isa,
    /// Path of the program's module inside the crate: `crate` or `crate::p0`.
    pub root: String,
}

impl Scope<'_> {
    /// `layout::L02_CONV`: where a node's packed weights lie.
    pub fn weights(&self, node: &str, uses: &Uses) -> TokenStream {
        let (layout, constant) = (uses.name(&self.root, "layout"), upper(node));
        quote!(#layout::#constant)
    }
}
