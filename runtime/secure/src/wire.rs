//! The four datagrams of this layer. Numbers are little-endian.
//!
//! ```text
//! initiation, 152 bytes   1 0 0 0 | sender u32 | Noise message 1 (112): e 32, s 32+16, boot u64 and count u64 +16 | mac1 16 | mac2 16
//! response,   100 bytes   2 0 0 0 | sender u32 | receiver u32 | Noise message 2 (56): e 32, boot u64 +16 | mac1 16 | mac2 16
//! cookie,      64 bytes   3 0 0 0 | receiver u32 | nonce 24 | cookie 16 +16
//! data,    32 + n bytes   4 0 0 0 | receiver u32 | counter u64 | payload n +16
//! ```
//!
//! `sender` is the number by which the sender of a handshake message wants to be called; `receiver` is the number that the receiver
//! has chosen. "+16" is a tag. The first 16 bytes of data are authenticated, too. An empty payload is a keepalive.
//!
//! Data may be as long as a datagram may be. Nothing is padded: the lengths of payloads can be seen.

use crate::counts::Refusal;

/// Bytes before a payload.
pub const HEAD_BYTES: usize = 16;
/// Bytes behind a payload.
pub const TAG_BYTES: usize = 16;
/// Bytes of an initiation.
pub const INITIATION_BYTES: usize = 8 + NOISE_1 + MACS;
/// Bytes of a response.
pub const RESPONSE_BYTES: usize = 12 + NOISE_2 + MACS;
/// Bytes of a cookie.
pub const COOKIE_BYTES: usize = 8 + 24 + 16 + TAG_BYTES;

/// Bytes of an initiation's stamp.
pub(crate) const STAMP_BYTES: usize = 16;
/// Bytes of Noise message 1.
pub(crate) const NOISE_1: usize = 32 + (32 + TAG_BYTES) + (STAMP_BYTES + TAG_BYTES);
/// Bytes of Noise message 2.
pub(crate) const NOISE_2: usize = 32 + (8 + TAG_BYTES);
/// Bytes of `mac1` and `mac2`.
pub(crate) const MACS: usize = 32;

// Nobody gets an answer that is longer than what was sent.
const _: () = assert!(RESPONSE_BYTES <= INITIATION_BYTES && COOKIE_BYTES <= RESPONSE_BYTES);

/// First byte of an initiation.
pub(crate) const INITIATION: u8 = 1;
/// First byte of a response.
pub(crate) const RESPONSE: u8 = 2;
/// First byte of a cookie.
pub(crate) const COOKIE: u8 = 3;
/// First byte of data.
pub(crate) const DATA: u8 = 4;

/// A datagram by its kind, of the right length.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message<'a> {
    Initiation(&'a [u8; INITIATION_BYTES]),
    Response(&'a [u8; RESPONSE_BYTES]),
    Cookie(&'a [u8; COOKIE_BYTES]),
    Data { receiver: u32, counter: u64 },
}

/// The `u32` at byte `at`, or 0.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let word = bytes.get(at..).and_then(|b| b.first_chunk());
    u32::from_le_bytes(word.copied().unwrap_or_default())
}

/// The `u64` at byte `at`, or 0.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let word = bytes.get(at..).and_then(|b| b.first_chunk());
    u64::from_le_bytes(word.copied().unwrap_or_default())
}

/// Looks what a datagram is.
pub(crate) fn parse(bytes: &[u8]) -> Result<Message<'_>, Refusal> {
    let Some(&[kind, 0, 0, 0]) = bytes.first_chunk::<4>() else {
        return Err(Refusal::Malformed);
    };
    let message = match kind {
        INITIATION => bytes.try_into().ok().map(Message::Initiation),
        RESPONSE => bytes.try_into().ok().map(Message::Response),
        COOKIE => bytes.try_into().ok().map(Message::Cookie),
        DATA if bytes.len() >= HEAD_BYTES + TAG_BYTES => Some(Message::Data {
            receiver: u32_at(bytes, 4),
            counter: u64_at(bytes, 8),
        }),
        _ => None,
    };
    message.ok_or(Refusal::Malformed)
}

/// The head of data.
pub(crate) fn data_head(receiver: u32, counter: u64) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[0] = DATA;
    head[4..8].copy_from_slice(&receiver.to_le_bytes());
    head[8..].copy_from_slice(&counter.to_le_bytes());
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_kinds() {
        for kind in 0..=u8::MAX {
            for len in 0..200 {
                let mut bytes = vec![0; len];
                if let Some(first) = bytes.first_mut() {
                    *first = kind;
                }
                let right = match kind {
                    INITIATION => len == 152,
                    RESPONSE => len == 100,
                    COOKIE => len == 64,
                    DATA => len >= 32,
                    _ => false,
                };
                assert_eq!(parse(&bytes).is_ok(), right, "{kind} {len}");
                if right {
                    for k in 1..4 {
                        bytes[k] = 1;
                        assert_eq!(parse(&bytes), Err(Refusal::Malformed));
                        bytes[k] = 0;
                    }
                }
            }
        }
    }

    #[test]
    fn heads() {
        let mut bytes = data_head(7, 1 << 40 | 5).to_vec();
        bytes.resize(32, 0);
        assert_eq!(
            parse(&bytes),
            Ok(Message::Data {
                receiver: 7,
                counter: 1 << 40 | 5
            })
        );
    }
}
