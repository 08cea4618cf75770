//! Sessions between the nodes of a cluster, without I/O: who a datagram is from, and that nobody else reads or makes one.
//!
//! [`Sessions`] has no clock, socket, thread or source of randomness. Time is an argument, randomness is a seed, datagrams are byte
//! slices. [`Links`] is how nodes use it: peers by their numbers in the cluster. `docs/security.md` says what is protected from whom.
//!
//! # What it is made of
//!
//! - A handshake, Noise IKpsk2 (25519, ChaChaPoly, BLAKE2s): one datagram each way ([`wire`]). Each node knows the public keys of
//!   all others; the pre-shared key is the cluster's secret.
//! - Data sealed in place with ChaCha20-Poly1305, a counter of 64 bits as nonce, and a replay window behind the tag.
//! - WireGuard's rules and numbers ([`Times`], [`Limits`]): new keys every two minutes, keepalives, cookies under load, addresses
//!   that follow authenticated datagrams alone.
//!
//! # How to run it
//!
//! ```
//! use tessera_secure::{ClusterSecret, HEAD_BYTES, Opened, Output, PeerConfig, PrivateKey, Sessions, TAG_BYTES};
//!
//! // In earnest, 32 bytes of the system's randomness each time.
//! let (gateway, edge) = (PrivateKey::from_random([1; 32]), PrivateKey::from_random([2; 32]));
//! let secret = || ClusterSecret::from_random([3; 32]);
//! let (at_gateway, at_edge) = (([10, 0, 0, 1], 7400).into(), ([10, 0, 0, 2], 7400).into());
//! let to_gateway = PeerConfig { address: Some(at_gateway), ..PeerConfig::new(gateway.public()) };
//! let to_edge = PeerConfig::new(edge.public());
//!
//! let mut a = Sessions::new(gateway, secret(), [4; 32], Default::default());
//! let mut b = Sessions::new(edge, secret(), [5; 32], Default::default());
//! a.add("edge-1", to_edge)?;
//! let peer = b.add("gateway", to_gateway)?;
//!
//! b.connect(0, peer)?;
//! for turn in 0..3 {
//!     let (one, other, from) = if turn % 2 == 0 { (&mut b, &mut a, at_edge) } else { (&mut a, &mut b, at_gateway) };
//!     loop {
//!         match one.poll(turn) {
//!             Output::Send { bytes, .. } => drop(other.open(turn, from, &mut bytes.to_vec())),
//!             Output::WaitUntil(_) => break,
//!             _ => {}
//!         }
//!     }
//! }
//!
//! let mut datagram = [&[0; HEAD_BYTES][..], b"hello", &[0; TAG_BYTES]].concat();
//! assert_eq!(b.seal(10, peer, &mut datagram)?, at_gateway);
//! let Opened::Payload { peer, range, .. } = a.open(11, at_edge, &mut datagram) else { panic!() };
//! assert_eq!((a.name(peer), &datagram[range]), (Some("edge-1"), &b"hello"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod code;
mod config;
mod cookie;
mod counts;
mod flood;
mod handshake;
mod hash;
mod keys;
mod links;
mod noise;
mod peer;
mod random;
mod rate;
mod shared;
mod shut;
mod stamp;
mod table;
mod text;
mod transport;
mod window;
pub mod wire;

pub use code::{CodeError, PairingCode, Side};
pub use config::{Config, Limits, Times};
pub use cookie::sign;
pub use counts::{Counts, PerRefusal, Refusal};
pub use flood::RATES;
pub use keys::{
    ClusterSecret, KeyError, PrivateKey, PublicKey, parse_private, parse_public, parse_secret,
};
pub use links::{Changed, Invited, LinkCounts, Links, SenderOf, Way};
pub use peer::{PeerConfig, SealError};
pub use shared::{Output, PeerId};
pub use shut::{ShutOut, ShutOuts};
pub use table::{AddError, Opened, Sessions};
pub use window::Window;
pub use wire::{HEAD_BYTES, TAG_BYTES};

/// Microseconds: a duration, or a time of the caller's monotonic clock. Clocks of different nodes need not agree.
pub type Micros = u64;
