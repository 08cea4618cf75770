//! Two nodes that know each other, without a network: what the fuzz bodies of sessions turn.

use std::net::SocketAddr;

use tessera_secure::{
    ClusterSecret, Config, Opened, Output, PeerConfig, PeerId, PrivateKey, Sessions,
};

/// Most recordings that are kept.
const SEEN_MAX: usize = 32;

/// The secret of both nodes.
pub(super) fn secret() -> ClusterSecret {
    ClusterSecret::from_random([9; 32])
}

/// A node's private key.
pub(super) fn key(node: usize) -> PrivateKey {
    PrivateKey::from_random([node as u8 + 1; 32])
}

/// Where a node is; numbers from 2 on are nobody's.
pub(super) fn address(node: usize) -> SocketAddr {
    ([10, 0, 0, node as u8], 7400).into()
}

/// The sessions of one of a node's processes, and the other node in them.
fn table(node: usize, life: u8) -> (Sessions, PeerId) {
    let seed = [life.wrapping_mul(2).wrapping_add(node as u8); 32];
    let mut table = Sessions::new(key(node), secret(), seed, Config::default());
    let config = PeerConfig {
        address: Some(address(1 - node)),
        ..PeerConfig::new(key(1 - node).public())
    };
    let peer = table.add("peer", config).expect("a peer");
    (table, peer)
}

/// The nodes 0 and 1.
pub(super) struct Pair {
    /// The time of both, in microseconds.
    pub now: u64,
    pub nodes: [Sessions; 2],
    /// How each node names the other.
    pub peers: [PeerId; 2],
    /// The latest datagrams to node 0, oldest first.
    pub seen: Vec<Vec<u8>>,
    lives: u8,
}

impl Pair {
    /// Two nodes that have not met.
    pub fn new() -> Self {
        let ((a, to_b), (b, to_a)) = (table(0, 0), table(1, 0));
        Self {
            now: 1_000_000,
            nodes: [a, b],
            peers: [to_b, to_a],
            seen: Vec::new(),
            lives: 0,
        }
    }

    /// A handshake that `node` begins; `lost` keeps all of it from arriving.
    pub fn meet(&mut self, node: usize, lost: bool) {
        let _ = self.nodes[node].connect(self.now, self.peers[node]);
        for turn in 0..4 {
            self.carry((node + turn) % 2, lost);
        }
    }

    /// Takes what `node` has to send to the other; `lost` keeps it from arriving.
    pub fn carry(&mut self, node: usize, lost: bool) {
        let mut sent = 0;
        loop {
            let bytes = match self.nodes[node].poll(self.now) {
                Output::Send { bytes, .. } => bytes.to_vec(),
                Output::WaitUntil(at) => {
                    assert!(at > self.now, "a deadline is not behind");
                    return;
                }
                _ => continue,
            };
            sent += 1;
            assert!(sent <= Config::default().limits.queue + 8, "bounded");
            if node == 1 {
                self.remember(&bytes);
            }
            if !lost {
                self.nodes[1 - node].open(self.now, address(node), &mut bytes.clone());
            }
        }
    }

    /// Keeps a datagram to node 0.
    pub fn remember(&mut self, bytes: &[u8]) {
        if self.seen.len() == SEEN_MAX {
            self.seen.remove(0);
        }
        self.seen.push(bytes.to_vec());
    }

    /// One of the datagrams that were kept.
    pub fn recording(&self, k: u8) -> Option<Vec<u8>> {
        let k = usize::from(k).checked_rem(self.seen.len())?;
        self.seen.get(k).cloned()
    }

    /// Node 0 hears bytes that its peer has not sent now: nothing comes of them.
    pub fn hears(&mut self, from: usize, mut bytes: Vec<u8>) {
        let opened = self.nodes[0].open(self.now, address(from), &mut bytes);
        assert!(
            matches!(opened, Opened::Handshake | Opened::Refused(_)),
            "{opened:?}"
        );
    }

    /// Node 1 starts again: another process, with the same key.
    pub fn restart(&mut self) {
        self.lives = self.lives.wrapping_add(1);
        (self.nodes[1], self.peers[1]) = table(1, self.lives);
    }
}
