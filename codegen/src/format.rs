//! Tokens to source text: prettyplease per item, blank lines between items, module docs in front,
//! comments where [`crate::names::comment`] put them.

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
    Ok(comments(&out).into_bytes())
}

/// Turns the statements of [`crate::names::comment`] into comments, however they were laid out.
fn comments(source: &str) -> String {
    let mut parts = source.split("__comment!(");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let Some((text, rest)) = part.split_once(");") else {
            continue;
        };
        out.push_str("// ");
        out.push_str(text.trim().trim_end_matches(',').trim_matches('"'));
        out.push_str(rest);
    }
    out
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

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    #[test]
    fn comments_stand_before_their_statement() {
        let why = crate::names::comment(
            "a long reason that needs more than a single line of text to be given in full length",
        );
        let source = module("x.rs", &["Doc.".into()], quote!(fn f() { #why g(); })).unwrap();
        let want = "//! Doc.\n\nfn f() {\n    // a long reason that needs more than a single line of text to be given in\n    // full length\n    g();\n}\n";
        assert_eq!(String::from_utf8(source).unwrap(), want);
    }
}
