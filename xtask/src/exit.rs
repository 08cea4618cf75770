//! Exit codes: 0 done, 1 failed, 2 wrong usage (clap), 3 a network that Tessera does not support, 128 + N told to
//! end by signal N. A command whose reader went away ends like one that SIGPIPE ended. `cargo xtask --help` lists them.

use std::process::ExitCode;

use anyhow::Result;
use nix::sys::signal::Signal;

use crate::{
    children,
    out::{Closed, note},
};

/// The network uses a feature that Tessera refuses by name.
#[derive(Debug, thiserror::Error)]
#[error("this network uses what Tessera does not support, see above")]
pub struct Unsupported;

/// Prints an error with its causes; returns the exit code.
pub fn code(done: Result<()>) -> ExitCode {
    let Err(e) = done else {
        return ExitCode::SUCCESS;
    };
    // A failure that follows from a signal to end needs no message.
    let quiet =
        children::told().or_else(|| e.is::<Closed>().then_some(128 + Signal::SIGPIPE as i32));
    if let Some(code) = quiet {
        return ExitCode::from(u8::try_from(code).unwrap_or(1));
    }
    note!("error: {}", with_causes(&e));
    ExitCode::from(if e.is::<Unsupported>() { 3 } else { 1 })
}

/// An error and its causes in one line. A cause that the error's own text contains appears once.
pub fn with_causes(e: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in e.chain().map(ToString::to_string) {
        if text.contains(&cause) {
            continue;
        }
        if !text.is_empty() {
            text += ": ";
        }
        text += &cause;
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the names: {0}")]
    struct Telling(#[from] std::io::Error);

    #[test]
    fn a_cause_is_told_once() {
        let missing = || std::io::Error::from_raw_os_error(2);
        let told = Result::<()>::Err(Telling(missing()).into()).context("cannot use a.names");
        assert_eq!(
            with_causes(&told.unwrap_err()),
            "cannot use a.names: cannot read the names: No such file or directory (os error 2)"
        );
        let silent = Result::<()>::Err(missing().into()).context("--costs a.toml");
        assert_eq!(
            with_causes(&silent.unwrap_err()),
            "--costs a.toml: No such file or directory (os error 2)"
        );
        assert_eq!(with_causes(&anyhow!("alone")), "alone");
    }

    #[test]
    fn a_refused_network_is_told_apart_beneath_any_context() {
        let refused = anyhow::Error::from(Unsupported).context("no plan");
        assert_eq!(code(Err(refused)), ExitCode::from(3));
        assert_eq!(code(Err(anyhow!("wrong"))), ExitCode::from(1));
        assert_eq!(code(Ok(())), ExitCode::SUCCESS);
        assert_eq!(
            code(Err(anyhow::Error::from(Closed).context("x"))),
            ExitCode::from(141)
        );
    }
}
