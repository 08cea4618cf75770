//! Fuzzes handshakes with somebody who has the cluster's secret and no key that is listed: what a stolen card makes possible until
//! the secret is changed. `mac1` of every message is right, so everything behind it is reached.
//!
//! The input is a list of steps of four bytes, `[what, a, b, c]`; for messages of any content, theirs follows.

use std::net::SocketAddr;

use tessera_secure::{
    ClusterSecret, Config, HEAD_BYTES, Opened, Output, PeerConfig, PeerId, PrivateKey, Sessions,
    TAG_BYTES, sign, wire,
};

/// Most steps of one input.
const MOST: usize = 200;

fn secret() -> ClusterSecret {
    ClusterSecret::from_random([9; 32])
}

fn key(node: u8) -> PrivateKey {
    PrivateKey::from_random([node + 1; 32])
}

fn address(node: u8) -> SocketAddr {
    ([10, 0, 0, node], 7400).into()
}

/// A node, and a peer that it knows.
struct Pair {
    now: u64,
    nodes: [Sessions; 2],
    peers: [PeerId; 2],
    /// Handshake messages to node 0.
    seen: Vec<Vec<u8>>,
}

impl Pair {
    fn new() -> Self {
        let table = |node: u8| {
            let mut table = Sessions::new(key(node), secret(), [node; 32], Config::default());
            let config = PeerConfig {
                address: Some(address(1 - node)),
                ..PeerConfig::new(key(1 - node).public())
            };
            let peer = table.add("peer", config).expect("a peer");
            (table, peer)
        };
        let ((a, to_b), (b, to_a)) = (table(0), table(1));
        Self {
            now: 1_000_000,
            nodes: [a, b],
            peers: [to_b, to_a],
            seen: Vec::new(),
        }
    }

    /// Takes what `node` has to send to the other; `lost` keeps it from arriving.
    fn carry(&mut self, node: usize, lost: bool) {
        let mut sent = 0;
        loop {
            let bytes = match self.nodes[node].poll(self.now) {
                Output::Send { bytes, .. } => bytes.to_vec(),
                Output::WaitUntil(_) => return,
                _ => continue,
            };
            sent += 1;
            assert!(sent <= Config::default().limits.queue + 8, "bounded");
            if node == 1 && self.seen.len() < 32 {
                self.seen.push(bytes.clone());
            }
            if !lost {
                let from = address(node as u8);
                self.nodes[1 - node].open(self.now, from, &mut bytes.clone());
            }
        }
    }

    fn meet(&mut self, node: usize, lost: bool) {
        let _ = self.nodes[node].connect(self.now, self.peers[node]);
        for turn in 0..4 {
            self.carry((node + turn) % 2, lost);
        }
    }

    /// Node 0 hears a message whose `mac1` is right.
    fn hears(&mut self, from: u8, mut message: Vec<u8>) {
        sign(&secret(), &key(0).public(), &mut message);
        let opened = self.nodes[0].open(self.now, address(from), &mut message);
        assert!(
            matches!(opened, Opened::Handshake | Opened::Refused(_)),
            "{opened:?}"
        );
    }
}

/// Checks that such messages are not fatal, open nothing, make a bounded number of answers, and keep no true peer out.
pub fn handshake(bytes: &[u8]) {
    let mut pair = Pair::new();
    let mut rest = bytes;
    for _ in 0..MOST {
        let Some((&[what, a, b, c], tail)) = rest.split_first_chunk::<4>() else {
            break;
        };
        rest = tail;
        match what % 6 {
            // Any content, in the form of a message.
            0 => {
                let (kind, len) = [
                    (1, wire::INITIATION_BYTES),
                    (2, wire::RESPONSE_BYTES),
                    (3, wire::COOKIE_BYTES),
                ][usize::from(a % 3)];
                let (content, tail) = rest.split_at(rest.len().min(len - 4));
                rest = tail;
                let mut message = vec![b; len];
                message[..4].copy_from_slice(&[kind, 0, 0, 0]);
                message[4..4 + content.len()].copy_from_slice(content);
                pair.hears(c % 5, message);
            }
            // A true one, changed at one place behind its kind.
            1 if c != 0 && !pair.seen.is_empty() => {
                let mut changed = pair.seen[usize::from(a) % pair.seen.len()].clone();
                let at = 4 + usize::from(b) % (changed.len() - 4);
                changed[at] ^= c;
                pair.hears(1 + b % 3, changed);
            }
            // A true one again, as it was.
            2 if !pair.seen.is_empty() => {
                let again = pair.seen[usize::from(a) % pair.seen.len()].clone();
                let opened = pair.nodes[0].open(pair.now, address(b % 4), &mut again.clone());
                assert!(!matches!(opened, Opened::Payload { .. }), "{opened:?}");
            }
            3 => pair.now += u64::from(a) << (b % 20),
            4 => pair.carry(usize::from(a % 2), b % 2 == 0),
            5 => pair.meet(usize::from(a % 2), b % 2 == 0),
            _ => {}
        }
    }
    // A true peer gets its session, at the latest when the load is over.
    for _ in 0..40 {
        pair.now += 1_000_000;
        pair.carry(0, false);
        pair.meet(1, false);
        let mut data = vec![7; HEAD_BYTES + 5 + TAG_BYTES];
        let sealed = pair.nodes[1].seal(pair.now, pair.peers[1], &mut data);
        let from = address(1);
        let mut open = |p: &mut Pair| p.nodes[0].open(p.now, from, &mut data);
        if sealed.is_ok() && matches!(open(&mut pair), Opened::Payload { .. }) {
            return;
        }
    }
    panic!("the true peer is kept out");
}

/// Inputs that go through all steps.
pub fn handshake_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let raw = |kind: u8, len: usize| {
        let mut step = vec![0, kind, 3, 2];
        step.extend((0..len).map(|k| (k * 31) as u8));
        step
    };
    let changes = |at: std::ops::Range<u8>| {
        let steps = (0..3).flat_map(move |k| at.clone().flat_map(move |b| [1, k, b, 1 << (b % 8)]));
        steps.collect::<Vec<u8>>()
    };
    let begun = [[5, 1, 0, 0], [5, 0, 0, 0], [5, 1, 1, 0], [3, 200, 12, 0]].concat();
    vec![
        ("forms", [raw(0, 148), raw(1, 96), raw(2, 60)].concat()),
        ("changed", [begun.clone(), changes(0..60)].concat()),
        ("behind", [begun.clone(), changes(60..150)].concat()),
        (
            "again",
            [
                begun.clone(),
                [2, 0, 1, 0].repeat(60),
                [2, 1, 2, 0].repeat(20),
            ]
            .concat(),
        ),
        ("flood", [raw(0, 148).repeat(80), begun].concat()),
    ]
}
