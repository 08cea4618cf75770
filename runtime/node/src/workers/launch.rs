//! The command that starts a worker.

use std::{
    ffi::OsString,
    io,
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Child, Stdio},
};

use tessera_runtime::weights::WeightsFile;

use super::WorkersConfig;
use crate::this_binary::ThisBinary;

/// The command line and the weights with which workers start.
#[derive(Debug)]
pub(super) struct Launch {
    /// The weights that the worker computes with.
    pub(super) weights: WeightsFile,
    binary: ThisBinary,
    arguments: Vec<OsString>,
}

impl Launch {
    /// The command that starts this binary in its worker role.
    pub(super) fn new(program: &str, weights: WeightsFile, config: &WorkersConfig) -> Self {
        let args = ["--program", program, "worker", "--socket", "0", "--weights"];
        let mut arguments: Vec<OsString> = args.map(OsString::from).to_vec();
        arguments.push(weights.path().into());
        let mut flag = |name: &str, value: String| arguments.extend([name.into(), value.into()]);
        flag("--threads", config.threads.to_string());
        flag("--log", config.log.to_string());
        Self {
            weights,
            binary: ThisBinary::find(),
            arguments,
        }
    }

    /// Starts the process; `input` becomes its standard input.
    pub(super) fn start(&self, input: UnixStream) -> io::Result<Child> {
        let mut command = self.binary.command(&self.arguments);
        command
            .stdin(OwnedFd::from(input))
            .stdout(Stdio::null())
            .spawn()
    }
}
