//! Files and folders that flags name, whatever lies there: a folder, a pipe, a socket, a device, or nothing. An input is
//! a regular file, so that no command waits for a pipe or reads a device without an end. An output is looked at before
//! minutes are spent on what it is to receive.

mod folder;
mod input;
mod output;

use std::{fs::FileType, os::unix::fs::FileTypeExt};

pub use folder::check as check_folder;
pub use input::{length, read};
pub use output::Output;

/// What an entry of a folder is.
fn kind(of: FileType) -> &'static str {
    match of {
        t if t.is_file() => "a file",
        t if t.is_dir() => "a folder",
        t if t.is_fifo() => "a pipe",
        t if t.is_socket() => "a socket",
        _ => "a device",
    }
}
