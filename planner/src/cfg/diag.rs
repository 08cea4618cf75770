//! Diagnostics for the author of a cfg: what is wrong, where, and what to do.

use std::fmt::Write as _;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The network still means one thing.
    Warning,
    /// The cfg is wrong.
    Error,
    /// The cfg may be right, but Tessera does not run such networks.
    Unsupported,
}

impl Severity {
    const fn word(self) -> &'static str {
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
    /// First byte behind.
    pub end: usize,
    /// Line, from 1; 0 means the file as a whole.
    pub line: usize,
    /// Column, from 1, in bytes.
    pub column: usize,
}

/// One thing to say about a cfg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// Where.
    pub span: Span,
    /// What the span is.
    pub label: String,
    /// What to do.
    pub help: String,
    /// Other places that belong to it.
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

    /// Renders it in the manner of a compiler, without colours.
    pub fn render_plain(&self, file: &str, text: &[u8]) -> String {
        let mut s = format!("{}: {}\n", self.severity.word(), self.message);
        let places = std::iter::once((self.span, self.label.as_str()))
            .chain(self.secondary.iter().map(|(span, l)| (*span, l.as_str())));
        for (i, (span, label)) in places.enumerate() {
            if span.line == 0 {
                let _ = writeln!(s, "  --> {file}");
                continue;
            }
            let arrow = if i == 0 { "-->" } else { ":::" };
            let _ = writeln!(s, "  {arrow} {file}:{}:{}", span.line, span.column);
            let (line, caret) = excerpt(text, span);
            let number = span.line.to_string();
            let gap = " ".repeat(number.len());
            let _ = writeln!(s, " {number} | {line}");
            let _ = writeln!(s, " {gap} | {caret} {label}");
        }
        if !self.help.is_empty() {
            let _ = writeln!(s, "  help: {}", self.help);
        }
        s
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

/// The span's line, at most 100 characters of it, and carets under the span.
fn excerpt(text: &[u8], span: Span) -> (String, String) {
    const SHOWN_MAX: usize = 100;
    let start = span.start.min(text.len());
    let begin = start - span.column.saturating_sub(1).min(start);
    let rest = &text[begin..];
    let len = rest
        .iter()
        .position(|&b| b == b'\n' || b == b'\r')
        .unwrap_or(rest.len())
        .min(SHOWN_MAX);
    let line: String = String::from_utf8_lossy(&rest[..len])
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let from = (start - begin).min(len);
    let to = (span.end.saturating_sub(begin)).clamp(from, len);
    // Columns as they are seen, not bytes.
    let columns = |a: usize, b: usize| String::from_utf8_lossy(&rest[a..b]).chars().count();
    let carets = "^".repeat(columns(from, to).max(1));
    (line, format!("{}{carets}", " ".repeat(columns(0, from))))
}
