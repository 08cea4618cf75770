//! Opening input files: regular ones alone, so that nothing waits for a pipe or reads a device
//! without an end.

use std::{
    fs::{File, FileType, Metadata},
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    path::Path,
};

use super::error::PictureError;

/// Opens a regular file; returns the file and its length in bytes.
///
/// # Errors
/// When the system cannot open the file, or the path does not lead to a regular file.
pub fn open(path: &Path) -> Result<(File, u64), PictureError> {
    regular(path, std::fs::metadata(path).map_err(io(path))?)?;
    // Should it be a pipe by now, one without a writer does not hold this up.
    let mut options = File::options();
    options.read(true).custom_flags(nix::libc::O_NONBLOCK);
    let file = options.open(path).map_err(io(path))?;
    let file_bytes = regular(path, file.metadata().map_err(io(path))?)?;
    Ok((file, file_bytes))
}

/// Names the file that the system refuses.
pub(super) fn io(path: &Path) -> impl Fn(std::io::Error) -> PictureError + '_ {
    |cause| PictureError::Io {
        path: path.into(),
        cause,
    }
}

fn regular(path: &Path, meta: Metadata) -> Result<u64, PictureError> {
    if meta.is_file() {
        return Ok(meta.len());
    }
    Err(PictureError::NotAFile {
        path: path.into(),
        what: kind(meta.file_type()),
    })
}

/// Names the kind of a folder's entry that is no regular file.
fn kind(of: FileType) -> &'static str {
    match of {
        t if t.is_dir() => "a folder",
        t if t.is_fifo() => "a pipe",
        t if t.is_socket() => "a socket",
        _ => "a device",
    }
}
