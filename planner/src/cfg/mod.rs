//! The Darknet cfg front end: text in, [`Graph`] and diagnostics out.

pub mod diag;
pub mod keys;
pub mod lex;

use diag::{Diagnostic, Severity};

use crate::{
    graph::{Darknet, Graph},
    lower,
};

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
    (graph.filter(|_| !fatal), diagnostics)
}
