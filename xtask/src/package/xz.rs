//! Compression as `xz` has it.

use std::{
    fs::File,
    io::{BufWriter, Write},
    num::NonZeroU64,
    path::Path,
    thread,
};

use anyhow::{Context, Result};
use lzma_rust2::{XzOptions, XzWriterMt};

use super::tree::Tree;

/// xz's own default. Weights hardly become smaller at any level; the node does.
const LEVEL: u32 = 6;
/// Bytes that a thread compresses by themselves. The blocks do not depend on the number of threads.
const BLOCK_BYTES: NonZeroU64 = NonZeroU64::new(8 << 20).expect("not 0");

/// Writes a compressed archive of `tree` to `to`; every path in it begins with `root`.
///
/// # Errors
/// When a file cannot be read, or `to` cannot be written.
pub fn archive<W: Write>(tree: &Tree, root: &str, to: W) -> Result<W> {
    let mut options = XzOptions::with_preset(LEVEL);
    options.set_block_size(Some(BLOCK_BYTES));
    let threads = thread::available_parallelism().map_or(1, |n| n.get().min(8));
    let threads = u32::try_from(threads).unwrap_or(1);
    let xz = XzWriterMt::new(to, options, threads)?;
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
