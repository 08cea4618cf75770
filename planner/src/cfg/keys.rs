//! Typed access to a section's keys: reads numbers as Darknet does where that is sound, and
//! reports the rest.

use std::{cell::RefCell, collections::BTreeSet};

use super::{
    diag::{Diagnostic, Severity, Span},
    lex::{Entry, Section},
    suggest::nearest,
};
use tessera_plan::graph::Darknet;
use training::TRAINING;

mod activation;
mod training;

/// Largest magnitude of any whole number in a cfg: products of a few stay inside `i64`.
const INT_MAX: i64 = 1 << 31;

/// Most entries of a list.
const LIST_MAX: usize = 4096;

/// A section under interpretation.
#[derive(Debug)]
pub struct Keys<'a> {
    section: &'a Section,
    darknet: Darknet,
    used: RefCell<BTreeSet<&'a str>>,
    out: RefCell<Vec<Diagnostic>>,
}

impl<'a> Keys<'a> {
    /// Begins to interpret `section`.
    pub fn new(section: &'a Section, darknet: Darknet) -> Self {
        Self {
            section,
            darknet,
            used: RefCell::default(),
            out: RefCell::default(),
        }
    }

    /// Where the section's header stands.
    pub fn header(&self) -> Span {
        self.section.span
    }

    /// The section's name.
    pub fn name(&self) -> &'a str {
        &self.section.name
    }

    /// Where the value of `key` stands; the header when it is missing.
    pub fn at(&self, key: &str) -> Span {
        let found = self.section.get(key);
        found.map_or(self.section.span, |e| e.value_span)
    }

    /// The raw value of a key. A key that is given without a value is an error, reported once.
    pub fn text(&self, key: &'static str) -> Option<&'a str> {
        let first = self.used.borrow_mut().insert(key);
        if first && let Some(blank) = self.section.blank(key) {
            self.say(Diagnostic::new(
                Severity::Error,
                blank.span,
                format!("key `{key}` has no value"),
                "nothing after `=`",
                "give a value, or delete the line to take the default",
            ));
        }
        self.section.get(key).map(|e| e.value.as_str())
    }

    /// Marks a key as known, so that no warning names it.
    pub fn know(&self, key: &'static str) {
        self.used.borrow_mut().insert(key);
    }

    /// The key's meaning among `choices`. Another value is an error, and the first of `choices` is taken.
    pub fn choice<T: Copy>(&self, key: &'static str, choices: &[(&str, T)]) -> T {
        let default = choices[0].1;
        let Some(text) = self.text(key) else {
            return default;
        };
        let text = text.split('#').next().unwrap_or_default();
        if let Some((_, meaning)) = choices.iter().find(|(name, _)| *name == text) {
            return *meaning;
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let help = nearest(text, &names).map_or_else(
            || format!("known are {}", names.join(", ")),
            |near| format!("did you mean {near}?"),
        );
        self.error(key, format!("unknown {key} `{text}`"), help);
        default
    }

    /// Adds a diagnostic.
    pub fn say(&self, d: Diagnostic) {
        self.out.borrow_mut().push(d);
    }

    /// Whether something was said of this line.
    fn said(&self, line: &Entry) -> bool {
        self.out.borrow().iter().any(|d| d.span == line.span)
    }

    /// Adds an error at `key`, unless the key has no value and that was reported already.
    pub fn error(&self, key: &str, message: impl Into<String>, help: impl Into<String>) {
        if self.section.blank(key).is_some_and(|e| self.said(e)) {
            return;
        }
        self.say(Diagnostic::new(
            Severity::Error,
            self.at(key),
            message,
            "here",
            help,
        ));
    }

    /// Adds a refusal at `key`.
    pub fn unsupported(&self, key: &str, message: impl Into<String>, help: impl Into<String>) {
        self.say(Diagnostic::new(
            Severity::Unsupported,
            self.at(key),
            message,
            "here",
            help,
        ));
    }

    /// A whole number. Text after `#` is dropped, as real files rely on; anything else that is no
    /// number is an error (Darknet would read 0 or a prefix).
    pub fn int(&self, key: &'static str, default: i64) -> i64 {
        let Some(text) = self.text(key) else {
            return default;
        };
        self.parse_int(key, text).unwrap_or(default)
    }

    fn parse_int(&self, key: &str, text: &str) -> Option<i64> {
        let digits = text.split('#').next().unwrap_or_default();
        let n = digits.parse::<i64>().ok().filter(|n| n.abs() <= INT_MAX);
        if n.is_none() {
            let why = if digits
                .trim_start_matches(['-', '+'])
                .bytes()
                .all(|b| b.is_ascii_digit())
                && !digits.is_empty()
            {
                "too large"
            } else {
                "not a whole number"
            };
            self.error(
                key,
                format!("`{key}={text}` is {why}"),
                "write plain decimal digits",
            );
        }
        n
    }

    /// A whole number of at least `min`; `None` after an error.
    pub fn size(&self, key: &'static str, default: i64, min: i64) -> Option<usize> {
        let Some(text) = self.text(key) else {
            return usize::try_from(default).ok();
        };
        let n = self.parse_int(key, text)?;
        if n < min {
            self.error(
                key,
                format!("`{key}={text}` in [{}] must be at least {min}", self.name()),
                "correct the number",
            );
            return None;
        }
        usize::try_from(n).ok()
    }

    /// A whole number of at least `min` and at most `max`; `None` after an error.
    pub fn size_up_to(
        &self,
        key: &'static str,
        default: i64,
        min: i64,
        max: usize,
    ) -> Option<usize> {
        let n = self.size(key, default, min)?;
        if n > max {
            self.error(
                key,
                format!("`{key}={n}` in [{}] must be at most {max}", self.name()),
                "correct the number",
            );
            return None;
        }
        Some(n)
    }

    /// A flag: any number but 0 is set.
    pub fn flag(&self, key: &'static str) -> bool {
        self.int(key, 0) != 0
    }

    /// A number with a fraction.
    pub fn float(&self, key: &'static str, default: f32) -> f32 {
        let Some(text) = self.text(key) else {
            return default;
        };
        self.parse_float(key, text).unwrap_or(default)
    }

    fn parse_float(&self, key: &str, text: &str) -> Option<f32> {
        let n = text
            .split('#')
            .next()
            .unwrap_or_default()
            .parse::<f32>()
            .ok()
            .filter(|n| n.is_finite());
        if n.is_none() {
            self.error(
                key,
                format!("`{key}={text}`: `{text}` is not a number"),
                "write decimal digits, as in 0.25",
            );
        }
        n
    }

    /// A comma-separated list of whole numbers; empty when the key is missing.
    pub fn ints(&self, key: &'static str) -> Vec<i64> {
        self.list(key, |t| self.parse_int(key, t))
    }

    /// A comma-separated list of numbers; empty when the key is missing.
    pub fn floats(&self, key: &'static str) -> Vec<f32> {
        self.list(key, |t| self.parse_float(key, t))
    }

    /// The entries of a list up to the first `#`; stops after the first that is none.
    fn list<T>(&self, key: &'static str, parse: impl Fn(&'a str) -> Option<T>) -> Vec<T> {
        let text = self.text(key).unwrap_or_default();
        let text = text.split('#').next().unwrap_or_default();
        let mut list = Vec::new();
        for t in text.split(',').filter(|t| !t.is_empty()) {
            if list.len() >= LIST_MAX {
                self.error(
                    key,
                    format!("`{key}` has more than {LIST_MAX} entries"),
                    "no Darknet layer has that many",
                );
                break;
            }
            match parse(t) {
                Some(v) => list.push(v),
                None => break,
            }
        }
        list
    }

    /// Ends the interpretation. Unknown keys, and keys without a value that nothing asked for, become warnings.
    pub fn finish(self, out: &mut Vec<Diagnostic>) {
        self.warn_of_unknown_keys();
        self.finish_training(out);
    }

    /// As [`Keys::finish`] for a section whose other keys all steer training.
    pub fn finish_training(self, out: &mut Vec<Diagnostic>) {
        self.warn_of_blank_keys();
        out.append(&mut self.out.borrow_mut());
    }

    fn warn_of_unknown_keys(&self) {
        let used = self.used.borrow();
        for e in &self.section.entries {
            if !used.contains(e.key.as_str()) && !TRAINING.contains(&e.key.as_str()) {
                let known: Vec<&str> = used.iter().copied().collect();
                let help = nearest(&e.key, &known).map_or_else(
                    || "it is ignored".into(),
                    |n| format!("it is ignored; did you mean `{n}`?"),
                );
                self.say(Diagnostic::new(
                    Severity::Warning,
                    e.span,
                    format!("unknown key `{}` in [{}]", e.key, self.section.name),
                    "unknown",
                    help,
                ));
            }
        }
    }

    fn warn_of_blank_keys(&self) {
        for e in &self.section.blanks {
            if !self.said(e) {
                self.say(Diagnostic::new(
                    Severity::Warning,
                    e.span,
                    format!("key `{}` has no value and is ignored", e.key),
                    "nothing after `=`",
                    "give a value, or delete the line",
                ));
            }
        }
    }
}
