//! The command that starts a worker.

use std::{
    ffi::OsString,
    io,
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::CommandExt},
    },
    process::{Child, Command, Stdio},
};

use tessera_runtime::weights::WeightsFile;

use super::WorkersConfig;

/// The command line and the weights with which workers start.
#[derive(Debug)]
pub(super) struct Launch {
    /// The weights that the worker computes with.
    pub(super) weights: WeightsFile,
    /// The program and its arguments.
    words: Vec<OsString>,
    /// The worker's name in `ps`, when the program is not the worker itself.
    name: Option<OsString>,
}

impl Launch {
    /// The command that starts this binary in its worker role.
    pub(super) fn new(program: &str, weights: WeightsFile, config: &WorkersConfig) -> Self {
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
        let args = ["--program", program, "worker", "--socket", "0", "--weights"];
        words.extend(args.map(OsString::from));
        words.push(weights.path().into());
        let mut flag = |name: &str, value: String| words.extend([name.into(), value.into()]);
        flag("--threads", config.threads.to_string());
        flag("--log", config.log.to_string());
        Self {
            weights,
            words,
            name,
        }
    }

    /// Starts the process; `input` becomes its standard input.
    pub(super) fn start(&self, input: UnixStream) -> io::Result<Child> {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]);
        if let Some(name) = &self.name {
            command.arg0(name);
        }
        command
            .stdin(OwnedFd::from(input))
            .stdout(Stdio::null())
            .spawn()
    }
}
