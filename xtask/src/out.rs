//! What commands print. The macros of the standard library panic when nobody reads: `| head -1` closes the pipe,
//! a disk is full. Here a command whose results cannot be printed ends, and a message that cannot be is let go.

use std::{
    fmt,
    io::{self, ErrorKind, Write},
};

use anyhow::{Context, Result};

/// Whoever read the results has seen enough.
#[derive(Debug, thiserror::Error)]
#[error("standard output was closed")]
pub struct Closed;

/// Writes results to stdout.
///
/// # Errors
/// [`Closed`] when nobody reads any more; else when they cannot be written.
pub fn results(text: fmt::Arguments<'_>) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_fmt(text).and_then(|()| out.flush()) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Err(Closed.into()),
        written => written.context("cannot write to standard output"),
    }
}

/// Writes a message to stderr, if anybody reads.
pub fn message(text: fmt::Arguments<'_>) {
    // Nothing is left that could be told of a failure.
    let _ = anstream::stderr().lock().write_fmt(text);
}

/// Prints results as `print!` does; gives a `Result`.
macro_rules! out {
    ($($text:tt)*) => { $crate::out::results(format_args!($($text)*)) };
}

/// Prints a line of results as `println!` does; gives a `Result`.
macro_rules! outln {
    ($($text:tt)*) => { $crate::out::results(format_args!("{}\n", format_args!($($text)*))) };
}

/// Prints a message as `eprintln!` does.
macro_rules! note {
    ($($text:tt)*) => { $crate::out::message(format_args!("{}\n", format_args!($($text)*))) };
}

pub(crate) use {note, out, outln};
