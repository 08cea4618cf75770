//! Sizes of memory as people type them.

use anyhow::{Context, Result, bail};
use bytesize::ByteSize;

/// Largest accepted size in bytes: 1 PB.
const BYTES_MAX: u64 = 1_000_000_000_000_000;

/// Parses a size such as `64MiB`, `64M`, `1.5 GiB` or `65536` into bytes. M and MB mean MiB: sizes of memory are
/// powers of two, while [`ByteSize`] reads M and MB as powers of ten.
///
/// # Errors
/// When the text is not a size.
pub fn parse(text: &str) -> Result<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let stem = lower.strip_suffix('b').unwrap_or(&lower);
    let stem = stem.strip_suffix('i').unwrap_or(stem).trim_end();
    let unit = if stem.ends_with(|c: char| c.is_ascii_alphabetic()) {
        "ib"
    } else {
        "b"
    };
    let ByteSize(bytes) = format!("{stem}{unit}")
        .parse()
        .ok()
        .with_context(|| format!("{text:?} is no size; write for example 64MiB"))?;
    if !(1..BYTES_MAX).contains(&bytes) {
        bail!("{text:?}: a size must be above 0 and below 1 PB");
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("64MiB", 64 << 20),
            ("64M", 64 << 20),
            ("64mb", 64 << 20),
            ("1.5 GiB", 3 << 29),
            (" .5g ", 1 << 29),
            ("65536", 65536),
            ("100 B", 100),
            ("12k", 12288),
        ] {
            assert_eq!(parse(text).unwrap(), bytes, "{text}");
        }
        for bad in [
            "",
            "b",
            "MiB",
            "12 parsecs",
            "-3MiB",
            "0",
            "0.1",
            "2000TiB",
            "99999999999999999999",
            "1e30GiB",
            "NaN",
            "1.2.3M",
            "3 \u{e9}",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
