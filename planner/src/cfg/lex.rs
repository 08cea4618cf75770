//! Lines, sections and keys of a cfg, each with its place (Darknet `option_list.c`, `parser.c`).
//!
//! Darknet deletes every space, tab, CR and LF of a line before it looks at it, also inside
//! values; so does this (`docs/darknet.md#cfg-lines`). Numbers are not read here.

use super::diag::{Diagnostic, Severity, Span, bound};

/// Longest line that is accepted.
pub const LINE_BYTES_MAX: usize = 1 << 20;
/// Largest number of sections that is accepted.
pub const SECTIONS_MAX: usize = 10_000;
/// Largest number of keys of one section.
pub const KEYS_MAX: usize = 1000;

/// `key=value`.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Key, spaces deleted.
    pub key: String,
    /// Value, spaces deleted.
    pub value: String,
    /// The whole line.
    pub span: Span,
    /// The value, as it stands in the line.
    pub value_span: Span,
}

/// `[name]` and its entries.
#[derive(Clone, Debug)]
pub struct Section {
    /// Name without brackets.
    pub name: String,
    /// The header line.
    pub span: Span,
    /// Entries in order, first of every key only.
    pub entries: Vec<Entry>,
    /// Keys without a value, first of every key only: Darknet drops such lines.
    pub blanks: Vec<Entry>,
    /// True if more than [`KEYS_MAX`] keys were given.
    pub full: bool,
}

impl Section {
    /// The entry of a key.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| e.key == key)
    }

    /// The line of a key that is given without a value, and nowhere with one.
    pub fn blank(&self, key: &str) -> Option<&Entry> {
        let blank = self.blanks.iter().find(|e| e.key == key)?;
        self.get(key).is_none().then_some(blank)
    }
}

/// Splits a cfg; problems go to `out`.
pub fn lex(text: &[u8], out: &mut Vec<Diagnostic>) -> Vec<Section> {
    let mut say = |severity, span, message: String, label: &str, help: &str| {
        out.push(Diagnostic::new(severity, span, message, label, help));
        bound(out);
    };
    let whole = Span::default();
    let bom = if text.starts_with(b"\xef\xbb\xbf") {
        3
    } else {
        0
    };
    let head = &text[bom..];
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        say(
            Severity::Error,
            whole,
            "this is UTF-16, not a text cfg".into(),
            "",
            "save it as UTF-8 or plain ASCII",
        );
        return Vec::new();
    }
    if head
        .iter()
        .any(|&b| b == 0 || (b < 32 && !matches!(b, b'\t' | b'\n' | b'\r' | 0x0c)))
    {
        say(
            Severity::Error,
            whole,
            "this is binary data, not a text cfg".into(),
            "",
            "give the .cfg file; were cfg and weights swapped?",
        );
        return Vec::new();
    }
    // Files of old systems end their lines with CR alone.
    let end_of_line = if head.contains(&b'\n') { b'\n' } else { b'\r' };

    let mut sections: Vec<Section> = Vec::new();
    let mut start = bom;
    for (i, raw) in head.split(|&b| b == end_of_line).enumerate() {
        let at = start;
        start += raw.len() + 1;
        let lead = raw.iter().take_while(|b| b.is_ascii_whitespace()).count();
        let shown = raw.trim_ascii().len();
        let span = Span {
            start: at + lead,
            end: at + lead + shown,
            line: i + 1,
            column: lead + 1,
        };
        if raw.len() > LINE_BYTES_MAX {
            say(
                Severity::Error,
                Span {
                    end: span.start + 1,
                    ..span
                },
                format!(
                    "a line of {} bytes: the limit is {LINE_BYTES_MAX}",
                    raw.len()
                ),
                "here",
                "no Darknet cfg needs such a line; is this the right file?",
            );
            return Vec::new();
        }
        let line: Vec<u8> = raw
            .iter()
            .copied()
            .filter(|b| !matches!(b, b' ' | b'\t' | b'\r' | b'\n' | 0x0c))
            .collect();
        let line = String::from_utf8_lossy(&line).into_owned();
        match line.bytes().next() {
            None | Some(b'#' | b';') => {}
            Some(b'[') => {
                if sections.len() >= SECTIONS_MAX {
                    say(
                        Severity::Error,
                        span,
                        format!("more than {SECTIONS_MAX} sections"),
                        "the first one too many",
                        "no Darknet network has that many layers; is this the right file?",
                    );
                    return sections;
                }
                let (name, rest) = match line[1..].split_once(']') {
                    Some((name, rest)) => (name.to_string(), rest),
                    None => {
                        say(
                            Severity::Error,
                            span,
                            format!("section header `{line}` does not end in ]"),
                            "this header",
                            "write it as [name]",
                        );
                        (line[1..].to_string(), "")
                    }
                };
                if !rest.is_empty() {
                    say(
                        Severity::Warning,
                        span,
                        format!(
                            "`{rest}` after the section name is ignored; Darknet would not know this section"
                        ),
                        "this header",
                        "put the comment on a line of its own",
                    );
                }
                sections.push(Section {
                    name,
                    span,
                    entries: Vec::new(),
                    blanks: Vec::new(),
                    full: false,
                });
            }
            Some(_) => entry(&line, span, value_span(raw, span), &mut sections, &mut say),
        }
    }
    sections
}

/// Where the value stands in a line `key = value`.
fn value_span(raw: &[u8], line: Span) -> Span {
    let Some(equals) = raw.iter().position(|b| *b == b'=') else {
        return line;
    };
    let rest = &raw[equals + 1..];
    let first = equals + 1 + rest.iter().take_while(|b| b.is_ascii_whitespace()).count();
    // The line begins `column - 1` bytes before its span.
    let begin = line.start - (line.column - 1);
    let start = (begin + first).min(line.end);
    Span {
        start,
        column: start - begin + 1,
        ..line
    }
}

fn entry(
    line: &str,
    span: Span,
    value_span: Span,
    sections: &mut [Section],
    say: &mut impl FnMut(Severity, Span, String, &str, &str),
) {
    let Some(section) = sections.last_mut() else {
        say(
            Severity::Error,
            span,
            format!("`{line}` stands before the first section"),
            "belongs to no section",
            "begin the file with [net]",
        );
        return;
    };
    let Some((key, value)) = line.split_once('=') else {
        say(
            Severity::Warning,
            span,
            format!("`{line}` has no `=` and is ignored"),
            "no key",
            "write key=value, or # before a comment",
        );
        return;
    };
    let earlier = if value.is_empty() {
        section.blank(key).or_else(|| section.get(key))
    } else {
        section.get(key)
    };
    if let Some(first) = earlier {
        let message = format!(
            "key `{key}` is given twice in [{}]: line {} counts, line {} is ignored",
            section.name, first.span.line, span.line
        );
        say(
            Severity::Warning,
            span,
            message,
            "ignored",
            "delete one of the two",
        );
        return;
    }
    if section.entries.len() + section.blanks.len() >= KEYS_MAX {
        // Said once: the first key too many is kept out, like all that follow.
        if !section.full {
            section.full = true;
            say(
                Severity::Error,
                span,
                format!("[{}] has more than {KEYS_MAX} keys", section.name),
                "the first one too many",
                "no Darknet layer has that many; is this the right file?",
            );
        }
        return;
    }
    let list = if value.is_empty() {
        &mut section.blanks
    } else {
        &mut section.entries
    };
    list.push(Entry {
        key: key.to_string(),
        value: value.to_string(),
        span,
        value_span,
    });
}
