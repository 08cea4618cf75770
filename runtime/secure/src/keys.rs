//! The keys of nodes and the secret of a cluster. Private ones are wiped when dropped, and `Debug` does not show them.

use std::fmt;

use curve25519_dalek::{MontgomeryPoint, scalar::clamp_integer};
use zeroize::{Zeroize, Zeroizing};

pub use crate::text::KeyError;
use crate::{
    hash::derive,
    text::{decode, encode},
};

/// A node's private key: an X25519 scalar (RFC 7748).
pub struct PrivateKey([u8; 32]);

/// What all nodes of a cluster share: the pre-shared key of their handshakes.
pub struct ClusterSecret([u8; 32]);

/// A node's public key: what `cluster.toml` lists, and who a node is to its peers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

impl PrivateKey {
    /// A new key out of 32 bytes that nobody can guess, clamped as `wg genkey` writes it.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self(clamp_integer(bytes))
    }

    /// The public key that belongs to this key: one operation on the curve.
    pub fn public(&self) -> PublicKey {
        PublicKey(MontgomeryPoint::mul_base_clamped(self.0).to_bytes())
    }

    /// The key of a second node on the same board, the edge that a gateway starts: it follows from the board's, so that a board
    /// has one file.
    pub fn of_second_node(&self) -> Self {
        Self::from_random(derive(&self.0, &[b"tessera second node of a board"]))
    }

    /// False if `public` is a point of small order, with which no secret can be shared.
    pub(crate) fn can_share_with(&self, public: &PublicKey) -> bool {
        let shared = Zeroizing::new(MontgomeryPoint(public.0).mul_clamped(self.0).to_bytes());
        shared.iter().fold(0, |a, b| a | b) != 0
    }

    /// The key as text, for a file that only its owner reads (mode 0600).
    pub fn to_text(&self) -> Zeroizing<String> {
        encode(&self.0)
    }

    pub(crate) const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl ClusterSecret {
    /// A new secret out of 32 bytes that nobody can guess.
    pub const fn from_random(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The secret as text, for a file that only its owner reads (mode 0600).
    pub fn to_text(&self) -> Zeroizing<String> {
        encode(&self.0)
    }

    pub(crate) const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Reads a private key: the text of its file. That nobody else may read the file (mode 0600) is for the caller to check.
///
/// # Errors
/// If the text is no key.
pub fn parse_private(text: &str) -> Result<PrivateKey, KeyError> {
    decode(text).map(|key| PrivateKey(*key))
}

/// Reads a public key.
///
/// # Errors
/// If the text is no key.
pub fn parse_public(text: &str) -> Result<PublicKey, KeyError> {
    decode(text).map(|key| PublicKey(*key))
}

/// Reads a cluster's secret: the text of its file. As for [`parse_private`], the caller checks the file's mode.
///
/// # Errors
/// If the text is no key.
pub fn parse_secret(text: &str) -> Result<ClusterSecret, KeyError> {
    decode(text).map(|key| ClusterSecret(*key))
}

impl Drop for PrivateKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Drop for ClusterSecret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterSecret(..)")
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7748, section 6.1: Alice's and Bob's keys.
    #[test]
    fn public_keys_of_rfc_7748() {
        for (private, public) in [
            (
                "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
                "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
            ),
            (
                "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
                "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
            ),
        ] {
            let key: [u8; 32] = hex::decode(private).unwrap().try_into().unwrap();
            let key = parse_private(&encode(&key)).unwrap();
            assert_eq!(hex::encode(key.public().0), public);
        }
    }

    #[test]
    fn private_keys_are_not_shown() {
        let key = PrivateKey::from_random([7; 32]);
        let secret = ClusterSecret::from_random([7; 32]);
        assert_eq!(
            format!("{key:?} {secret:?}"),
            "PrivateKey(..) ClusterSecret(..)"
        );
        let public = key.public();
        assert_eq!(parse_public(&public.to_string()), Ok(public));
        assert_eq!(parse_private(&key.to_text()).unwrap().public(), public);
        assert_eq!(parse_secret(&secret.to_text()).unwrap().0, [7; 32]);
        let second = key.of_second_node().public();
        assert!(second != public && second == key.of_second_node().public());
        // Clamped: RFC 7748, section 5.
        let key = PrivateKey::from_random([0xff; 32]);
        assert_eq!((key.0[0], key.0[31]), (0xf8, 0x7f));
    }
}
