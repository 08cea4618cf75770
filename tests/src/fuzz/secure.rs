//! Fuzzes a node's sessions, in the middle of their life, with any bytes as datagrams, and with changes of true ones.
//!
//! The input is a list of steps of four bytes, `[what, a, b, c]`; for bytes as they are, `a` bytes follow.

use std::net::SocketAddr;

use tessera_secure::{
    ClusterSecret, Config, HEAD_BYTES, Opened, Output, PeerConfig, PeerId, PrivateKey, Sessions,
    TAG_BYTES,
};

/// Most steps of one input.
const MOST: usize = 400;

/// A node and a peer of it.
struct Pair {
    now: u64,
    nodes: [Sessions; 2],
    peers: [PeerId; 2],
    lives: u8,
    /// The latest datagrams to node 0, oldest first.
    seen: Vec<Vec<u8>>,
}

fn key(node: u8) -> PrivateKey {
    PrivateKey::from_random([node + 1; 32])
}

fn address(node: usize) -> SocketAddr {
    ([10, 0, 0, node as u8], 7400).into()
}

fn table(node: usize, life: u8) -> (Sessions, PeerId) {
    let seed = [life.wrapping_mul(2).wrapping_add(node as u8); 32];
    let secret = ClusterSecret::from_random([9; 32]);
    let mut table = Sessions::new(key(node as u8), secret, seed, Config::default());
    let config = PeerConfig {
        address: Some(address(1 - node)),
        ..PeerConfig::new(key(1 - node as u8).public())
    };
    let peer = table.add("peer", config).expect("a peer");
    (table, peer)
}

impl Pair {
    fn new() -> Self {
        let ((a, to_b), (b, to_a)) = (table(0, 0), table(1, 0));
        let mut pair = Self {
            now: 1_000_000,
            nodes: [a, b],
            peers: [to_b, to_a],
            lives: 0,
            seen: Vec::new(),
        };
        pair.meet(1);
        pair
    }

    /// A handshake that `node` begins, without loss.
    fn meet(&mut self, node: usize) {
        let _ = self.nodes[node].connect(self.now, self.peers[node]);
        for turn in 0..4 {
            self.carry((node + turn) % 2);
        }
    }

    /// Takes what `node` has to send to the other.
    fn carry(&mut self, node: usize) {
        let mut sent = 0;
        loop {
            let bytes = match self.nodes[node].poll(self.now) {
                Output::Send { bytes, .. } => bytes.to_vec(),
                Output::WaitUntil(at) => {
                    assert!(at > self.now, "a deadline is not behind");
                    break;
                }
                _ => continue,
            };
            sent += 1;
            assert!(sent <= Config::default().limits.queue + 8, "bounded");
            self.remember(node, &bytes);
            self.nodes[1 - node].open(self.now, address(node), &mut bytes.clone());
        }
    }

    fn remember(&mut self, from: usize, bytes: &[u8]) {
        if from == 1 {
            if self.seen.len() == 32 {
                self.seen.remove(0);
            }
            self.seen.push(bytes.to_vec());
        }
    }

    /// Node 0 hears bytes that its peer has not sent: nothing comes of them.
    fn hears(&mut self, from: usize, bytes: &[u8]) {
        let opened = self.nodes[0].open(self.now, address(from), &mut bytes.to_vec());
        assert!(
            matches!(opened, Opened::Handshake | Opened::Refused(_)),
            "{opened:?}"
        );
    }
}

/// Checks that no bytes are fatal, none that a peer has not sealed opens, and none opens twice.
pub fn secure(bytes: &[u8]) {
    let mut pair = Pair::new();
    let mut rest = bytes;
    for _ in 0..MOST {
        let Some((&[what, a, b, c], tail)) = rest.split_first_chunk::<4>() else {
            break;
        };
        rest = tail;
        match what % 8 {
            // Bytes as they are.
            0 => {
                let (raw, tail) = rest.split_at(usize::from(a).min(rest.len()));
                rest = tail;
                // A true datagram can only be among them as a recording of this run.
                pair.hears(usize::from(b % 3), raw);
            }
            // A true one, changed at one place.
            1 if c != 0 && !pair.seen.is_empty() => {
                let mut changed = pair.seen[usize::from(a) % pair.seen.len()].clone();
                let at = usize::from(b) % changed.len();
                changed[at] ^= c;
                pair.hears(1, &changed);
            }
            // One that came before.
            2 if !pair.seen.is_empty() => {
                let again = pair.seen[usize::from(a) % pair.seen.len()].clone();
                pair.hears(usize::from(b % 3), &again);
            }
            // Data, opened or lost.
            3 => {
                let mut data = vec![c; HEAD_BYTES + usize::from(b) + TAG_BYTES];
                if pair.nodes[1]
                    .seal(pair.now, pair.peers[1], &mut data)
                    .is_ok()
                {
                    pair.remember(1, &data);
                    // A lost one must not open later as a "recording": it is heard now, from somewhere.
                    pair.nodes[0].open(pair.now, address(usize::from(a % 3)), &mut data);
                }
            }
            // Time.
            4 => pair.now += u64::from(a) << (b % 24),
            5 => pair.carry(usize::from(a % 2)),
            6 => pair.meet(usize::from(a % 2)),
            // The peer starts again.
            7 if a == 7 => {
                pair.lives = pair.lives.wrapping_add(1);
                (pair.nodes[1], pair.peers[1]) = table(1, pair.lives);
            }
            _ => {}
        }
    }
}

/// Inputs that go through all steps.
pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let raw = |kind: u8, len: u8| {
        let mut step = vec![0, len, 1, 0];
        step.extend((0..len).map(|k| if k == 0 { kind } else { 0 }));
        step
    };
    let changes = |at: std::ops::Range<u8>| {
        let steps = (0..4).flat_map(move |k| at.clone().flat_map(move |b| [1, k, b, 1 << (b % 8)]));
        steps.collect::<Vec<u8>>()
    };
    let life = [
        [3, 1, 100, 7],
        [2, 0, 1, 0],
        [4, 255, 19, 0],
        [5, 0, 0, 0],
        [5, 1, 0, 0],
        [3, 2, 0, 0],
        [6, 0, 0, 0],
        [7, 7, 0, 0],
        [6, 1, 0, 0],
        [2, 1, 2, 0],
        [5, 0, 0, 0],
        [3, 1, 9, 9],
    ];
    vec![
        (
            "kinds",
            [
                raw(1, 152),
                raw(2, 100),
                raw(3, 64),
                raw(4, 32),
                raw(5, 9),
                raw(0, 0),
            ]
            .concat(),
        ),
        ("heads", changes(0..32)),
        ("macs", changes(100..160)),
        ("life", life.concat()),
        (
            "lives",
            [
                life.concat(),
                changes(0..8),
                life.concat(),
                changes(130..150),
            ]
            .concat(),
        ),
    ]
}
