//! Compression as `gzip` has it.

use std::io::{Result, Write};

use flate2::{Compression, GzBuilder};

/// Packed bytes, without a name or a time: the same bytes give the same.
///
/// # Errors
/// None, since memory takes all.
pub fn packed(bytes: &[u8], level: Compression) -> Result<Vec<u8>> {
    let mut gz = GzBuilder::new().write(Vec::new(), level);
    gz.write_all(bytes)?;
    gz.finish()
}
