//! Keys as text: WireGuard's form, 32 bytes in 44 characters of base64.
//!
//! No branch and no table index depends on a key's bits, as in WireGuard's tools.

use thiserror::Error;
use zeroize::Zeroizing;

/// Characters of a key.
const CHARACTERS: usize = 44;

/// Why a text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text is shorter or longer than a key.
    #[error(
        "a key has 44 characters of base64 on one line, as `wg genkey` writes it; this text has {found}"
    )]
    Length {
        /// Bytes found, without white space around them.
        found: usize,
    },
    /// A character that base64 does not have, or that can not stand there.
    #[error("character {at} of the key is none that can stand there; copy the whole key again")]
    Character {
        /// The first wrong character, counted from 1.
        at: usize,
    },
    /// All bits are zero: an empty or wiped file.
    #[error("the key is all zeroes, so it is no key; make a new one")]
    Zero,
}

/// The character of six bits.
fn character(six: i32) -> u8 {
    let c =
        six + 65 + (((25 - six) >> 8) & 6) - (((51 - six) >> 8) & 75) - (((61 - six) >> 8) & 15)
            + (((62 - six) >> 8) & 3);
    c as u8
}

/// The six bits of a character, or -1.
fn six(character: u8) -> i32 {
    let c = i32::from(character);
    // All ones if `low < c < high`.
    let within = |low: i32, high: i32| ((low - c) & (c - high)) >> 8;
    -1 + (within(64, 91) & (c - 64))
        + (within(96, 123) & (c - 70))
        + (within(47, 58) & (c + 5))
        + (within(42, 44) & 63)
        + (within(46, 48) & 64)
}

/// The text of a key.
pub(crate) fn encode(key: &[u8; 32]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(CHARACTERS));
    for piece in key.chunks(3) {
        let byte = |k: usize| i32::from(piece.get(k).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for k in 0..=piece.len() {
            text.push(char::from(character(bits >> (18 - 6 * k) & 63)));
        }
    }
    text.push('=');
    text
}

/// The key of a text; white space around it does not count.
pub(crate) fn decode(text: &str) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let text = text.trim().as_bytes();
    let Ok(text) = <&[u8; CHARACTERS]>::try_from(text) else {
        return Err(KeyError::Length { found: text.len() });
    };
    let mut key = Zeroizing::new([0; 32]);
    let mut wrong = None;
    for (k, piece) in text.chunks_exact(4).enumerate() {
        let mut bits = 0;
        for (i, &c) in piece.iter().enumerate() {
            let at = 4 * k + i;
            let last = at == CHARACTERS - 1;
            let value = if last && c == b'=' { 0 } else { six(c) };
            // Before the "=" stand four bits: the other two are zero, so that a key has one text.
            let strays = at == CHARACTERS - 2 && value & 3 != 0;
            if value < 0 || strays || (last && c != b'=') {
                wrong = wrong.or(Some(at + 1));
            }
            bits = bits << 6 | (value & 63);
        }
        for (byte, shift) in key[3 * k..].iter_mut().zip([16, 8, 0]) {
            *byte = (bits >> shift) as u8;
        }
    }
    match wrong {
        Some(at) => Err(KeyError::Character { at }),
        None if key.iter().fold(0, |a, b| a | b) == 0 => Err(KeyError::Zero),
        None => Ok(key),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn text_and_back(key: [u8; 32]) {
            prop_assume!(key != [0; 32]);
            let text = encode(&key);
            prop_assert_eq!(text.len(), CHARACTERS);
            prop_assert_eq!(&*decode(&format!(" {}\n", *text)).unwrap(), &key);
        }

        #[test]
        fn any_text_is_a_key_or_an_error(text in "\\PC{0,50}") {
            if let Ok(key) = decode(&text) {
                prop_assert_eq!(&**encode(&key), text.trim());
            }
        }
    }

    /// RFC 4648's alphabet, by the texts of RFC 4648 section 10 and its table 1.
    #[test]
    fn the_alphabet() {
        let table = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        for (value, &c) in (0..).zip(table) {
            assert_eq!((character(value), six(c)), (c, value));
        }
        for c in (0..=u8::MAX).filter(|c| !table.contains(c)) {
            assert_eq!(six(c), -1, "{c}");
        }
        let mut key = [0; 32];
        key[..6].copy_from_slice(b"foobar");
        assert!(encode(&key).starts_with("Zm9vYmFyAAAA"));
    }

    #[test]
    fn errors_say_where() {
        let good = encode(&[0xff; 32]);
        let with = |at: usize, c: &str| {
            let mut text = good.to_string();
            text.replace_range(at..=at, c);
            decode(&text)
        };
        assert_eq!(decode(""), Err(KeyError::Length { found: 0 }));
        assert_eq!(decode(&good[1..]), Err(KeyError::Length { found: 43 }));
        assert_eq!(with(0, "-"), Err(KeyError::Character { at: 1 }));
        assert_eq!(with(20, "="), Err(KeyError::Character { at: 21 }));
        assert_eq!(with(42, "9"), Err(KeyError::Character { at: 43 }));
        assert_eq!(with(43, "A"), Err(KeyError::Character { at: 44 }));
        assert_eq!(decode(&encode(&[0; 32])), Err(KeyError::Zero));
    }
}
