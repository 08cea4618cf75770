//! The code by which a new board and the operator's machine know each other once: 80 random bits in 16 characters that a
//! person types.
//!
//! Both sides make the same keys out of the code, one pair for each side and a secret, and speak in a session with these: what
//! holds for sessions holds for pairing. Without the code nobody gets an answer. Whoever records a pairing, or answers one, can
//! try codes on what was sent: 2^79 of them in the mean, each a hash and two operations on the curve, so a machine that tries a
//! billion in a second needs 19 million years. A short code (six digits) would need a PAKE, which is code that nobody
//! here has checked; 16 characters need none. Whoever learns the code later learns nothing of what was sent: a session's keys
//! come from ephemeral ones, too.

use std::{fmt, str::FromStr};

use thiserror::Error;
use zeroize::Zeroize;

use crate::{
    Config, Invited, Links, Sessions,
    hash::derive,
    keys::{ClusterSecret, PrivateKey},
};

/// Bytes of a code.
const BYTES: usize = 10;
/// Characters of a code.
const CHARACTERS: usize = 16;
/// Crockford's base 32: no letter that looks like a digit.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A code for one pairing.
#[derive(Clone, PartialEq, Eq)]
pub struct PairingCode([u8; BYTES]);

/// Why a text is no code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a pairing code has 16 letters and digits, as in ABCD-EFGH-JKMN-PQRS; type all of it")]
pub struct CodeError;

/// Who of the two one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The machine that shows the code.
    Operator,
    /// The board that joins.
    Board,
}

impl Side {
    /// The number that the other side has in [`PairingCode::links`].
    pub const OTHER: u16 = 0;

    const fn label(self) -> &'static [u8] {
        match self {
            Self::Operator => b"tessera pairing, operator",
            Self::Board => b"tessera pairing, board   ",
        }
    }
}

impl PairingCode {
    /// A code out of bytes that nobody can guess.
    pub const fn from_random(bytes: [u8; BYTES]) -> Self {
        Self(bytes)
    }

    /// Sessions with the other side, whose number is [`Side::OTHER`]. The `seed` is as in [`Sessions::new`].
    pub fn links(&self, me: Side, seed: [u8; 32]) -> Links {
        let mut key = [0; 32];
        key[..BYTES].copy_from_slice(&self.0);
        let make = |label: &[u8]| derive(&key, &[label]);
        let other = match me {
            Side::Operator => Side::Board,
            Side::Board => Side::Operator,
        };
        let private = PrivateKey::from_random(make(me.label()));
        let public = PrivateKey::from_random(make(other.label())).public();
        let secret = ClusterSecret::from_random(make(b"tessera pairing, secret"));
        let config = Config {
            times: crate::Times::NODES,
            ..Config::default()
        };
        let mut links = Links::new(Sessions::new(private, secret, seed, config), None);
        links.invite(&[Invited {
            number: Side::OTHER,
            name: "other".into(),
            public,
        }]);
        key.zeroize();
        links
    }
}

impl FromStr for PairingCode {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        let mut bits = 0u128;
        let mut count = 0;
        for c in text.chars().filter(|c| !" -".contains(*c)) {
            // What people take for digits.
            let c = match c.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                c => c,
            };
            let value = ALPHABET.iter().position(|a| char::from(*a) == c);
            bits = bits << 5 | value.ok_or(CodeError)? as u128;
            count += 1;
            if count > CHARACTERS {
                return Err(CodeError);
            }
        }
        if count != CHARACTERS {
            return Err(CodeError);
        }
        let mut bytes = [0; BYTES];
        bytes.copy_from_slice(&bits.to_be_bytes()[16 - BYTES..]);
        Ok(Self(bytes))
    }
}

impl fmt::Display for PairingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self
            .0
            .iter()
            .fold(0u128, |bits, b| bits << 8 | u128::from(*b));
        for k in 0..CHARACTERS {
            if k > 0 && k % 4 == 0 {
                f.write_str("-")?;
            }
            let at = (bits >> (5 * (CHARACTERS - 1 - k))) as usize & 31;
            write!(f, "{}", char::from(ALPHABET[at]))?;
        }
        Ok(())
    }
}

impl fmt::Debug for PairingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PairingCode(..)")
    }
}

impl Drop for PairingCode {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn text_and_back(bytes: [u8; BYTES]) {
            let code = PairingCode(bytes);
            let text = code.to_string();
            prop_assert_eq!(text.len(), 19);
            prop_assert_eq!(&text.parse::<PairingCode>().unwrap(), &code);
            prop_assert_eq!(&text.to_lowercase().replace('-', " ").parse::<PairingCode>().unwrap(), &code);
            prop_assert_eq!(&text.replace('0', "o").replace('1', "l").parse::<PairingCode>().unwrap(), &code);
        }

        #[test]
        fn any_text_is_a_code_or_an_error(text in "\\PC{0,24}") {
            let _ = text.parse::<PairingCode>();
        }
    }

    #[test]
    fn what_is_no_code() {
        for text in [
            "",
            "ABCD-EFGH-JKMN-PQR",
            "ABCD-EFGH-JKMN-PQRST",
            "ABCD-EFGH-JKMN-PQRU",
            "é",
        ] {
            assert_eq!(text.parse::<PairingCode>(), Err(CodeError), "{text}");
        }
        let code = PairingCode([255; BYTES]);
        assert_eq!(
            (code.to_string(), format!("{code:?}")),
            ("ZZZZ-ZZZZ-ZZZZ-ZZZZ".into(), "PairingCode(..)".into())
        );
    }

    #[test]
    fn only_the_same_code_is_answered() {
        use crate::{HEAD_BYTES, TAG_BYTES, Way};
        let at = |n: u8| std::net::SocketAddr::from(([10, 0, 0, n], 7));
        for (other, hears) in [(1, true), (2, false)] {
            let mut board = PairingCode([1; BYTES]).links(Side::Board, [3; 32]);
            let mut operator = PairingCode([other; BYTES]).links(Side::Operator, [4; 32]);
            let way = Way {
                number: Side::OTHER,
                process: None,
                address: at(1),
            };
            let mut datagram = [&[0; HEAD_BYTES][..], b"hello", &[0; TAG_BYTES]].concat();
            assert!(board.seal(1, way, &mut datagram).is_err(), "it waits");
            let mut heard = false;
            for _ in 0..4 {
                while let Some((_, bytes)) = board.poll(2) {
                    heard |= operator.open(2, at(2), &mut bytes.to_vec()).is_some();
                }
                while let Some((_, bytes)) = operator.poll(2) {
                    board.open(2, at(1), &mut bytes.to_vec());
                }
            }
            assert_eq!(heard, hears);
            assert_eq!(operator.counts().curve_operations > 0, hears, "{other}");
        }
    }
}
