//! Files and folders that flags name, whatever lies there: a folder, a pipe, a socket, a device, or nothing. An input
//! is a regular file, so that no command waits for a pipe or reads an endless device. Commands check an output before
//! they spend minutes on its contents.

mod folder;
mod input;
mod output;

use std::{fs::FileType, os::unix::fs::FileTypeExt};

pub use folder::check as check_folder;
pub use input::{length, read};
pub use output::Output;

/// The kind of a folder's entry, in words.
fn kind(of: FileType) -> &'static str {
    match of {
        t if t.is_file() => "a file",
        t if t.is_dir() => "a folder",
        t if t.is_fifo() => "a pipe",
        t if t.is_socket() => "a socket",
        _ => "a device",
    }
}
