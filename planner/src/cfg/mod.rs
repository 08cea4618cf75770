//! The Darknet cfg front end: text in, [`Graph`] and diagnostics out.

pub mod diag;
pub mod keys;
pub mod lex;
pub mod suggest;

use diag::{Diagnostic, Severity};

use crate::lower;
use tessera_plan::graph::{Darknet, Graph};

/// Most warnings, and most errors, that one run reports.
pub const DIAGNOSTICS_MAX: usize = 100;

/// Keeps the first [`DIAGNOSTICS_MAX`] warnings and as many errors, and says when there are more.
fn limit(diagnostics: &mut Vec<Diagnostic>) {
    let is_warning = |d: &Diagnostic| d.severity == Severity::Warning;
    let warnings = diagnostics.iter().filter(|d| is_warning(d)).count();
    let others = diagnostics.len() - warnings;
    let unsupported = diagnostics.iter().all(|d| d.severity != Severity::Error);
    diag::keep_first(diagnostics, DIAGNOSTICS_MAX);
    let mut more = |severity, what: &str| {
        diagnostics.push(Diagnostic::new(
            severity,
            diag::Span::default(),
            format!("there are more {what}; the first {DIAGNOSTICS_MAX} are shown"),
            "",
            "correct those above first",
        ));
    };
    if warnings > DIAGNOSTICS_MAX {
        more(Severity::Warning, "warnings");
    }
    if others > DIAGNOSTICS_MAX {
        let severity = if unsupported {
            Severity::Unsupported
        } else {
            Severity::Error
        };
        more(severity, "errors");
    }
}

/// Reads a cfg. One run reports all problems; the graph is there exactly when none of them is an
/// error or a refusal.
///
/// `name` is the model's name, by convention the file's stem.
pub fn read(text: &[u8], name: &str, darknet: Darknet) -> (Option<Graph>, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let sections = lex::lex(text, &mut diagnostics);
    let clean = diagnostics.iter().all(|d| d.severity == Severity::Warning);
    if sections.is_empty() && clean {
        diagnostics.push(Diagnostic::new(
            Severity::Error,
            diag::Span::default(),
            "no sections: this file describes no network",
            "",
            "a cfg begins with [net]; is this the right file?",
        ));
    }
    let graph = if sections.is_empty() {
        None
    } else {
        lower::lower(&sections, name, darknet, &mut diagnostics)
    };
    diagnostics.sort_by_key(|d| d.span.start);
    let fatal = diagnostics.iter().any(|d| d.severity != Severity::Warning);
    limit(&mut diagnostics);
    (graph.filter(|_| !fatal), diagnostics)
}
