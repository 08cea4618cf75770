//! Exit codes: 0 done, 1 failed, 2 wrong usage (clap), 3 a network that Tessera does not support.

use std::process::ExitCode;

/// The network uses what Tessera refuses by name.
#[derive(Debug, thiserror::Error)]
#[error("this network uses what Tessera does not support, see above")]
pub struct Unsupported;

/// Prints an error with its causes and gives the exit code.
pub fn report(e: &anyhow::Error) -> ExitCode {
    eprintln!("error: {e:#}");
    ExitCode::from(if e.is::<Unsupported>() { 3 } else { 1 })
}
