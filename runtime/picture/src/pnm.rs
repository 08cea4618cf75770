//! Whether a PNM file in plain text holds all of its samples: its decoder takes zeros for those
//! that are missing.

use std::io::{BufRead, Result};

/// Whether plain samples are what the file's magic number announces (`P2`, `P3`).
pub(super) fn is_plain(head: &[u8]) -> bool {
    head.starts_with(b"P2") || head.starts_with(b"P3")
}

/// Whether a plain file has at least `samples` numbers behind width, height and greatest value.
pub(super) fn is_whole(mut file: impl BufRead, samples: u64) -> Result<bool> {
    // The magic number counts as the first word.
    let wanted = samples.saturating_add(4);
    let (mut words, mut inside, mut comment) = (0, false, false);
    loop {
        let bytes = file.fill_buf()?;
        if bytes.is_empty() {
            return Ok(false);
        }
        for b in bytes {
            comment = match b {
                b'\n' | b'\r' => false,
                b'#' => true,
                _ => comment,
            };
            let is_word = !comment && !b.is_ascii_whitespace() && *b != b'\x0b';
            words += u64::from(is_word && !inside);
            inside = is_word;
        }
        if words >= wanted {
            return Ok(true);
        }
        let read = bytes.len();
        file.consume(read);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_counted() {
        for (text, samples, whole) in [
            ("P3 1 1 255\n1 2 3\n", 3, true),
            ("P3 1 1 255\n1 2 3", 3, true),
            ("P3 1 1 255\n1 2", 3, false),
            ("P3\n# of 9 9\n1 1\n255\n1 2\n", 3, false),
            ("P3\n# of 9 9\n1 1\n255\n1 2\t3 9", 3, true),
            ("P2 2 1 9\r\n7\r\n8", 2, true),
            ("P2 2 1 9\r\n7\r\n", 2, false),
            ("", 0, false),
        ] {
            // Whatever is read at once.
            for size in 1..5 {
                let file = std::io::BufReader::with_capacity(size, text.as_bytes());
                assert_eq!(is_whole(file, samples).unwrap(), whole, "{text:?}");
            }
        }
    }
}
