//! Diagnostics for the author of a cfg: what is wrong, where, and what to do. Plain data; `xtask` draws it.

use std::fmt;

/// How severe a diagnostic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The cfg is odd, but its meaning is clear.
    Warning,
    /// The cfg is wrong.
    Error,
    /// The cfg may be right, but Tessera does not run such networks.
    Unsupported,
}

impl Severity {
    /// The word that stands before a message.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Unsupported => "unsupported",
        }
    }
}

/// A part of one line of the cfg.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte in the file.
    pub start: usize,
    /// First byte behind the part.
    pub end: usize,
    /// Line, from 1; 0 means the file as a whole.
    pub line: usize,
    /// Column, from 1, in bytes.
    pub column: usize,
}

/// One message about a cfg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How severe a diagnostic is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// The part of the cfg that the message is about.
    pub span: Span,
    /// A few words that label the part.
    pub label: String,
    /// What to do about it.
    pub help: String,
    /// Other parts of the cfg, with their labels.
    pub secondary: Vec<(Span, String)>,
}

impl Diagnostic {
    /// A diagnostic without secondary labels.
    pub fn new(
        severity: Severity,
        span: Span,
        message: impl Into<String>,
        label: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self {
            severity,
            message: shortened(message.into()),
            span,
            label: label.into(),
            help: help.into(),
            secondary: Vec::new(),
        }
    }

    /// Adds another place.
    #[must_use]
    pub fn with(mut self, span: Span, label: impl Into<String>) -> Self {
        self.secondary.push((span, label.into()));
        self
    }
}

/// One line of plain text, for logs and tests. People are shown the place itself: `cargo xtask` draws it.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity.word(), self.message)?;
        let places = std::iter::once((&self.span, &self.label))
            .chain(self.secondary.iter().map(|(span, label)| (span, label)));
        for (Span { line, column, .. }, label) in places.filter(|(span, _)| span.line > 0) {
            write!(f, "; line {line}, column {column}: {label}")?;
        }
        if !self.help.is_empty() {
            write!(f, "; help: {}", self.help)?;
        }
        Ok(())
    }
}

/// Most characters of a message: values of a cfg are quoted in it, however long they are.
const MESSAGE_CHARS_MAX: usize = 400;

fn shortened(mut message: String) -> String {
    if let Some((cut, _)) = message.char_indices().nth(MESSAGE_CHARS_MAX) {
        message.truncate(cut);
        message.push_str(" ...");
    }
    message
}

/// Most diagnostics that are collected before the later ones are let go.
const COLLECTED_MAX: usize = 8192;

/// Keeps the first `max` warnings and the first `max` of the others.
pub(crate) fn keep_first(list: &mut Vec<Diagnostic>, max: usize) {
    let mut seen = [0, 0];
    list.retain(|d| {
        let n = &mut seen[usize::from(d.severity == Severity::Warning)];
        *n += 1;
        *n <= max
    });
}

/// Bounds a growing list: a file full of mistakes must not fill the memory with messages.
pub(crate) fn bound(list: &mut Vec<Diagnostic>) {
    if list.len() > COLLECTED_MAX {
        keep_first(list, COLLECTED_MAX / 4);
    }
}
