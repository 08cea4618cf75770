//! Keyed BLAKE2s (RFC 7693): for keys that follow from others, and for the two MACs of handshake messages.

use blake2::{
    Blake2sMac,
    digest::{
        Mac,
        consts::{U16, U32},
    },
};

/// 32 bytes that depend on the key and on all of `parts`, whose lengths are fixed.
pub(crate) fn derive(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = <Blake2sMac<U32> as Mac>::new(key.into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn mac(key: &[u8; 32], bytes: &[u8]) -> Blake2sMac<U16> {
    let mut mac = <Blake2sMac<U16> as Mac>::new(key.into());
    mac.update(bytes);
    mac
}

/// The MAC of `bytes`, in 16 bytes.
pub(crate) fn tag(key: &[u8; 32], bytes: &[u8]) -> [u8; 16] {
    mac(key, bytes).finalize().into_bytes().into()
}

/// True if `tag` is the MAC of `bytes`; compared in constant time.
pub(crate) fn tag_fits(key: &[u8; 32], bytes: &[u8], tag: &[u8]) -> bool {
    mac(key, bytes).verify_slice(tag).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published vectors of keyed BLAKE2s (`blake2s-kat.txt`): the key is 00, 01 .. 1f.
    #[test]
    fn published_vectors() {
        let key: [u8; 32] = std::array::from_fn(|k| k as u8);
        for (input, hash) in [
            (
                &[][..],
                "48a8997da407876b3d79c0d92325ad3b89cbb754d86ab71aee047ad345fd2c49",
            ),
            (
                &[0][..],
                "40d15fee7c328830166ac3f918650f807e7e01e177258cdc0a39b11f598066f1",
            ),
        ] {
            assert_eq!(hex::encode(derive(&key, &[input])), hash);
        }
        assert!(tag_fits(&key, b"x", &tag(&key, b"x")));
        assert!(!tag_fits(&key, b"y", &tag(&key, b"x")));
        assert!(!tag_fits(&key, b"x", &tag(&key, b"x")[..15]));
    }
}
