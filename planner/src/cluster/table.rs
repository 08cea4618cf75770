//! Reads values out of TOML tables, and says where something is wrong.

use std::{fmt::Display, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::cfg::{
    diag::{Diagnostic, Severity, Span},
    suggest,
};

/// Most diagnostics of one file.
const FOUND_MAX: usize = 100;

/// The text of a file, and what is wrong with it.
pub(super) struct Reader<'t> {
    text: &'t str,
    pub found: Vec<Diagnostic>,
}

/// A table, and where its head or its value stands.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a, 't> {
    pub table: &'a DeTable<'t>,
    pub span: &'a Range<usize>,
    /// What the table describes, as in `a board`.
    pub what: &'static str,
}

/// A value, and its bytes in the file.
#[derive(Clone, Debug)]
pub(super) struct Placed<T> {
    pub value: T,
    pub span: Range<usize>,
}

impl<'t> Reader<'t> {
    pub const fn new(text: &'t str) -> Self {
        Self {
            text,
            found: Vec::new(),
        }
    }

    /// Notes a mistake; drops it when the file has had too many.
    pub fn error(
        &mut self,
        span: &Range<usize>,
        message: impl Display,
        label: impl Display,
        help: impl Display,
    ) {
        if self.found.len() < FOUND_MAX {
            self.found.push(Diagnostic::new(
                Severity::Error,
                self.span(span),
                message.to_string(),
                label.to_string(),
                help.to_string(),
            ));
        }
    }

    /// The part of `bytes` that lies in its first line.
    pub fn span(&self, bytes: &Range<usize>) -> Span {
        let text = self.text.as_bytes();
        let start = bytes.start.min(text.len());
        let begin = text[..start].iter().rposition(|b| *b == b'\n');
        let begin = begin.map_or(0, |at| at + 1);
        let end = text[start..]
            .iter()
            .position(|b| matches!(b, b'\n' | b'\r'));
        let end = end.map_or(text.len(), |n| start + n);
        Span {
            start,
            end: bytes.end.clamp(start, end.max(start)),
            line: 1 + text[..start].iter().filter(|b| **b == b'\n').count(),
            column: 1 + start - begin,
        }
    }

    /// Refuses keys that are not in `known`.
    pub fn only(&mut self, fields: Fields<'_, '_>, known: &[&str]) {
        for key in fields.table.keys() {
            let name = key.get_ref().as_ref();
            if known.contains(&name) {
                continue;
            }
            let help = suggest::nearest(name, known).map_or_else(
                || format!("{} has {}", fields.what, known.join(", ")),
                |near| format!("was `{near}` meant?"),
            );
            self.error(
                &key.span(),
                format!("`{name}` is no key of {}", fields.what),
                "unknown key",
                help,
            );
        }
    }

    /// The value of `key`, if it is there and `read` takes it. `form` says what is expected, as in `a text`.
    fn value<T>(
        &mut self,
        fields: Fields<'_, '_>,
        key: &str,
        form: &str,
        read: impl Fn(&DeValue<'_>) -> Option<T>,
    ) -> Option<Placed<T>> {
        let (_, found) = fields.table.iter().find(|(k, _)| k.get_ref() == key)?;
        let span = found.span();
        let value = read(found.get_ref());
        if value.is_none() {
            self.error(&span, format!("`{key}` is {form}"), "not so here", "");
        }
        Some(Placed {
            value: value?,
            span,
        })
    }

    /// A text of 1 to 255 bytes.
    pub fn text(&mut self, fields: Fields<'_, '_>, key: &str) -> Option<Placed<String>> {
        self.value(fields, key, "a text of 1 to 255 bytes", |v| match v {
            DeValue::String(s) if (1..=255).contains(&s.len()) => Some(s.clone().into_owned()),
            _ => None,
        })
    }

    /// A text that `parse` understands.
    pub fn parsed<T, E: Display>(
        &mut self,
        fields: Fields<'_, '_>,
        key: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Placed<T>> {
        let Placed { value, span } = self.text(fields, key)?;
        match parse(&value) {
            Ok(value) => Some(Placed { value, span }),
            Err(e) => {
                self.error(&span, format!("`{key}`: {e}"), "", "");
                None
            }
        }
    }

    /// A whole number from `least` to `most`.
    pub fn whole(
        &mut self,
        fields: Fields<'_, '_>,
        key: &str,
        [least, most]: [usize; 2],
    ) -> Option<Placed<usize>> {
        let form = format!("a whole number from {least} to {most}");
        self.value(fields, key, &form, |v| match v {
            DeValue::Integer(n) => usize::from_str_radix(n.as_str(), n.radix())
                .ok()
                .filter(|n| (least..=most).contains(n)),
            _ => None,
        })
    }

    /// A number above 0 and at most `most`.
    pub fn number(&mut self, fields: Fields<'_, '_>, key: &str, most: u32) -> Option<Placed<f64>> {
        let form = format!("a number above 0 and at most {most}");
        self.value(fields, key, &form, |v| {
            let text = match v {
                DeValue::Float(n) => n.as_str(),
                DeValue::Integer(n) if n.radix() == 10 => n.as_str(),
                _ => return None,
            };
            let n: f64 = text.parse().ok()?;
            (n > 0.0 && n <= f64::from(most)).then_some(n)
        })
    }

    /// A number that `check` takes.
    pub fn checked<E: Display>(
        &mut self,
        fields: Fields<'_, '_>,
        key: &str,
        check: impl Fn(f64) -> Result<(), E>,
    ) {
        let number = self.value(fields, key, "a number", |v| match v {
            DeValue::Float(n) => n.as_str().parse::<f64>().ok(),
            DeValue::Integer(n) if n.radix() == 10 => n.as_str().parse().ok(),
            _ => None,
        });
        if let Some(Placed { value, span }) = number
            && let Err(e) = check(value)
        {
            self.error(&span, format!("`{key}`: {e}"), "", "");
        }
    }

    /// `true` or `false`.
    pub fn truth(&mut self, fields: Fields<'_, '_>, key: &str) -> Option<Placed<bool>> {
        self.value(fields, key, "true or false", |v| match v {
            DeValue::Boolean(b) => Some(*b),
            _ => None,
        })
    }

    /// A list of texts.
    pub fn texts(
        &mut self,
        fields: Fields<'_, '_>,
        key: &str,
    ) -> Option<Placed<Vec<Placed<String>>>> {
        self.value(fields, key, "a list of texts", |v| {
            let DeValue::Array(list) = v else { return None };
            let text = |v: &Spanned<DeValue<'_>>| match v.get_ref() {
                DeValue::String(s) => Some(Placed {
                    value: s.clone().into_owned(),
                    span: v.span(),
                }),
                _ => None,
            };
            list.iter().map(text).collect()
        })
    }

    /// The tables under `[[key]]`, at most `most`.
    pub fn tables<'a>(
        &mut self,
        top: Fields<'a, 't>,
        key: &str,
        what: &'static str,
        most: usize,
    ) -> Vec<(&'a DeTable<'t>, Range<usize>)> {
        let Some((_, found)) = top.table.iter().find(|(k, _)| k.get_ref() == key) else {
            return Vec::new();
        };
        let list = match found.get_ref() {
            DeValue::Array(list) if list.len() <= most => list,
            DeValue::Array(_) => {
                let message = format!("at most {most} [[{key}]]");
                self.error(&found.span(), message, "too many", "");
                return Vec::new();
            }
            _ => {
                let message = format!("`{key}` is a list of tables");
                let help = format!("write [[{key}]] above the keys of {what}");
                self.error(&found.span(), message, "no list", help);
                return Vec::new();
            }
        };
        let mut tables = Vec::new();
        for entry in list.iter() {
            match entry.get_ref() {
                DeValue::Table(table) => tables.push((table, entry.span())),
                _ => self.error(
                    &entry.span(),
                    format!("[[{key}]] is {what}, a table"),
                    "",
                    "",
                ),
            }
        }
        tables
    }
}
