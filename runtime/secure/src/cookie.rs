//! The two MACs of handshake messages, and cookies (Donenfeld 2017, section 5.3).
//!
//! `mac1` is over the message under a key that follows from the cluster's secret and the receiver's public key, so a stranger
//! can not make it, even one who knows the public key. Without it a message gets no answer and costs one hash. `mac2` is under a cookie that the receiver
//! has sent to the sender's address; it is demanded under load, when the receiver can not take every sender's word for its address.
//!
//! A cookie travels sealed, bound to the `mac1` of the message that it answers. WireGuard seals it with XChaCha20-Poly1305, which ring
//! does not have. Here each cookie has a key of its own, made of the receiver's key and 24 random bytes, which is what XChaCha20 does, too.

use std::net::SocketAddr;

use ring::aead::{Aad, Tag};

use crate::{
    Micros,
    hash::{derive, tag, tag_fits},
    keys::{ClusterSecret, PublicKey},
    noise::{aead_key, nonce},
    random::Generator,
    wire::{COOKIE, COOKIE_BYTES, MACS},
};

/// The keys of messages to one node.
#[derive(Clone)]
pub(crate) struct MacKeys {
    mac1: [u8; 32],
    cookie: [u8; 32],
}

impl MacKeys {
    pub(crate) fn new(secret: &ClusterSecret, to: &PublicKey) -> Self {
        Self {
            mac1: derive(secret.bytes(), &[b"tessera 1 mac1--", &to.0]),
            cookie: derive(secret.bytes(), &[b"tessera 1 cookie", &to.0]),
        }
    }

    /// True if a message to this node has the right `mac1`.
    pub(crate) fn fits(&self, message: &[u8]) -> bool {
        let (text, macs) = message.split_at(message.len().saturating_sub(MACS));
        macs.len() == MACS && tag_fits(&self.mac1, text, &macs[..16])
    }

    /// Writes the MACs of a message to this node.
    pub(crate) fn sign(&self, message: &mut [u8], jar: &mut Jar, now: Micros, cookie_us: Micros) {
        let from = message.len().saturating_sub(MACS);
        let mac1 = tag(&self.mac1, &message[..from]);
        message[from..from + 16].copy_from_slice(&mac1);
        jar.mac1 = Some(mac1);
        if let Some((cookie, at)) = jar.cookie
            && now.saturating_sub(at) < cookie_us
        {
            let mac2 = tag(&mac2_key(&cookie), &message[..from + 16]);
            message[from + 16..].copy_from_slice(&mac2);
        }
    }

    fn seal_key(&self, nonce: &[u8]) -> [u8; 32] {
        derive(&self.cookie, &[nonce])
    }

    /// The cookie datagram that answers `message`, which was for this node and whose sender is called `receiver`.
    pub(crate) fn seal(
        &self,
        receiver: u32,
        mut cookie: [u8; 16],
        random: [u8; 32],
        message: &[u8],
    ) -> Option<[u8; COOKIE_BYTES]> {
        let mut out = [0; COOKIE_BYTES];
        out[0] = COOKIE;
        out[4..8].copy_from_slice(&receiver.to_le_bytes());
        out[8..32].copy_from_slice(&random[..24]);
        let key = aead_key(&self.seal_key(&random[..24]))?;
        let sealed =
            key.seal_in_place_separate_tag(nonce(0), Aad::from(mac1(message)?), &mut cookie);
        out[32..48].copy_from_slice(&cookie);
        out[48..].copy_from_slice(sealed.ok()?.as_ref());
        Some(out)
    }
}

/// Writes `mac1` into a handshake message to the owner of `to`, as everybody can who knows the cluster's secret: for tests of what
/// such a message does.
pub fn sign(secret: &ClusterSecret, to: &PublicKey, message: &mut [u8]) {
    if message.len() >= MACS {
        MacKeys::new(secret, to).sign(message, &mut Jar::default(), 0, 0);
    }
}

/// The `mac1` of a message.
fn mac1(message: &[u8]) -> Option<&[u8]> {
    let from = message.len().checked_sub(MACS)?;
    message.get(from..from + 16)
}

fn mac2_key(cookie: &[u8; 16]) -> [u8; 32] {
    let mut key = [0; 32];
    key[..16].copy_from_slice(cookie);
    key
}

/// Makes cookies for addresses, under a secret that changes.
pub(crate) struct CookieMaker {
    secret: [u8; 32],
    end_us: Micros,
}

impl CookieMaker {
    pub(crate) const fn new() -> Self {
        // A secret is drawn before the first use.
        Self {
            secret: [0; 32],
            end_us: 0,
        }
    }

    /// The cookie of an address.
    pub(crate) fn cookie(
        &mut self,
        from: SocketAddr,
        now: Micros,
        cookie_us: Micros,
        random: &mut Generator,
    ) -> [u8; 16] {
        if now >= self.end_us {
            self.secret = random.draw();
            self.end_us = now.saturating_add(cookie_us).max(1);
        }
        let mut place = [0; 18];
        match from.ip().to_canonical() {
            std::net::IpAddr::V4(ip) => place[..4].copy_from_slice(&ip.octets()),
            std::net::IpAddr::V6(ip) => place[..16].copy_from_slice(&ip.octets()),
        }
        place[16..].copy_from_slice(&from.port().to_le_bytes());
        tag(&self.secret, &place)
    }
}

/// True if a message has the right `mac2` for its sender's cookie.
pub(crate) fn proves_address(message: &[u8], cookie: &[u8; 16]) -> bool {
    let (text, mac2) = message.split_at(message.len().saturating_sub(16));
    tag_fits(&mac2_key(cookie), text, mac2)
}

/// What a sender keeps of a receiver's cookies.
#[derive(Clone, Default)]
pub(crate) struct Jar {
    /// The `mac1` of the latest message to the receiver.
    mac1: Option<[u8; 16]>,
    /// The latest cookie, and when it came.
    cookie: Option<([u8; 16], Micros)>,
}

impl Jar {
    /// Keeps the cookie of a datagram that answers the latest message to the node of `keys`; false if it does not.
    pub(crate) fn take(
        &mut self,
        datagram: &[u8; COOKIE_BYTES],
        keys: &MacKeys,
        now: Micros,
    ) -> bool {
        let Some(mac1) = self.mac1 else {
            return false;
        };
        let Some(key) = aead_key(&keys.seal_key(&datagram[8..32])) else {
            return false;
        };
        let mut cookie = [0; 16];
        cookie.copy_from_slice(&datagram[32..48]);
        let Ok(tag) = Tag::try_from(&datagram[48..]) else {
            return false;
        };
        let opened =
            key.open_in_place_separate_tag(nonce(0), Aad::from(mac1), tag, &mut cookie, 0..);
        if opened.is_err() {
            return false;
        }
        // One answer to a message counts.
        self.mac1 = None;
        self.cookie = Some((cookie, now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Micros = 86_400_000_000;

    #[test]
    fn a_cookie_proves_an_address_for_a_while() {
        let keys = MacKeys::new(&ClusterSecret::from_random([1; 32]), &PublicKey([2; 32]));
        let mut random = Generator::new([3; 32]);
        let (mut maker, mut jar) = (CookieMaker::new(), Jar::default());
        let here: SocketAddr = ([10, 0, 0, 1], 5).into();
        let mut message = [7; 100];
        message[68..].fill(0);
        keys.sign(&mut message, &mut jar, 0, DAY);
        assert!(keys.fits(&message));
        let cookie = maker.cookie(here, 0, DAY, &mut random);
        assert!(!proves_address(&message, &cookie));

        let reply = keys.seal(9, cookie, random.draw(), &message).unwrap();
        for bit in 8 * 8..8 * COOKIE_BYTES {
            let mut changed = reply;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!jar.take(&changed, &keys, 0));
        }
        let others = MacKeys::new(&ClusterSecret::from_random([1; 32]), &PublicKey([9; 32]));
        assert!(!jar.take(&reply, &others, 0));
        assert!(jar.take(&reply, &keys, 0));
        assert!(!jar.take(&reply, &keys, 0), "answers one message once");

        keys.sign(&mut message, &mut jar, DAY - 1, DAY);
        assert!(proves_address(
            &message,
            &maker.cookie(here, DAY - 1, DAY, &mut random)
        ));
        let mapped: SocketAddr = "[::ffff:10.0.0.1]:5".parse().unwrap();
        assert!(proves_address(
            &message,
            &maker.cookie(mapped, DAY - 1, DAY, &mut random)
        ));
        for other in ["10.0.0.1:6", "10.0.0.2:5", "[::1]:5"] {
            let cookie = maker.cookie(other.parse().unwrap(), DAY - 1, DAY, &mut random);
            assert!(!proves_address(&message, &cookie), "{other}");
        }
        assert!(
            !proves_address(&message, &maker.cookie(here, DAY, DAY, &mut random)),
            "another secret"
        );
    }

    #[test]
    fn an_old_cookie_is_not_used() {
        let keys = MacKeys::new(&ClusterSecret::from_random([1; 32]), &PublicKey([2; 32]));
        let mut jar = Jar {
            cookie: Some(([1; 16], 0)),
            mac1: None,
        };
        let mut message = [0; 100];
        keys.sign(&mut message, &mut jar, DAY, DAY);
        assert_eq!(message[84..], [0; 16]);
    }
}
