//! Inputs: regular files of a bounded size.

use std::{fs::File, io::Read, os::unix::fs::OpenOptionsExt, path::Path};

use anyhow::{Context, Result, bail};
use nix::fcntl::OFlag;

use super::kind;

/// Length of a regular file in bytes; does not read the contents.
///
/// # Errors
/// When the path leads to no regular file.
pub fn length(path: &Path) -> Result<u64> {
    let shown = path.display();
    let meta = std::fs::metadata(path).with_context(|| format!("cannot read {shown}"))?;
    if !meta.is_file() {
        bail!("{shown} is {}; give a file", kind(meta.file_type()));
    }
    Ok(meta.len())
}

/// Reads a regular file of at most `bytes_max` bytes. The error for a larger file contains `advice`.
///
/// # Errors
/// When the file cannot be read, is not a regular file, or is too large.
pub fn read(path: &Path, bytes_max: u64, advice: &str) -> Result<Vec<u8>> {
    length(path)?;
    let failed = || format!("cannot read {}", path.display());
    // If a pipe has replaced the file since the check, opening does not wait for the pipe's writer.
    let mut options = File::options();
    options.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
    let file = options.open(path).with_context(failed)?;
    let mut bytes = Vec::new();
    let read = file.take(bytes_max + 1).read_to_end(&mut bytes);
    if read.with_context(failed)? as u64 > bytes_max {
        bail!(
            "{} has more than {bytes_max} bytes: {advice}",
            path.display()
        );
    }
    Ok(bytes)
}
