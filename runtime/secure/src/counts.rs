//! What a node's sessions did and refused. Counters only grow.

/// Why a datagram was refused. A refused datagram changes nothing but counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Refusal {
    /// No datagram of this layer: kind, length or reserved bytes are wrong.
    Malformed,
    /// A handshake message without the MAC that only members of the cluster can make. Gets no answer, costs no curve operation.
    BadMac1,
    /// A handshake message under load that does not prove its address. The answer is a cookie.
    CookieDemanded,
    /// More handshake messages from an address than are answered under load.
    AddressTooFast,
    /// A handshake message that does not decrypt, so it was made by somebody else or changed.
    BadHandshake,
    /// A handshake by a key that the table does not list.
    UnknownPeer,
    /// An initiation that came before, or is older than one that came.
    ReplayedInitiation,
    /// More initiations of one peer than are answered.
    PeerTooFast,
    /// An answer to a handshake that this node did not begin, or no longer waits for.
    UnknownHandshake,
    /// A cookie that does not decrypt.
    BadCookie,
    /// Data of a session that does not exist.
    UnknownSession,
    /// Data of a session that is too old.
    ExpiredSession,
    /// Data that does not decrypt, so it was made by somebody else or changed.
    BadTag,
    /// Data that came before, or is older than the replay window.
    ReplayedData,
    /// Data of a peer that is shut out for a while, since it sent far too much. It was not opened.
    ShutOut,
}

impl Refusal {
    /// The reason's name in statistics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::BadMac1 => "bad_mac1",
            Self::CookieDemanded => "cookie_demanded",
            Self::AddressTooFast => "address_too_fast",
            Self::BadHandshake => "bad_handshake",
            Self::UnknownPeer => "unknown_peer",
            Self::ReplayedInitiation => "replayed_initiation",
            Self::PeerTooFast => "peer_too_fast",
            Self::UnknownHandshake => "unknown_handshake",
            Self::BadCookie => "bad_cookie",
            Self::UnknownSession => "unknown_session",
            Self::ExpiredSession => "expired_session",
            Self::BadTag => "bad_tag",
            Self::ReplayedData => "replayed_data",
            Self::ShutOut => "shut_out",
        }
    }

    /// All reasons.
    pub const ALL: [Self; 15] = [
        Self::Malformed,
        Self::BadMac1,
        Self::CookieDemanded,
        Self::AddressTooFast,
        Self::BadHandshake,
        Self::UnknownPeer,
        Self::ReplayedInitiation,
        Self::PeerTooFast,
        Self::UnknownHandshake,
        Self::BadCookie,
        Self::UnknownSession,
        Self::ExpiredSession,
        Self::BadTag,
        Self::ReplayedData,
        Self::ShutOut,
    ];
}

/// A count of refused datagrams per reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerRefusal([u64; Refusal::ALL.len()]);

impl PerRefusal {
    /// The count for one reason.
    pub const fn get(&self, why: Refusal) -> u64 {
        self.0[why as usize]
    }

    /// The sum over all reasons.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    pub(crate) const fn add(&mut self, why: Refusal) {
        self.0[why as usize] += 1;
    }
}

/// What a node's sessions did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Datagrams refused, by reason.
    pub refused: PerRefusal,
    /// Datagrams of data sealed for the caller.
    pub sealed: u64,
    /// Datagrams of data opened for the caller.
    pub opened: u64,
    /// Keepalives sent.
    pub keepalives_sent: u64,
    /// Keepalives received.
    pub keepalives_received: u64,
    /// Initiations of handshakes sent, repeated ones too.
    pub initiations_sent: u64,
    /// Initiations accepted and answered.
    pub initiations_answered: u64,
    /// Sessions that both sides have confirmed.
    pub sessions_established: u64,
    /// Handshakes given up without an answer.
    pub handshakes_given_up: u64,
    /// Cookies sent.
    pub cookies_sent: u64,
    /// Cookies received.
    pub cookies_received: u64,
    /// Changes of a peer's address.
    pub addresses_changed: u64,
    /// Datagrams of this layer that were not sent because too many were waiting.
    pub queue_full: u64,
    /// Events that the caller did not fetch in time.
    pub events_dropped: u64,
    /// Operations on the curve, which are what handshakes cost.
    pub curve_operations: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_place() {
        for (k, why) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(why as usize, k);
            let mut counts = PerRefusal::default();
            counts.add(why);
            assert_eq!((counts.get(why), counts.total()), (1, 1));
        }
    }
}
