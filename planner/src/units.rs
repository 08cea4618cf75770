//! Quantities as people type them: sizes of memory, rates of links, delays.

use bytesize::ByteSize;

/// Largest accepted size in bytes: 1 PB.
const BYTES_MAX: u64 = 1_000_000_000_000_000;
/// Largest accepted rate in bits per second: 1 Tbit/s.
const RATE_BITS_PER_S_MAX: f64 = 1e12;
/// Smallest accepted rate in bits per second.
const RATE_BITS_PER_S_MIN: f64 = 1e3;
/// Largest accepted delay in seconds.
const DELAY_S_MAX: f64 = 10.0;

/// Why a text is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnitError {
    /// Not a size.
    #[error("{text:?} is no size; write for example 64MiB")]
    Size {
        /// What was typed.
        text: String,
    },
    /// A size out of bounds.
    #[error("{text:?}: a size must be above 0 and below 1 PB")]
    SizeBounds {
        /// What was typed.
        text: String,
    },
    /// Not a rate.
    #[error("{text:?} is no rate; write for example 38.4Mbit (per second) or 1Gbit")]
    Rate {
        /// What was typed.
        text: String,
    },
    /// A rate out of bounds.
    #[error("{text:?}: a rate must lie between 1kbit and 1000Gbit per second")]
    RateBounds {
        /// What was typed.
        text: String,
    },
    /// Not a delay.
    #[error("{text:?} is no delay; write for example 3ms or 500us")]
    Delay {
        /// What was typed.
        text: String,
    },
    /// A delay out of bounds.
    #[error("{text:?}: a delay must lie between 0 and 10 s")]
    DelayBounds {
        /// What was typed.
        text: String,
    },
}

/// Parses a size such as `64MiB`, `64M`, `1.5 GiB` or `65536` into bytes. M and MB mean MiB: sizes of memory are
/// powers of two, while [`ByteSize`] reads M and MB as powers of ten.
///
/// # Errors
/// When the text is not a size.
pub fn bytes(text: &str) -> Result<u64, UnitError> {
    let lower = text.trim().to_ascii_lowercase();
    let stem = lower.strip_suffix('b').unwrap_or(&lower);
    let stem = stem.strip_suffix('i').unwrap_or(stem).trim_end();
    let unit = if stem.ends_with(|c: char| c.is_ascii_alphabetic()) {
        "ib"
    } else {
        "b"
    };
    let Ok(ByteSize(bytes)) = format!("{stem}{unit}").parse() else {
        return Err(UnitError::Size { text: text.into() });
    };
    if !(1..BYTES_MAX).contains(&bytes) {
        return Err(UnitError::SizeBounds { text: text.into() });
    }
    Ok(bytes)
}

/// Parses a rate such as `38.4Mbit`, `1 Gbit/s`, `500kbps` into bits per second. Units are powers of ten.
///
/// # Errors
/// When the text is not a rate.
pub fn rate_bits_per_s(text: &str) -> Result<f64, UnitError> {
    let wrong = || UnitError::Rate { text: text.into() };
    let lower = text.trim().to_ascii_lowercase();
    let stem = ["bit/s", "bits/s", "bps", "bit"]
        .iter()
        .find_map(|unit| lower.strip_suffix(unit))
        .ok_or_else(wrong)?;
    let (number, factor) = match stem.chars().next_back() {
        Some('k') => (&stem[..stem.len() - 1], 1e3),
        Some('m') => (&stem[..stem.len() - 1], 1e6),
        Some('g') => (&stem[..stem.len() - 1], 1e9),
        _ => (stem, 1.0),
    };
    let rate = factor * plain_number(number).ok_or_else(wrong)?;
    if !(RATE_BITS_PER_S_MIN..=RATE_BITS_PER_S_MAX).contains(&rate) {
        return Err(UnitError::RateBounds { text: text.into() });
    }
    Ok(rate)
}

/// Parses a delay such as `3ms`, `500us`, `0.01s` or `0` into seconds.
///
/// # Errors
/// When the text is not a delay.
pub fn delay_s(text: &str) -> Result<f64, UnitError> {
    let wrong = || UnitError::Delay { text: text.into() };
    let lower = text.trim().to_ascii_lowercase();
    let (number, factor) = if let Some(stem) = lower.strip_suffix("us") {
        (stem, 1e-6)
    } else if let Some(stem) = lower.strip_suffix("ms") {
        (stem, 1e-3)
    } else if let Some(stem) = lower.strip_suffix('s') {
        (stem, 1.0)
    } else if plain_number(&lower) == Some(0.0) {
        return Ok(0.0);
    } else {
        return Err(wrong());
    };
    let seconds = factor * plain_number(number).ok_or_else(wrong)?;
    if !(0.0..=DELAY_S_MAX).contains(&seconds) {
        return Err(UnitError::DelayBounds { text: text.into() });
    }
    Ok(seconds)
}

/// A number of digits and at most one point; no sign, no exponent.
fn plain_number(text: &str) -> Option<f64> {
    let text = text.trim();
    let plain = text.chars().all(|c| c.is_ascii_digit() || c == '.');
    text.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, expected) in [
            ("64MiB", 64 << 20),
            ("64M", 64 << 20),
            ("64mb", 64 << 20),
            ("1.5 GiB", 3 << 29),
            (" .5g ", 1 << 29),
            ("65536", 65536),
            ("100 B", 100),
            ("12k", 12288),
        ] {
            assert_eq!(bytes(text).unwrap(), expected, "{text}");
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
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rates_are_read() {
        for (text, expected) in [
            ("38.4Mbit", 38.4e6),
            ("1 Gbit/s", 1e9),
            ("500kbps", 5e5),
            ("9600bit", 9600.0),
            (" 100MBIT ", 1e8),
        ] {
            assert_eq!(rate_bits_per_s(text).unwrap(), expected, "{text}");
        }
        for bad in [
            "",
            "bit",
            "Mbit",
            "100",
            "100M",
            "5MB",
            "0Mbit",
            "1bit",
            "-1Mbit",
            "1e3Mbit",
            "inf",
            "NaNbit",
            "2000Gbit",
            "\u{e9}bit",
        ] {
            assert!(rate_bits_per_s(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn delays_are_read() {
        for (text, expected) in [
            ("3ms", 3e-3),
            ("500 us", 5e-4),
            ("0.5s", 0.5),
            ("0", 0.0),
            ("0ms", 0.0),
        ] {
            let got = delay_s(text).unwrap();
            assert!((got - expected).abs() < 1e-12, "{text}");
        }
        for bad in ["", "ms", "3", "3 min", "-1ms", "11s", "NaNs", "1e-3s"] {
            assert!(delay_s(bad).is_err(), "{bad}");
        }
    }
}
