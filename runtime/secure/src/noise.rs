//! What `snow` computes a handshake with: X25519 of curve25519-dalek, BLAKE2s, and ring's ChaCha20-Poly1305.
//!
//! `snow`'s own choices would draw randomness from the system, and keep private keys in memory that is given back as it is. Here the
//! ephemeral key is an argument, private keys are wiped, operations on the curve are counted, and a shared secret of zeroes (from
//! a public key of low order) ends the handshake.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use blake2::{Blake2s256, Digest};
use curve25519_dalek::MontgomeryPoint;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use snow::{
    Error,
    params::{CipherChoice, DHChoice, HashChoice},
    resolvers::CryptoResolver,
    types::{Cipher, Dh, Hash, Random},
};
use zeroize::{Zeroize, Zeroizing};

/// Operations on the curve, which are what a handshake costs. Shared by all handshakes of a node.
pub(crate) type CurveCount = Arc<AtomicU64>;

/// Bytes of a tag of ChaCha20-Poly1305.
const TAG: usize = 16;

/// The nonce of a counter: Noise, section 12.3; WireGuard's too.
pub(crate) fn nonce(counter: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&counter.to_le_bytes());
    Nonce::assume_unique_for_key(bytes)
}

/// A key of ChaCha20-Poly1305. `None` never happens: all keys have 32 bytes.
pub(crate) fn aead_key(key: &[u8; 32]) -> Option<LessSafeKey> {
    UnboundKey::new(&CHACHA20_POLY1305, key)
        .ok()
        .map(LessSafeKey::new)
}

/// Gives one handshake its primitives.
pub(crate) struct Resolver {
    /// The public key of the node, which it need not compute again for each handshake.
    pub public: [u8; 32],
    /// The private ephemeral key of this handshake.
    pub ephemeral: Zeroizing<[u8; 32]>,
    /// Where operations on the curve are counted.
    pub count: CurveCount,
}

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Once(Some(self.ephemeral.clone()))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        matches!(choice, DHChoice::Curve25519).then(|| {
            Box::new(X25519 {
                private: Zeroizing::new([0; 32]),
                public: self.public,
                count: Arc::clone(&self.count),
            }) as Box<dyn Dh>
        })
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        matches!(choice, HashChoice::Blake2s).then(|| Box::<Blake2s>::default() as Box<dyn Hash>)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        matches!(choice, CipherChoice::ChaChaPoly)
            .then(|| Box::<ChaChaPoly>::default() as Box<dyn Cipher>)
    }
}

/// Randomness for one ephemeral key, and for no second one.
struct Once(Option<Zeroizing<[u8; 32]>>);

impl Random for Once {
    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Error> {
        let bytes = self.0.take().ok_or(Error::Rng)?;
        if to.len() != bytes.len() {
            return Err(Error::Rng);
        }
        to.copy_from_slice(&*bytes);
        Ok(())
    }
}

struct X25519 {
    private: Zeroizing<[u8; 32]>,
    public: [u8; 32],
    count: CurveCount,
}

impl X25519 {
    fn count(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }
}

impl Dh for X25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    /// Called for the node's own key alone, whose public key is known.
    fn set(&mut self, private: &[u8]) {
        if let Ok(key) = private.try_into() {
            *self.private = key;
        }
    }

    fn generate(&mut self, random: &mut dyn Random) -> Result<(), Error> {
        random.try_fill_bytes(&mut *self.private)?;
        self.count();
        self.public = MontgomeryPoint::mul_base_clamped(*self.private).to_bytes();
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    fn privkey(&self) -> &[u8] {
        &*self.private
    }

    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), Error> {
        // `snow` passes buffers that are large enough for any curve.
        let (public, out) = (public.first_chunk::<32>(), out.first_chunk_mut::<32>());
        let (Some(public), Some(out)) = (public, out) else {
            return Err(Error::Dh);
        };
        self.count();
        *out = MontgomeryPoint(*public)
            .mul_clamped(*self.private)
            .to_bytes();
        // RFC 7748, section 6.1.
        if out.iter().fold(0, |a, b| a | b) == 0 {
            return Err(Error::Dh);
        }
        Ok(())
    }
}

#[derive(Default)]
struct Blake2s(Blake2s256);

impl Hash for Blake2s {
    fn name(&self) -> &'static str {
        "BLAKE2s"
    }

    fn block_len(&self) -> usize {
        64
    }

    fn hash_len(&self) -> usize {
        32
    }

    fn reset(&mut self) {
        self.0 = Blake2s256::new();
    }

    fn input(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn result(&mut self, out: &mut [u8]) {
        out[..32].copy_from_slice(&self.0.finalize_reset());
    }
}

#[derive(Default)]
struct ChaChaPoly(Option<LessSafeKey>);

impl Cipher for ChaChaPoly {
    fn name(&self) -> &'static str {
        "ChaChaPoly"
    }

    fn set(&mut self, key: &[u8; 32]) {
        self.0 = aead_key(key);
    }

    fn encrypt(&self, counter: u64, authentic: &[u8], plain: &[u8], out: &mut [u8]) -> usize {
        let (text, rest) = out.split_at_mut(plain.len());
        text.copy_from_slice(plain);
        let key = self.0.as_ref();
        let tag = key.and_then(|k| {
            k.seal_in_place_separate_tag(nonce(counter), Aad::from(authentic), text)
                .ok()
        });
        match tag {
            Some(tag) => rest[..TAG].copy_from_slice(tag.as_ref()),
            // Never for handshakes, which are short and have keys. The text must not stay readable.
            None => out[..plain.len() + TAG].zeroize(),
        }
        plain.len() + TAG
    }

    fn decrypt(
        &self,
        counter: u64,
        authentic: &[u8],
        sealed: &[u8],
        out: &mut [u8],
    ) -> Result<usize, Error> {
        let plain = sealed.len().checked_sub(TAG).ok_or(Error::Decrypt)?;
        let key = self.0.as_ref().ok_or(Error::Decrypt)?;
        if out.len() < plain {
            return Err(Error::Decrypt);
        }
        // A handshake's pieces are short.
        let mut buffer = Zeroizing::new(sealed.to_vec());
        let opened = key.open_in_place(nonce(counter), Aad::from(authentic), &mut buffer);
        out[..plain].copy_from_slice(opened.map_err(|_| Error::Decrypt)?);
        Ok(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The AEAD of RFC 8439, appendix A.5: its nonce is a counter as sessions count. The tag depends on all of the sealed text.
    #[test]
    fn aead_of_rfc_8439() {
        let key = "1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0";
        let key: [u8; 32] = hex::decode(key).unwrap().try_into().unwrap();
        let head = hex::decode("f33388860000000000004e91").unwrap();
        let text = "Internet-Drafts are draft documents valid for a maximum of six months and may be updated, replaced, or \
                    obsoleted by other documents at any time. It is inappropriate to use Internet-Drafts as reference material or to \
                    cite them other than as /\u{201c}work in progress./\u{201d}";
        let counter = u64::from_le_bytes([1, 2, 3, 4, 5, 6, 7, 8]);
        let mut cipher = ChaChaPoly::default();
        cipher.set(&key);
        let mut sealed = vec![0; text.len() + TAG];
        cipher.encrypt(counter, &head, text.as_bytes(), &mut sealed);
        assert_eq!(
            hex::encode(&sealed[..16]),
            "64a0861575861af460f062c79be643bd"
        );
        let tag = hex::encode(&sealed[text.len()..]);
        assert_eq!(tag, "eead9d67890cbb22392336fea1851f38");
        let mut open = vec![0; text.len()];
        assert_eq!(
            cipher.decrypt(counter, &head, &sealed, &mut open).ok(),
            Some(text.len())
        );
        assert_eq!(open, text.as_bytes());
        for at in [0, text.len() - 1, text.len() + TAG - 1] {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(cipher.decrypt(counter, &head, &changed, &mut open).is_err());
        }
        assert!(
            cipher
                .decrypt(counter + 1, &head, &sealed, &mut open)
                .is_err()
        );
    }
}
