//! What a node tells about itself when it ends.

use std::{io::Write, path::Path};

use serde_json::{Value, json};

use super::NodeError;
use crate::memory::Memory;
use tessera_runtime::program::Program;

/// What every role tells: who it is and how much memory its process took.
pub fn of_process(role: &str, id: u16, program: &Program) -> Value {
    json!({
        "role": role,
        "id": id,
        "program": program.name,
        "pid": std::process::id(),
        "memory": Memory::now(),
    })
}

/// Writes statistics as one line of JSON, whole or not at all.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, stats: &Value) -> Result<(), NodeError> {
    let error = || NodeError::io(format!("cannot write {}", path.display()));
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    std::fs::write(&part, format!("{stats}\n")).map_err(error())?;
    std::fs::rename(&part, path).map_err(error())
}

/// Tells whoever reads standard output, as one line of JSON. Nobody need read it.
pub fn event(event: &Value) {
    let _ = writeln!(std::io::stdout(), "{event}");
}
