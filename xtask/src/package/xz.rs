//! Compression as `xz` has it.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    thread,
};

use anyhow::{Context, Result};
use liblzma::{
    stream::{Check, MtStreamBuilder},
    write::XzEncoder,
};

use super::tree::Tree;

/// xz's own default. Weights hardly become smaller at any level; the node does.
const LEVEL: u32 = 6;
/// Bytes that a thread compresses by themselves. The blocks do not depend on the number of threads.
const BLOCK_BYTES: u64 = 8 << 20;

/// Writes a compressed archive of `tree` to `to`; every path in it begins with `root`.
///
/// # Errors
/// When a file cannot be read, or `to` cannot be written.
pub fn archive<W: Write>(tree: &Tree, root: &str, to: W) -> Result<W> {
    let threads = thread::available_parallelism().map_or(1, |n| n.get().min(8));
    let stream = MtStreamBuilder::new()
        .preset(LEVEL)
        .block_size(BLOCK_BYTES)
        .check(Check::Crc64)
        .threads(u32::try_from(threads).unwrap_or(1))
        .encoder()?;
    let xz = XzEncoder::new_stream(to, stream);
    let xz = tree.tar(root, BufWriter::with_capacity(1 << 16, xz))?;
    let xz = xz
        .into_inner()
        .map_err(std::io::IntoInnerError::into_error)?;
    Ok(xz.finish()?)
}

/// Writes such an archive as a file.
///
/// # Errors
/// As [`archive`].
pub fn file(tree: &Tree, root: &str, path: &Path) -> Result<()> {
    let shown = || path.display().to_string();
    let to = BufWriter::new(File::create(path).with_context(shown)?);
    let to = archive(tree, root, to).with_context(shown)?;
    to.into_inner()
        .map_err(std::io::IntoInnerError::into_error)
        .and_then(|f| f.sync_all())
        .with_context(shown)
}
