//! Names and literals of emitted code: identifiers, digit groups, index arithmetic.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use tessera_plan::plan::BufferIx;

/// An identifier. Names come from the planner, which makes only valid ones; anything else is
/// turned into `_` so that no plan can make this panic.
pub fn ident(name: &str) -> Ident {
    Ident::new(&snake(name), Span::call_site())
}

/// `name` as an identifier in lower case: every character that cannot stand in one becomes `_`.
pub fn snake(name: &str) -> String {
    let mut s: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '_'
            }
        })
        .collect();
    if !s.starts_with(|c: char| c.is_ascii_alphabetic()) {
        s.insert_str(0, "m_");
    }
    if s.ends_with('_') || syn::parse_str::<Ident>(&s).is_err() {
        s.push('x');
    }
    s
}

/// `name` as a constant's identifier.
pub fn upper(name: &str) -> Ident {
    Ident::new(&snake(name).to_ascii_uppercase(), Span::call_site())
}

/// Name of a buffer's constant.
pub fn buffer(buffer: BufferIx) -> Ident {
    upper(&format!("b{}", buffer.0))
}

/// `name` as a Cargo package name.
pub fn package(name: &str) -> String {
    let s: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' || c == '_' {
                c
            } else {
                '_'
            }
        })
        .collect();
    if s.starts_with(|c: char| c.is_ascii_alphabetic()) {
        s
    } else {
        format!("m{s}")
    }
}

/// Digits in groups of three: `18_496`.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (i, d) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('_');
        }
        out.push(d);
    }
    out
}

/// An integer literal with digit groups and no suffix.
pub fn int(n: usize) -> TokenStream {
    let lit = syn::LitInt::new(&grouped(n as u64), Span::call_site());
    quote!(#lit)
}

/// A 64-bit integer literal with digit groups.
pub fn int64(n: u64) -> TokenStream {
    let lit = syn::LitInt::new(&grouped(n), Span::call_site());
    quote!(#lit)
}

/// The shortest literal that reads back as `v`. Non-finite values are named constants.
pub fn float(v: f32) -> TokenStream {
    if v.is_nan() {
        return quote!(f32::NAN);
    }
    if v.is_infinite() {
        return if v > 0.0 {
            quote!(f32::INFINITY)
        } else {
            quote!(f32::NEG_INFINITY)
        };
    }
    let lit = syn::LitFloat::new(&format!("{:?}", v.abs()), Span::call_site());
    if v.is_sign_negative() {
        quote!(-#lit)
    } else {
        quote!(#lit)
    }
}

/// Widest emitted comment, so that the printer keeps it on one line.
const COMMENT_WIDTH: usize = 72;

/// 32 bytes from 64 hex digits.
///
/// # Panics
/// If they are none: plans that pass their check have none but such hashes.
pub(crate) fn hex32(s: &str) -> [u8; 32] {
    let mut out = [0; 32];
    hex::decode_to_slice(s, &mut out).expect("a checked hash");
    out
}

/// `//` comment lines before a statement, wrapped. Tokens carry no comments, so they travel as calls
/// of a macro that does not exist; `format::module` turns them into comments.
pub fn comment(text: &str) -> TokenStream {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= COMMENT_WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    quote!(#(__comment!(#lines);)*)
}

/// `sum of var * factor, plus constant`, leaving out what is zero and factors of one, so that
/// emitted arithmetic is what a person would write. Every `var` is a single token or a call.
pub fn affine(terms: &[(TokenStream, usize)], constant: isize) -> TokenStream {
    let mut out = TokenStream::new();
    for (var, factor) in terms.iter().filter(|(_, f)| *f != 0) {
        if !out.is_empty() {
            out.extend(quote!(+));
        }
        out.extend(if *factor == 1 {
            var.clone()
        } else {
            let f = int(*factor);
            quote!(#var * #f)
        });
    }
    let magnitude = int(constant.unsigned_abs());
    match (out.is_empty(), constant) {
        (true, c) => {
            debug_assert!(c >= 0, "an index is never negative");
            magnitude
        }
        (false, 0) => out,
        (false, c) if c > 0 => quote!(#out + #magnitude),
        _ => quote!(#out - #magnitude),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_come_in_groups_of_three() {
        for (n, want) in [
            (0, "0"),
            (999, "999"),
            (1000, "1_000"),
            (1_234_567, "1_234_567"),
        ] {
            assert_eq!(grouped(n), want);
        }
    }

    #[test]
    fn names_are_identifiers() {
        for (name, want) in [
            ("l02_conv", "l02_conv"),
            ("yolo-fastest-1.1", "yolo_fastest_1_1"),
            ("2x2", "m_2x2"),
            ("fn", "fnx"),
            ("", "m_x"),
        ] {
            assert_eq!(ident(name).to_string(), want);
        }
        assert_eq!(package("yolo-fastest-1.1"), "yolo-fastest-1_1");
    }

    #[test]
    fn floats_read_back() {
        for v in [0.1_f32, -1.05, 1e-6, f32::MIN, f32::MAX, 16_777_216.0, 0.0] {
            let text = float(v).to_string().replace(' ', "");
            assert_eq!(text.parse::<f32>().unwrap(), v, "{text}");
        }
    }

    #[test]
    fn affine_leaves_out_nothing_but_noise() {
        let row = quote!(row);
        let check = |f, c, want: &str| {
            assert_eq!(affine(&[(row.clone(), f)], c).to_string(), want);
        };
        check(1, 0, "row");
        check(2, 3, "row * 2 + 3");
        check(2, -3, "row * 2 - 3");
        check(0, 7, "7");
    }
}
