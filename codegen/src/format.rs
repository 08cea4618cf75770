//! Tokens to source text: prettyplease per item, blank lines between items, module docs in front.

use proc_macro2::TokenStream;

use crate::EmitError;

/// A module's source: `docs` as `//!` lines, then inner attributes and items.
///
/// # Errors
/// [`EmitError::Syntax`] when the tokens are not a file of Rust items: an error of this crate.
pub fn module(path: &str, docs: &[String], tokens: TokenStream) -> Result<Vec<u8>, EmitError> {
    let file: syn::File = syn::parse2(tokens).map_err(|source| EmitError::Syntax {
        path: path.to_owned(),
        source,
    })?;
    let mut out = String::new();
    for line in docs {
        out.push_str(if line.is_empty() { "//!" } else { "//! " });
        out.push_str(line);
        out.push('\n');
    }
    let mut last = Kind::Head;
    if !file.attrs.is_empty() {
        out.push_str(&unparse(file.attrs, Vec::new()));
    }
    for item in file.items {
        let kind = Kind::of(&item);
        let together = kind == last && matches!(kind, Kind::Use | Kind::Mod | Kind::Const);
        if !together && !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&unparse(Vec::new(), vec![item]));
        last = kind;
    }
    Ok(out.into_bytes())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Head,
    Use,
    Mod,
    Const,
    Other,
}

impl Kind {
    fn of(item: &syn::Item) -> Self {
        match item {
            syn::Item::Use(_) => Self::Use,
            syn::Item::Mod(_) => Self::Mod,
            syn::Item::Const(c) if c.attrs.is_empty() => Self::Const,
            _ => Self::Other,
        }
    }
}

fn unparse(attrs: Vec<syn::Attribute>, items: Vec<syn::Item>) -> String {
    prettyplease::unparse(&syn::File {
        shebang: None,
        attrs,
        items,
    })
}
