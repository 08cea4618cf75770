//! The two messages of a handshake: Noise IKpsk2, computed by `snow`.
//!
//! ```text
//! initiator                                           responder
//!   e, es, s, ss, stamp  ──── initiation ───────────>   who is it; is the stamp new
//!                        <─────── response ───────────  e, ee, se, psk, boot
//!   first data           ─────────────────────────────>  the round trip is whole
//! ```

use std::sync::Arc;

use snow::{Builder, HandshakeState};
use zeroize::Zeroizing;

use crate::{
    cookie::MacKeys,
    counts::Refusal,
    keys::{ClusterSecret, PrivateKey, PublicKey},
    noise::{CurveCount, Resolver},
    stamp::Stamp,
    wire::{self, INITIATION_BYTES, NOISE_1, NOISE_2, RESPONSE_BYTES},
};

/// What a handshake is, by Noise's names.
const PATTERN: &str = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
/// Hashed into every handshake: nodes of another protocol or version do not understand each other.
const PROLOGUE: &[u8] = b"tessera session 1";
/// Where the pattern mixes the pre-shared key in.
const PSK: u8 = 2;

/// This node's own keys.
pub(crate) struct Local {
    pub private: PrivateKey,
    pub public: PublicKey,
    pub secret: ClusterSecret,
    /// The keys of messages to this node.
    pub macs: MacKeys,
    /// Operations on the curve so far.
    pub curve: CurveCount,
}

impl Local {
    pub(crate) fn new(private: PrivateKey, secret: ClusterSecret) -> Self {
        let public = private.public();
        let macs = MacKeys::new(&secret, &public);
        Self {
            private,
            public,
            secret,
            macs,
            curve: CurveCount::default(),
        }
    }

    /// A handshake with this node's keys: towards `remote`, or with whoever comes.
    fn begin(&self, remote: Option<&PublicKey>, ephemeral: [u8; 32]) -> Option<HandshakeState> {
        let resolver = Resolver {
            public: self.public.0,
            ephemeral: Zeroizing::new(ephemeral),
            count: Arc::clone(&self.curve),
        };
        let builder = Builder::with_resolver(PATTERN.parse().ok()?, Box::new(resolver))
            .local_private_key(self.private.bytes())
            .and_then(|b| b.psk(PSK, self.secret.bytes()))
            .and_then(|b| b.prologue(PROLOGUE))
            .ok()?;
        match remote {
            Some(remote) => builder.remote_public_key(&remote.0).ok()?.build_initiator(),
            None => builder.build_responder(),
        }
        .ok()
    }
}

/// The keys of a session.
pub(crate) struct Keys {
    pub send: Zeroizing<[u8; 32]>,
    pub receive: Zeroizing<[u8; 32]>,
}

fn split(state: &mut HandshakeState) -> Keys {
    let (initiators, responders) = state.dangerously_get_raw_split();
    let (initiators, responders) = (Zeroizing::new(initiators), Zeroizing::new(responders));
    if state.is_initiator() {
        Keys {
            send: initiators,
            receive: responders,
        }
    } else {
        Keys {
            send: responders,
            receive: initiators,
        }
    }
}

/// A handshake that waits for its response.
pub(crate) struct Pending {
    state: HandshakeState,
    /// What the peer is to call this node.
    pub index: u32,
}

/// Makes an initiation, still without MACs. `None` if the peer's key is none.
pub(crate) fn initiate(
    local: &Local,
    remote: &PublicKey,
    ephemeral: [u8; 32],
    stamp: Stamp,
    index: u32,
) -> Option<(Pending, [u8; INITIATION_BYTES])> {
    let mut state = local.begin(Some(remote), ephemeral)?;
    let mut message = [0; INITIATION_BYTES];
    message[0] = wire::INITIATION;
    message[4..8].copy_from_slice(&index.to_le_bytes());
    let written = state.write_message(&stamp.bytes(), &mut message[8..8 + NOISE_1]);
    (written == Ok(NOISE_1)).then_some((Pending { state, index }, message))
}

/// An initiation that decrypts, so it was made by the owner of `public` once.
pub(crate) struct Initiation {
    state: HandshakeState,
    pub public: PublicKey,
    pub stamp: Stamp,
    /// What the initiator is to be called.
    pub sender: u32,
}

/// Reads an initiation. `ephemeral` is for its response.
pub(crate) fn read_initiation(
    local: &Local,
    message: &[u8; INITIATION_BYTES],
    ephemeral: [u8; 32],
) -> Result<Initiation, Refusal> {
    let mut state = local.begin(None, ephemeral).ok_or(Refusal::BadHandshake)?;
    let mut stamp = [0; Stamp::BYTES];
    let read = state.read_message(&message[8..8 + NOISE_1], &mut stamp);
    let public = state.get_remote_static().and_then(|p| p.try_into().ok());
    match (read, public) {
        (Ok(Stamp::BYTES), Some(public)) => Ok(Initiation {
            state,
            public: PublicKey(public),
            stamp: Stamp::parse(&stamp),
            sender: wire::u32_at(message, 4),
        }),
        _ => Err(Refusal::BadHandshake),
    }
}

/// Makes the response, still without MACs, and the keys of the new session.
pub(crate) fn respond(
    mut initiation: Initiation,
    boot: u64,
    index: u32,
) -> Result<([u8; RESPONSE_BYTES], Keys), Refusal> {
    let mut message = [0; RESPONSE_BYTES];
    message[0] = wire::RESPONSE;
    message[4..8].copy_from_slice(&index.to_le_bytes());
    message[8..12].copy_from_slice(&initiation.sender.to_le_bytes());
    let state = &mut initiation.state;
    let written = state.write_message(&boot.to_le_bytes(), &mut message[12..12 + NOISE_2]);
    if written != Ok(NOISE_2) {
        return Err(Refusal::BadHandshake);
    }
    Ok((message, split(state)))
}

/// What a response brings.
pub(crate) struct Response {
    pub keys: Keys,
    /// The boot of the responder.
    pub boot: u64,
    /// What the responder is to be called.
    pub sender: u32,
}

/// Reads the response to `pending`. After an error the right response can still come.
pub(crate) fn read_response(
    pending: &mut Pending,
    message: &[u8; RESPONSE_BYTES],
) -> Result<Response, Refusal> {
    let mut boot = [0; 8];
    let read = pending
        .state
        .read_message(&message[12..12 + NOISE_2], &mut boot);
    if read != Ok(8) {
        return Err(Refusal::BadHandshake);
    }
    Ok(Response {
        keys: split(&mut pending.state),
        boot: u64::from_le_bytes(boot),
        sender: wire::u32_at(message, 4),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::{aead_key, nonce};
    use ring::aead::Aad;

    fn local(key: u8) -> Local {
        Local::new(
            PrivateKey::from_random([key; 32]),
            ClusterSecret::from_random([9; 32]),
        )
    }

    const STAMP: Stamp = Stamp { boot: 5, count: 6 };

    fn bytes<const N: usize>(text: &str) -> [u8; N] {
        hex::decode(text).unwrap().try_into().unwrap()
    }

    /// The vector of this pattern in `cacophony.txt`, which the Noise project's implementations share. Its transport messages are
    /// sealed with the keys of the split, as data is.
    #[test]
    fn published_vector() {
        let psk: [u8; 32] =
            bytes("54686973206973206d7920417573747269616e20706572737065637469766521");
        let side = |private: &str, ephemeral: &str, remote: Option<&str>| {
            let private = crate::parse_private(&crate::text::encode(&bytes(private))).unwrap();
            let resolver = Resolver {
                public: private.public().0,
                ephemeral: Zeroizing::new(bytes(ephemeral)),
                count: CurveCount::default(),
            };
            let builder = Builder::with_resolver(PATTERN.parse().unwrap(), Box::new(resolver))
                .local_private_key(private.bytes())
                .unwrap()
                .psk(PSK, &psk)
                .unwrap()
                .prologue(b"John Galt")
                .unwrap();
            match remote.map(bytes::<32>) {
                Some(remote) => builder
                    .remote_public_key(&remote)
                    .unwrap()
                    .build_initiator(),
                None => builder.build_responder(),
            }
            .unwrap()
        };
        let mut initiator = side(
            "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1",
            "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
            Some("31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62"),
        );
        let mut responder = side(
            "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893",
            "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
            None,
        );
        let (mut out, mut payload) = ([0; 200], [0; 200]);
        let n = initiator
            .write_message(b"Ludwig von Mises", &mut out)
            .unwrap();
        assert_eq!(
            hex::encode(&out[..n]),
            "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944001e21de9f98ddd8e2ad57527207feb56253c9c94a9e496782ecfcb2a75f\
             bcaf1b52948cc48daefe660c62119ab5000980c84831215f2441eba616548e832985464cf17e51ee93109008399a21f7e13f"
        );
        assert_eq!(responder.read_message(&out[..n], &mut payload), Ok(16));
        let n = responder
            .write_message(b"Murray Rothbard", &mut out)
            .unwrap();
        assert_eq!(
            hex::encode(&out[..n]),
            "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843cb765f2caef0751b8f007572dab0322217755c0632f365717edbf34d33e87a"
        );
        assert_eq!(initiator.read_message(&out[..n], &mut payload), Ok(15));
        assert_eq!(
            hex::encode(initiator.get_handshake_hash()),
            "f5191b875290abcd41347ac3622d9679688a7e980229cb937ef748336cfde0e5"
        );
        let (one, other) = (split(&mut initiator), split(&mut responder));
        assert_eq!((&*one.send, &*one.receive), (&*other.receive, &*other.send));
        for (key, counter, text, sealed) in [
            (
                &one.send,
                0,
                &b"F. A. Hayek"[..],
                "8153ca9833bc3c1b91a7e66e5f4d4f5b59bf9e64c2f20d15f0bba7",
            ),
            (
                &other.send,
                0,
                b"Carl Menger",
                "07af0c9c86e1b4e80f36b04ff7688d51141af3debd0332f0a705ef",
            ),
            (
                &one.send,
                1,
                b"Jean-Baptiste Say",
                "6ab1467c0448cc78394494abaaf23afce0e234315d6e2624dcbfa8a21c1c4d073d",
            ),
        ] {
            let mut data = text.to_vec();
            aead_key(key)
                .unwrap()
                .seal_in_place_append_tag(nonce(counter), Aad::empty(), &mut data)
                .unwrap();
            assert_eq!(hex::encode(data), sealed);
        }
    }

    #[test]
    fn both_sides_have_the_same_keys_and_know_each_other() {
        let (a, b) = (local(1), local(2));
        let (mut pending, message) = initiate(&a, &b.public, [3; 32], STAMP, 77).unwrap();
        let initiation = read_initiation(&b, &message, [4; 32]).unwrap();
        assert_eq!(
            (initiation.public, initiation.stamp, initiation.sender),
            (a.public, STAMP, 77)
        );
        let (message, keys) = respond(initiation, 8, 78).unwrap();
        let mut changed = message;
        changed[20] ^= 1;
        assert_eq!(
            read_response(&mut pending, &changed).err(),
            Some(Refusal::BadHandshake)
        );
        let response = read_response(&mut pending, &message).unwrap();
        assert_eq!(
            (response.boot, response.sender, wire::u32_at(&message, 8)),
            (8, 78, 77)
        );
        assert_eq!(
            (&*response.keys.send, &*response.keys.receive),
            (&*keys.receive, &*keys.send)
        );
        let count = |l: &Local| l.curve.load(std::sync::atomic::Ordering::Relaxed);
        // Initiator: e, es, ss, then ee, se, of which ee was computed twice for the changed response. Responder: es, ss, e, ee, se.
        assert_eq!((count(&a), count(&b)), (7, 5));
    }

    /// Who knows the keys of all but does not have a peer's private key can not speak for it.
    #[test]
    fn an_identity_needs_its_private_key() {
        let (victim, b) = (local(1), local(2));
        let mut forger = local(3);
        // Sends the victim's public key, computes with its own private key.
        forger.public = victim.public;
        let (_, message) = initiate(&forger, &b.public, [3; 32], STAMP, 1).unwrap();
        assert_eq!(
            read_initiation(&b, &message, [4; 32]).err(),
            Some(Refusal::BadHandshake)
        );
    }

    #[test]
    fn another_secret_or_version_does_not_fit() {
        let (a, mut b) = (local(1), local(2));
        b.secret = ClusterSecret::from_random([10; 32]);
        let (mut pending, message) = initiate(&a, &b.public, [3; 32], STAMP, 1).unwrap();
        // The secret comes in with the response.
        let (message, _) = respond(read_initiation(&b, &message, [4; 32]).unwrap(), 8, 2).unwrap();
        assert_eq!(
            read_response(&mut pending, &message).err(),
            Some(Refusal::BadHandshake)
        );
    }

    /// Points of small order give a shared secret of zeroes.
    #[test]
    fn keys_of_low_order_are_none() {
        let a = local(1);
        let one = std::array::from_fn(|k| u8::from(k == 0));
        for point in [[0; 32], one] {
            assert!(initiate(&a, &PublicKey(point), [3; 32], STAMP, 1).is_none());
        }
    }
}
