//! What a node tells of itself: statistics as a file, events as lines of standard output.

use std::{
    io::{self, Write},
    path::Path,
};

use serde::Serialize;

use crate::{error::NodeError, memory};
use tessera_plan::files::{
    events::Event,
    statistics::{Process, Role},
};
use tessera_runtime::program::Program;

/// Who this process is and how much memory it takes, now.
pub fn process(role: Role, id: u16, program: &Program) -> Process {
    Process {
        role,
        id,
        program: program.name.into(),
        pid: std::process::id(),
        memory: memory::now(),
    }
}

/// One line of JSON, keys in alphabetical order.
///
/// # Errors
/// When a value has no form in JSON.
pub fn json_line(value: &impl Serialize) -> io::Result<String> {
    Ok(format!("{}\n", serde_json::to_value(value)?))
}

/// Writes statistics as one line of JSON, whole or not at all.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, statistics: &impl Serialize) -> Result<(), NodeError> {
    let error = || NodeError::io(format!("cannot write {}", path.display()));
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let line = json_line(statistics).map_err(error())?;
    std::fs::write(&part, line).map_err(error())?;
    std::fs::rename(&part, path).map_err(error())
}

/// Tells whoever reads standard output, as one line of JSON. Nobody need read it.
pub fn tell(event: &Event) {
    if let Ok(line) = json_line(event) {
        let _ = io::stdout().write_all(line.as_bytes());
    }
}
