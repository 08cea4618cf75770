//! Bodies of the fuzz targets under `fuzz/`: checks that must hold for any bytes. The bodies lie in this crate
//! so that `tests/corpus.rs` can replay the kept corpora without cargo-fuzz.

mod datagram;
mod front;
mod handshake;
mod pair;
mod plans;
mod sealed;
mod secure;

pub use datagram::{datagram, seeds as datagram_seeds};
pub use front::{WEIGHTY, cfg, weights};
pub use handshake::{handshake, handshake_seeds};
pub use plans::{plan, small_model, small_plan};
pub use sealed::{sealed, sealed_seeds};
pub use secure::{secure, seeds as secure_seeds};
