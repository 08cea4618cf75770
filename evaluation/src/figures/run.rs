//! Which run made the tables and drawings: they have no room for it themselves.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::File;
use crate::EvaluationError;

/// Name of the file.
const NAME: &str = "run.json";
/// What made it.
const COMMAND: &str = "cargo xtask paper";

/// A run and its files: one that has another digest by now is of another run.
#[derive(Serialize)]
struct Run<'a> {
    command: &'a str,
    made: &'a str,
    files: Vec<Made<'a>>,
}

/// A file of a run.
#[derive(Serialize)]
struct Made<'a> {
    name: &'a str,
    sha256: String,
}

/// The file that says what made `files`.
pub fn file(made: &str, files: &[File]) -> Result<File, EvaluationError> {
    let entry = |name, text: &str| Made {
        name,
        sha256: hex(&Sha256::digest(text)),
    };
    let mut files: Vec<Made<'_>> = files.iter().map(|(n, t)| entry(n.as_str(), t)).collect();
    files.sort_by_key(|f| f.name);
    let run = Run {
        command: COMMAND,
        made,
        files,
    };
    Ok((NAME.to_owned(), serde_json::to_string_pretty(&run)? + "\n"))
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|b| format!("{b:02x}")).collect()
}
