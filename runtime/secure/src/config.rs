//! Times and bounds. The defaults are WireGuard's (Donenfeld 2017, section 6; Linux `drivers/net/wireguard/messages.h`).

use crate::{Micros, window::Window};

const SECOND: Micros = 1_000_000;

/// What a node's sessions are made with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Times.
    pub times: Times,
    /// Bounds.
    pub limits: Limits,
}

/// Times in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Age of a session at which the side that began it asks for new keys.
    pub rekey_after_us: Micros,
    /// Age at which a session is neither sealed nor opened with any more.
    pub reject_after_us: Micros,
    /// Pause before an initiation is sent again; no two initiations to a peer are closer.
    pub retry_us: Micros,
    /// Most that chance adds to `retry_us`, so that two sides do not collide again.
    pub jitter_us: Micros,
    /// How long a handshake is tried.
    pub give_up_us: Micros,
    /// Pause after received data without sent data before an empty datagram says that this node lives.
    pub keepalive_us: Micros,
    /// Time between two initiations of a peer that are answered, if they keep coming; see [`Limits::initiation_burst`].
    pub initiation_gap_us: Micros,
    /// How long a cookie is good, and its secret in use.
    pub cookie_us: Micros,
    /// How long a node stays under load after the last sign of load.
    pub load_us: Micros,
    /// How long an answered handshake waits for its first data.
    pub unconfirmed_us: Micros,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            rekey_after_us: 120 * SECOND,
            reject_after_us: 180 * SECOND,
            retry_us: 5 * SECOND,
            jitter_us: SECOND / 3,
            give_up_us: 90 * SECOND,
            keepalive_us: 10 * SECOND,
            initiation_gap_us: SECOND / 50,
            cookie_us: 120 * SECOND,
            load_us: SECOND,
            // Our own: WireGuard keeps such keys until it rejects them.
            unconfirmed_us: 15 * SECOND,
        }
    }
}

impl Times {
    /// The times of a cluster's nodes, which speak several times a second: a peer's restart is noticed after 1.4 s instead of
    /// 15 s, and a lost handshake is repeated after 0.4 s instead of 5 s. Nodes at rest send nothing more for that.
    pub const NODES: Self = Self {
        rekey_after_us: 120 * SECOND,
        reject_after_us: 180 * SECOND,
        retry_us: 4 * SECOND / 10,
        jitter_us: SECOND / 10,
        give_up_us: 10 * SECOND,
        keepalive_us: SECOND,
        initiation_gap_us: SECOND / 50,
        cookie_us: 120 * SECOND,
        load_us: SECOND,
        unconfirmed_us: 15 * SECOND,
    };

    /// Age at which keys are asked for by whoever notices: the last moment at which a handshake is done before the keys are rejected.
    pub(crate) const fn last_rekey_us(&self) -> Micros {
        self.reject_after_us
            .saturating_sub(self.keepalive_us)
            .saturating_sub(self.retry_us)
    }

    /// How long sent data may stay without any answer before the session is taken for dead.
    pub(crate) const fn silence_us(&self) -> Micros {
        self.keepalive_us.saturating_add(self.retry_us)
    }
}

/// Bounds of tables, queues and rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Peers, at most [`Limits::PEERS_MAX`].
    pub peers: usize,
    /// Datagrams of this layer that wait to be sent.
    pub queue: usize,
    /// Handshake messages with a right `mac1` in a second, above which a node is under load and demands cookies.
    pub handshakes_per_s: u32,
    /// Initiations of a peer in a row that are answered, all the same. WireGuard's is 1; but then one recording, which here is not told
    /// from a peer's restart, would shut the peer out for the moment in which it comes.
    pub initiation_burst: u32,
    /// Handshake messages in a second that are answered under load, per IPv4 address or IPv6 /64.
    pub address_per_s: u32,
    /// Handshake messages in a row that are answered under load, per IPv4 address or IPv6 /64.
    pub address_burst: u32,
    /// Addresses whose rate is known under load.
    pub addresses: usize,
    /// Messages after which the side that began a session asks for new keys.
    pub rekey_after_messages: u64,
    /// Messages that a session seals at most.
    pub reject_after_messages: u64,
}

impl Limits {
    /// Most peers of a table: the bits of a session's index that name the peer.
    pub const PEERS_MAX: usize = 1 << 10;
    /// Most earlier sessions of a peer that are still opened with. WireGuard keeps one; when both sides begin at once, two keys change.
    pub const PREVIOUS_MAX: usize = 3;
    /// Most processes of a peer before the present one whose sessions are kept: boards with a copied key.
    pub const EARLIER_MAX: usize = 2;
    /// Most sessions of a peer that wait for their first data.
    pub const UNCONFIRMED_MAX: usize = 4;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            peers: Self::PEERS_MAX,
            queue: 256,
            handshakes_per_s: 50,
            initiation_burst: 5,
            address_per_s: 20,
            address_burst: 5,
            addresses: 1024,
            rekey_after_messages: 1 << 60,
            reject_after_messages: Window::COUNTER_END,
        }
    }
}
