//! Which initiations are new, without a clock that anybody has to set.
//!
//! WireGuard puts the wall clock's time into each initiation, and answers only later ones. A board without a battery for its clock could
//! not join after a reboot. Here an initiation has the number of the sender's *boot*, which is random, and a *count* that
//! grows by one per initiation. Within the boot that a round trip has confirmed, the count must grow. An initiation of
//! any other boot may come from a restarted peer or from a recording, and the receiver can not tell which. So it answers, but the new
//! session stays unconfirmed: it is not sent with, does not move the peer's address and does not end the session in use, until the first
//! data arrives under it. Only who made the initiation can make that data: its ephemeral private key is needed. Then the boot is
//! confirmed.
//!
//! Boots before it are not remembered. Two boots have no order, and the last data of a boot that has ended may arrive behind the first of the
//! next one; a receiver that took the next one for ended would shut the peer out until the peer restarts.

use crate::{
    counts::Refusal,
    wire::{STAMP_BYTES, u64_at},
};

/// What an initiation says of when it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Random number of the sender's process.
    pub boot: u64,
    /// Number of the initiation in that process.
    pub count: u64,
}

impl Stamp {
    pub(crate) const BYTES: usize = STAMP_BYTES;

    pub(crate) fn bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.boot.to_le_bytes());
        bytes[8..].copy_from_slice(&self.count.to_le_bytes());
        bytes
    }

    pub(crate) fn parse(bytes: &[u8; Self::BYTES]) -> Self {
        Self {
            boot: u64_at(bytes, 0),
            count: u64_at(bytes, 8),
        }
    }
}

/// What is known of a peer's boots.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Boots {
    /// The confirmed boot, with the greatest count that was accepted.
    now: Option<Stamp>,
}

impl Boots {
    /// True if `boot` is the confirmed one.
    pub(crate) fn is_now(&self, boot: u64) -> bool {
        self.now.is_some_and(|s| s.boot == boot)
    }

    /// Accepts an initiation's stamp, or says that it is an old one.
    pub(crate) fn accept(&mut self, stamp: Stamp) -> Result<(), Refusal> {
        if let Some(now) = self.now.as_mut().filter(|s| s.boot == stamp.boot) {
            if stamp.count <= now.count {
                return Err(Refusal::ReplayedInitiation);
            }
            now.count = stamp.count;
        }
        Ok(())
    }

    /// A round trip has confirmed that the peer runs under `stamp.boot`. True if that is another boot than before.
    pub(crate) fn confirm(&mut self, stamp: Stamp) -> bool {
        match &mut self.now {
            Some(now) if now.boot == stamp.boot => {
                now.count = now.count.max(stamp.count);
                false
            }
            Some(now) => {
                *now = stamp;
                true
            }
            None => {
                self.now = Some(stamp);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(boot: u64, count: u64) -> Stamp {
        Stamp { boot, count }
    }

    const OLD: Result<(), Refusal> = Err(Refusal::ReplayedInitiation);

    #[test]
    fn counts_grow_within_a_confirmed_boot() {
        let mut boots = Boots::default();
        // Nothing is confirmed yet, so nothing is known.
        assert_eq!(
            (boots.accept(stamp(1, 5)), boots.accept(stamp(1, 5))),
            (Ok(()), Ok(()))
        );
        assert!(!boots.confirm(stamp(1, 5)));
        assert_eq!(boots.accept(stamp(1, 5)), OLD);
        assert_eq!(boots.accept(stamp(1, 4)), OLD);
        assert_eq!(boots.accept(stamp(1, 9)), Ok(()));
        assert_eq!(boots.accept(stamp(1, 8)), OLD);
        // An answer to this node's own handshake says nothing of counts.
        assert!(!boots.confirm(stamp(1, 0)));
        assert_eq!(boots.accept(stamp(1, 9)), OLD);
    }

    #[test]
    fn boots_follow_each_other() {
        let mut boots = Boots::default();
        boots.confirm(stamp(1, 7));
        assert_eq!(boots.accept(stamp(2, 1)), Ok(()));
        assert_eq!(
            boots.accept(stamp(1, 7)),
            OLD,
            "a recording does not end a boot"
        );
        assert!(boots.confirm(stamp(2, 1)));
        assert!(boots.is_now(2) && !boots.is_now(1));
        assert_eq!(boots.accept(stamp(2, 1)), OLD);
        // Nobody is shut out by what came late.
        assert!(boots.confirm(stamp(1, 8)));
        assert_eq!(boots.accept(stamp(2, 1)), Ok(()));
        assert!(boots.confirm(stamp(2, 1)));
    }

    #[test]
    fn bytes_and_back() {
        let s = stamp(u64::MAX - 5, 1 << 40);
        assert_eq!(Stamp::parse(&s.bytes()), s);
    }
}
