//! Rules about the repository itself that no compiler holds: which crates may know each other, where
//! `unsafe` may stand, that links lead somewhere, sizes, circles of imports, words.
//!
//! Every rule lists its exceptions in a table beside it. An exception that is no longer needed is a
//! failure too, so the tables only shrink.
#![forbid(unsafe_code)]

mod circles;
mod edges;
mod links;
mod modules;
mod sizes;
mod sources;
mod unsafe_code;
mod words;

/// Fails with every complaint and what to do about them.
fn report(complaints: &[String], advice: &str) {
    assert!(
        complaints.is_empty(),
        "\n{}\n\n{advice}\n",
        complaints.join("\n")
    );
}
