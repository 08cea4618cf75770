//! Printing of results and messages. The macros of the standard library panic when printing fails: `| head -1`
//! closes the pipe, or a disk is full. Here, a command that cannot print its results ends with an error, and a
//! message that cannot be printed is dropped.

use std::{
    fmt,
    io::{self, ErrorKind, Write},
};

use anyhow::{Context, Result};

/// The reader of the results has closed the pipe.
#[derive(Debug, thiserror::Error)]
#[error("standard output was closed")]
pub struct Closed;

/// Writes results to stdout.
///
/// # Errors
/// [`Closed`] when the reader has closed the pipe; another error when the results cannot be written.
pub fn results(text: fmt::Arguments<'_>) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_fmt(text).and_then(|()| out.flush()) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Err(Closed.into()),
        written => written.context("cannot write to standard output"),
    }
}

/// Writes a message to stderr; ignores failures.
pub fn message(text: fmt::Arguments<'_>) {
    // No stream is left to report a failure on.
    let _ = anstream::stderr().lock().write_fmt(text);
}

/// Prints results as `print!` does; returns a `Result`.
macro_rules! out {
    ($($text:tt)*) => { $crate::out::results(format_args!($($text)*)) };
}

/// Prints a line of results as `println!` does; returns a `Result`.
macro_rules! outln {
    ($($text:tt)*) => { $crate::out::results(format_args!("{}\n", format_args!($($text)*))) };
}

/// Prints a message as `eprintln!` does.
macro_rules! note {
    ($($text:tt)*) => { $crate::out::message(format_args!("{}\n", format_args!($($text)*))) };
}

pub(crate) use {note, out, outln};
