//! Nodes and a network in virtual time. The same calls give the same run.

use std::net::SocketAddr;

use tessera_secure::{
    ClusterSecret, Config, HEAD_BYTES, Opened, Output, PeerConfig, PeerId, PrivateKey, Refusal,
    SealError, Sessions, TAG_BYTES,
};

pub const MS: u64 = 1_000;
pub const SECOND: u64 = 1_000_000;

/// A datagram.
#[derive(Clone, Debug)]
pub struct Packet {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub bytes: Vec<u8>,
}

impl Packet {
    /// True for data; false for messages of handshakes and cookies.
    pub fn is_data(&self) -> bool {
        self.bytes.first() == Some(&4)
    }
}

/// What a node told its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Established { peer: usize, restarted: bool },
    GaveUp { peer: usize },
}

pub struct Node {
    pub sessions: Sessions,
    pub address: SocketAddr,
    /// Payloads received, with the number of the sender.
    pub got: Vec<(usize, Vec<u8>)>,
    pub told: Vec<Told>,
    lives: u8,
}

/// What the network does with a datagram: how long it travels, or `None` if it is lost.
pub type Rule = Box<dyn FnMut(&Packet, u64) -> Option<u64>>;

pub struct Net {
    pub now: u64,
    pub nodes: Vec<Node>,
    pub config: Config,
    /// On the way: when it arrives, in which order it was sent.
    flying: Vec<(u64, u64, Packet)>,
    sent: u64,
    /// All that was sent.
    pub log: Vec<Packet>,
    pub rule: Rule,
}

pub fn name(node: usize) -> String {
    format!("node-{node}")
}

pub fn address(node: usize) -> SocketAddr {
    ([10, 0, (node >> 8) as u8, node as u8], 7400).into()
}

pub fn private(node: usize) -> PrivateKey {
    let mut seed = [17; 32];
    seed[1..9].copy_from_slice(&(node as u64).to_le_bytes());
    PrivateKey::from_random(seed)
}

pub fn secret() -> ClusterSecret {
    ClusterSecret::from_random([99; 32])
}

fn table(node: usize, nodes: usize, life: u8, config: Config) -> Sessions {
    let mut seed = [life; 32];
    seed[..8].copy_from_slice(&(node as u64).to_le_bytes());
    let mut sessions = Sessions::new(private(node), secret(), seed, config);
    for other in (0..nodes).filter(|&k| k != node) {
        let config = PeerConfig {
            address: Some(address(other)),
            ..PeerConfig::new(private(other).public())
        };
        sessions.add(&name(other), config).unwrap();
    }
    sessions
}

/// A buffer with room for head and tag around a payload.
pub fn framed(payload: &[u8]) -> Vec<u8> {
    [&[0; HEAD_BYTES], payload, &[0; TAG_BYTES]].concat()
}

impl Net {
    pub fn new(nodes: usize) -> Self {
        Self::with(nodes, Config::default())
    }

    pub fn with(nodes: usize, config: Config) -> Self {
        let node = |k| Node {
            sessions: table(k, nodes, 1, config),
            address: address(k),
            got: Vec::new(),
            told: Vec::new(),
            lives: 1,
        };
        Self {
            now: SECOND,
            nodes: (0..nodes).map(node).collect(),
            config,
            flying: Vec::new(),
            sent: 0,
            log: Vec::new(),
            rule: Box::new(|_, _| Some(MS)),
        }
    }

    /// Two nodes with a session that both have used.
    pub fn pair() -> Self {
        let mut net = Self::new(2);
        net.connect(0, 1);
        net.run_for(SECOND);
        assert!(net.is_open(0, 1) && net.is_open(1, 0));
        net
    }

    pub fn peer(&self, node: usize, of: usize) -> PeerId {
        self.nodes[node].sessions.peer(&name(of)).unwrap()
    }

    fn number(&self, node: usize, peer: PeerId) -> usize {
        let name = self.nodes[node].sessions.name(peer).unwrap();
        name.strip_prefix("node-").unwrap().parse().unwrap()
    }

    pub fn connect(&mut self, from: usize, to: usize) {
        let peer = self.peer(from, to);
        self.nodes[from].sessions.connect(self.now, peer).unwrap();
    }

    pub fn is_open(&mut self, from: usize, to: usize) -> bool {
        let peer = self.peer(from, to);
        self.nodes[from].sessions.is_open(self.now, peer)
    }

    pub fn refused(&self, node: usize, why: Refusal) -> u64 {
        self.nodes[node].sessions.counts().refused.get(why)
    }

    /// The process of a node ends and starts again, with its key and nothing else.
    pub fn restart(&mut self, node: usize) {
        let nodes = self.nodes.len();
        let n = &mut self.nodes[node];
        n.lives += 1;
        n.sessions = table(node, nodes, n.lives, self.config);
        n.told.clear();
    }

    /// Seals a payload without sending it.
    pub fn sealed(&mut self, from: usize, to: usize, payload: &[u8]) -> Result<Packet, SealError> {
        let peer = self.peer(from, to);
        let mut bytes = framed(payload);
        let node = &mut self.nodes[from];
        let to = node.sessions.seal(self.now, peer, &mut bytes)?;
        let from = node.address;
        Ok(Packet { from, to, bytes })
    }

    pub fn send(&mut self, from: usize, to: usize, payload: &[u8]) -> Result<(), SealError> {
        let packet = self.sealed(from, to, payload)?;
        self.fly(packet);
        Ok(())
    }

    pub fn fly(&mut self, packet: Packet) {
        self.log.push(packet.clone());
        self.sent += 1;
        if let Some(delay) = (self.rule)(&packet, self.now) {
            self.flying.push((self.now + delay, self.sent, packet));
        }
    }

    /// Hands a datagram to the node at its address.
    pub fn deliver(&mut self, packet: &Packet) -> Opened {
        let Some(node) = self.nodes.iter().position(|n| n.address == packet.to) else {
            return Opened::Handshake;
        };
        self.hand(node, packet.from, &packet.bytes)
    }

    pub fn hand(&mut self, node: usize, from: SocketAddr, bytes: &[u8]) -> Opened {
        let mut bytes = bytes.to_vec();
        let opened = self.nodes[node].sessions.open(self.now, from, &mut bytes);
        if let Opened::Payload { peer, range, .. } = opened.clone() {
            let from = self.number(node, peer);
            self.nodes[node].got.push((from, bytes[range].to_vec()));
        }
        opened
    }

    /// Fetches what nodes have to send and to tell; the next deadline of all.
    fn drain(&mut self) -> u64 {
        let mut deadline = u64::MAX;
        for k in 0..self.nodes.len() {
            loop {
                let node = &mut self.nodes[k];
                let told = match node.sessions.poll(self.now) {
                    Output::Send { to, bytes } => {
                        let (from, bytes) = (node.address, bytes.to_vec());
                        self.fly(Packet { from, to, bytes });
                        continue;
                    }
                    Output::Established { peer, restarted } => Told::Established {
                        peer: self.number(k, peer),
                        restarted,
                    },
                    Output::GaveUp { peer } => Told::GaveUp {
                        peer: self.number(k, peer),
                    },
                    Output::WaitUntil(at) => {
                        assert!(at > self.now, "a deadline is not behind");
                        assert_eq!(node.sessions.next_deadline(), (at < u64::MAX).then_some(at));
                        deadline = deadline.min(at);
                        break;
                    }
                };
                self.nodes[k].told.push(told);
            }
        }
        deadline
    }

    pub fn run_for(&mut self, time: u64) {
        let end = self.now + time;
        loop {
            let deadline = self.drain();
            let arrival = self.flying.iter().map(|f| f.0).min().unwrap_or(u64::MAX);
            let next = deadline.min(arrival);
            if next > end {
                self.now = end;
                return;
            }
            self.now = self.now.max(next);
            let (mut here, away) = std::mem::take(&mut self.flying)
                .into_iter()
                .partition(|f| f.0 <= self.now);
            self.flying = away;
            let here: &mut Vec<(u64, u64, Packet)> = &mut here;
            here.sort_by_key(|f| (f.0, f.1));
            for (.., packet) in here.iter() {
                self.deliver(packet);
            }
        }
    }
}

/// A sequence of numbers that look random (SplitMix64).
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}
