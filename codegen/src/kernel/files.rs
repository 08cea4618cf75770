//! The folder of an emitted crate's kernels: a module per kernel, and `mod.rs`.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use tessera_plan::plan::{ConvKernel, Isa};

use super::{assembly, halves, module, name};
use crate::{EmitError, cpu, header, module::Module, names::ident, uses::Uses};

/// A file of the folder.
pub(crate) struct File {
    /// Name of the module. The names of its assembly files begin with it.
    pub name: String,
    /// Content of the module.
    pub module: Module,
    /// Assembly that the module includes: the endings of the files' names, and their texts.
    pub assembly: Vec<(String, String)>,
}

/// What `mod.rs` may hold beside the processor check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Helper {
    /// `call`: calls a driver, where drivers use more than the target's baseline.
    Call,
    /// `widen`: makes weights in half precision float32.
    Widen,
}

/// All files of the folder.
///
/// # Errors
/// When two different kernels have the same name.
pub(crate) fn files(
    kernels: &BTreeSet<(ConvKernel, usize)>,
    isa: Isa,
    target: &str,
    helpers: &[Helper],
) -> Result<Vec<File>, EmitError> {
    let mut by_name = BTreeMap::new();
    for (k, channels) in kernels {
        let name = name(k, isa, *channels);
        if by_name.insert(name.clone(), (k, *channels)).is_some() {
            return Err(EmitError::KernelName { name });
        }
    }
    let file = |(name, (k, channels)): (&String, &(&ConvKernel, usize))| {
        kernel(k, isa, *channels, name, target)
    };
    let mut files: Vec<File> = by_name.iter().map(file).collect();
    files.push(File {
        name: "mod".into(),
        module: root(&by_name, isa, target, helpers),
        assembly: Vec::new(),
    });
    Ok(files)
}

fn kernel(k: &ConvKernel, isa: Isa, channels: usize, name: &str, target: &str) -> File {
    let docs = header::shared_docs(&format!("Microkernel `{name}`."), target);
    let head: String = docs.iter().map(|line| format!("@ {line}\n")).collect();
    let assembly = assembly(k, isa, channels).into_iter();
    let uses = Uses::default();
    let items = module(k, isa, channels, &uses);
    File {
        name: name.to_owned(),
        assembly: assembly
            .map(|(end, text)| (end, head.clone() + &text))
            .collect(),
        module: Module {
            docs,
            forbids_unsafe: false,
            uses,
            items,
        },
    }
}

/// `mod.rs`.
fn root(
    by_name: &BTreeMap<String, (&ConvKernel, usize)>,
    isa: Isa,
    target: &str,
    helpers: &[Helper],
) -> Module {
    let uses = Uses::default();
    // Winograd kernels are called by the path of their module, which has two functions.
    let names = |direct: bool| -> Vec<Ident> {
        let all = by_name
            .iter()
            .filter(|(_, (k, _))| k.algorithm.is_direct() == direct);
        all.map(|(n, _)| ident(n)).collect()
    };
    let (direct, modules) = (names(true), names(false));
    let helpers: TokenStream = helpers
        .iter()
        .map(|h| match h {
            Helper::Call => cpu::call(isa, &uses),
            Helper::Widen => halves::widen(isa, &uses),
        })
        .collect();
    let assert = if by_name.is_empty() && helpers.is_empty() {
        TokenStream::new()
    } else {
        cpu::assert(isa)
    };
    let check = cpu::check(isa, &uses);
    Module {
        docs: header::shared_docs(
            "Microkernels: one row of pixels, one block of channels.",
            target,
        ),
        forbids_unsafe: false,
        uses,
        items: quote! {
            #(mod #direct;)*
            #(pub mod #modules;)*
            #(pub use #direct::#direct;)*
            #check
            #assert
            #helpers
        },
    }
}
