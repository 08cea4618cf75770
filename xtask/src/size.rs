//! Byte sizes as people write and read them.

use anyhow::{Context, Result, bail};

/// Parses `64MiB`, `64M`, `1.5GiB`, `65536`. M and MB mean MiB: memory is counted in powers of two.
///
/// # Errors
/// When the text is no size.
pub fn parse(text: &str) -> Result<u64> {
    let t = text.trim();
    let split = t.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(t.len());
    let (number, unit) = t.split_at(split);
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" | "kib" => 1024.0,
        "m" | "mb" | "mib" => 1024.0 * 1024.0,
        "g" | "gb" | "gib" => 1024.0 * 1024.0 * 1024.0,
        _ => bail!("{text:?}: unknown unit {unit:?}; write for example 64MiB"),
    };
    let n: f64 = number
        .trim()
        .parse()
        .with_context(|| format!("{text:?} is no size; write for example 64MiB"))?;
    if !(n > 0.0 && n * factor < 1e15) {
        bail!("{text:?}: a size must be above 0 and below 1 PB");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "range was checked"
    )]
    Ok((n * factor) as u64)
}

/// `1.41 MiB`.
#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
pub fn show(bytes: u64) -> String {
    let b = bytes as f64;
    if bytes >= 1 << 20 {
        format!("{:.2} MiB", b / f64::from(1 << 20))
    } else if bytes >= 1 << 10 {
        format!("{:.1} KiB", b / 1024.0)
    } else {
        format!("{bytes} B")
    }
}

#[cfg(test)]
mod tests {
    use super::{parse, show};

    #[test]
    fn sizes_are_read_and_shown() {
        for (text, bytes) in [
            ("64MiB", 64 << 20),
            ("1.5 GiB", 3 << 29),
            ("65536", 65536),
            ("12k", 12288),
        ] {
            assert_eq!(parse(text).unwrap(), bytes, "{text}");
        }
        for bad in ["", "MiB", "12 parsecs", "-3MiB", "0", "1e30GiB", "NaN"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(show(1_478_656), "1.41 MiB");
        assert_eq!(show(100), "100 B");
    }
}
