//! The command that starts this binary once more, in another role.

use std::{ffi::OsString, os::unix::process::CommandExt, process::Command};

/// This binary, behind the command that runs it (an emulator, from `TESSERA_RUNNER`).
#[derive(Debug)]
pub struct ThisBinary {
    /// The program to start, and its first arguments.
    words: Vec<OsString>,
    /// The name in `ps`, when the program started is not this binary itself.
    name: Option<OsString>,
}

impl ThisBinary {
    /// Finds this binary.
    pub fn find() -> Self {
        let exe = std::env::current_exe().ok();
        let runner = std::env::var("TESSERA_RUNNER").unwrap_or_default();
        let mut words: Vec<OsString> = runner.split_whitespace().map(OsString::from).collect();
        let mut name = None;
        match exe {
            Some(exe) if !words.is_empty() => words.push(exe.into()),
            // Works even when the file was replaced meanwhile.
            exe => {
                words = vec!["/proc/self/exe".into()];
                name = exe.and_then(|e| e.file_name().map(OsString::from));
            }
        }
        Self { words, name }
    }

    /// The command with these arguments.
    pub fn command(&self, arguments: &[OsString]) -> Command {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).args(arguments);
        if let Some(name) = &self.name {
            command.arg0(name);
        }
        command
    }
}
