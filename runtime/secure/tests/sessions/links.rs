//! Peers by their numbers: whom a payload is from, where a peer is, and who may take part.

use std::net::SocketAddr;

use tessera_secure::{
    ClusterSecret, HEAD_BYTES, Invited, Links, PrivateKey, Refusal, SealError, Sessions, ShutOuts,
    TAG_BYTES, Way,
};

const MS: u64 = 1_000;

fn private(number: u16) -> PrivateKey {
    PrivateKey::from_random([number as u8 + 1; 32])
}

fn address(number: u16, port: u16) -> SocketAddr {
    ([10, 0, 0, number as u8], port).into()
}

/// Payloads begin with the sender's number and its process, and end with their weight if they have four bytes.
fn sender(payload: &[u8]) -> Option<(u16, u64, u8)> {
    let [number, process, ..] = *payload else {
        return None;
    };
    Some((
        number.into(),
        process.into(),
        payload.get(3).copied().unwrap_or(0),
    ))
}

fn invited(numbers: &[u16]) -> Vec<Invited> {
    let entry = |&number| Invited {
        number,
        name: format!("node-{number}"),
        public: private(number).public(),
    };
    numbers.iter().map(entry).collect()
}

struct Node {
    links: Links,
    number: u16,
    process: u8,
    at: SocketAddr,
    got: Vec<(u16, Vec<u8>)>,
}

/// Nodes, and datagrams on their way: sender's address, receiver's, bytes.
struct Net {
    now: u64,
    nodes: Vec<Node>,
    flying: Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
}

impl Node {
    fn start(number: u16, process: u8, port: u16) -> Self {
        let secret = ClusterSecret::from_random([9; 32]);
        let seed = [number as u8 * 16 + process; 32];
        let sessions = Sessions::new(private(number), secret, seed, Links::config());
        let mut links = Links::new(sessions, Some(sender));
        let others: Vec<u16> = (0..3).filter(|k| *k != number).collect();
        assert!(links.invite(&invited(&others)).wrong.is_empty());
        Self {
            links,
            number,
            process,
            at: address(number, port),
            got: Vec::new(),
        }
    }
}

impl Net {
    fn new() -> Self {
        Self {
            now: 1_000_000,
            nodes: (0..3).map(|k| Node::start(k, 1, 7)).collect(),
            flying: Vec::new(),
        }
    }

    /// Sends a payload to a process that the sender's machine believes to be at `port`.
    fn send(
        &mut self,
        from: usize,
        to: u16,
        process: Option<u64>,
        port: u16,
    ) -> Result<(), SealError> {
        let node = &mut self.nodes[from];
        let says = [node.number as u8, node.process, 77];
        self.say(from, to, process, port, &says)
    }

    fn say(
        &mut self,
        from: usize,
        to: u16,
        process: Option<u64>,
        port: u16,
        payload: &[u8],
    ) -> Result<(), SealError> {
        let node = &mut self.nodes[from];
        let way = Way {
            number: to,
            process,
            address: address(to, port),
        };
        let mut datagram = [&[0; HEAD_BYTES], payload, &[0; TAG_BYTES]].concat();
        let sealed = node.links.seal(self.now, way, &mut datagram);
        if let Ok(at) = sealed {
            self.flying.push((node.at, at, datagram));
        }
        sealed.map(drop)
    }

    /// Lets time pass, a millisecond at a time.
    fn run(&mut self, ms: u64) {
        for _ in 0..ms {
            self.now += MS;
            for node in &mut self.nodes {
                while let Some((to, bytes)) = node.links.poll(self.now) {
                    self.flying.push((node.at, to, bytes.to_vec()));
                }
            }
            for (from, to, mut bytes) in std::mem::take(&mut self.flying) {
                if let Some(node) = self.nodes.iter_mut().find(|n| n.at == to)
                    && let Some((number, payload)) = node.links.open(self.now, from, &mut bytes)
                {
                    node.got.push((number, bytes[payload].to_vec()));
                }
            }
        }
    }

    fn got(&mut self, node: usize) -> Vec<(u16, Vec<u8>)> {
        std::mem::take(&mut self.nodes[node].got)
    }
}

#[test]
fn the_first_payload_waits_for_its_session() {
    let mut net = Net::new();
    assert_eq!(net.send(1, 0, None, 7), Err(SealError::NoSession));
    assert_eq!(
        net.say(1, 0, None, 7, &[1, 1, 2]),
        Err(SealError::NoSession)
    );
    net.run(10);
    // The latest one; the other is lost, as on any way.
    assert_eq!(net.got(0), [(1, vec![1, 1, 2])]);
    assert_eq!(net.nodes[1].links.link_counts().unsent, 1);
    net.send(1, 0, None, 7).unwrap();
    net.send(0, 1, Some(1), 7).unwrap();
    net.run(3);
    assert_eq!(net.got(0), [(1, vec![1, 1, 77])]);
    assert_eq!(net.got(1), [(0, vec![0, 1, 77])]);
}

#[test]
fn nobody_speaks_for_others() {
    let mut net = Net::new();
    let _ = net.send(1, 0, None, 7);
    net.run(10);
    net.got(0);
    for lie in [&[0, 1, 5][..], &[2, 1, 5], &[200, 1, 5], &[1]] {
        net.say(1, 0, None, 7, lie).unwrap();
    }
    net.run(3);
    assert_eq!(net.got(0), []);
    assert_eq!(net.nodes[0].links.link_counts().impostors, 4);
}

#[test]
fn floods_of_an_invited_node_are_cut() {
    let mut net = Net::new();
    let _ = net.send(1, 0, None, 7);
    net.run(10);
    net.got(0);
    let [_, (gap_us, burst)] = tessera_secure::RATES;
    for weight in [0, 2] {
        for _ in 0..2 * burst {
            net.say(1, 0, None, 7, &[1, 1, 0, weight]).unwrap();
        }
        net.run(3);
        let taken = net.got(0).len() as u64;
        let most = if weight == 0 {
            2 * u64::from(burst)
        } else {
            u64::from(burst) + 5 * MS / gap_us
        };
        let least = most - 5 * MS / gap_us;
        assert!((least..=most).contains(&taken), "{weight}: {taken}");
    }
    let counts = net.nodes[0].links.link_counts();
    assert!((2_000..2_100).contains(&counts.floods), "{counts:?}");
}

/// Who floods: a payload of a weight, or what it says.
#[test]
fn who_goes_on_is_shut_out_for_a_while() {
    let keepalive: &[u8] = &[];
    let impostor: &[u8] = &[2, 1, 0, 0];
    for flood in [&[1, 1, 0, 2][..], &[1, 1, 0, 1], keepalive, impostor] {
        let mut net = Net::new();
        let _ = net.send(1, 0, None, 7);
        let _ = net.send(2, 0, None, 7);
        net.run(10);
        net.got(0);
        for _ in 0..15_000 {
            net.say(1, 0, None, 7, flood).unwrap();
        }
        net.run(3);
        net.got(0);
        let links = &net.nodes[0].links;
        let shut: Vec<_> = links.shut_out().iter().cloned().collect();
        assert_eq!(shut.len(), 1, "{flood:?}");
        assert_eq!((shut[0].number, shut[0].for_us), (1, 1_000_000));
        assert_eq!(shut[0].name, "node-1");
        // What was not opened is told from what was by the head alone.
        let opened = links.counts().opened + links.counts().keepalives_received;
        let unopened = links.counts().refused.get(Refusal::ShutOut);
        assert!((7_000..13_000).contains(&opened), "{flood:?}: {opened}");
        assert!(unopened > 2_000, "{flood:?}: {unopened}");
        net.say(1, 0, None, 7, &[1, 1, 5]).unwrap();
        let (.., datagram) = net.flying.last().unwrap();
        assert_eq!(ShutOuts::place(datagram), Some(shut[0].place));
        // The others are heard.
        net.send(2, 0, None, 7).unwrap();
        net.run(3);
        assert_eq!(net.got(0), [(2, vec![2, 1, 77])]);
        // It wakes by itself when the time is over.
        let version = net.nodes[0].links.shut_out().version();
        assert!(net.nodes[0].links.next_deadline() <= shut[0].until_us);
        net.run(1_000);
        assert_eq!(net.nodes[0].links.shut_out().iter().count(), 0);
        assert_ne!(net.nodes[0].links.shut_out().version(), version);
        assert!(net.nodes[0].links.next_deadline() > net.now);
        net.got(0);
        net.say(1, 0, None, 7, &[1, 1, 0, 2]).unwrap();
        net.run(3);
        assert_eq!(net.got(0), [(1, vec![1, 1, 0, 2])]);
        // Nobody has lost a session.
        assert_eq!(net.nodes[0].links.counts().sessions_established, 2);
        assert_eq!(net.nodes[0].links.link_counts().shut_out, 1);
    }
}

/// Objects that nobody asked for have no weight; the machine says that they were useless.
#[test]
fn useless_payloads_count() {
    let mut net = Net::new();
    let _ = net.send(1, 0, None, 7);
    net.run(10);
    for _ in 0..13_000 {
        net.nodes[0].links.was_useless(net.now, 1);
    }
    net.got(0);
    net.send(1, 0, None, 7).unwrap();
    net.run(3);
    assert_eq!(net.got(0), []);
    // What is removed is not shut out any more.
    let shut = |net: &Net| net.nodes[0].links.shut_out().iter().count();
    assert_eq!(shut(&net), 1);
    net.nodes[0].links.invite(&invited(&[2]));
    assert_eq!(shut(&net), 0);
}

/// Neither strangers nor recordings bring it upon a node.
#[test]
fn nobody_else_can_have_a_node_shut_out() {
    let mut net = Net::new();
    let _ = net.send(1, 0, None, 7);
    net.run(10);
    net.say(1, 0, None, 7, &[1, 1, 0, 2]).unwrap();
    let recorded = net.flying.last().unwrap().2.clone();
    net.run(3);
    net.got(0);
    for k in 0..30_000u32 {
        let mut bytes = recorded.clone();
        if k % 2 == 0 {
            bytes[20] ^= 1;
        }
        assert_eq!(
            net.nodes[0].links.open(net.now, address(1, 9), &mut bytes),
            None
        );
    }
    assert_eq!(net.nodes[0].links.link_counts().shut_out, 0);
    net.send(1, 0, None, 7).unwrap();
    net.run(3);
    assert_eq!(net.got(0), [(1, vec![1, 1, 77])]);
}

#[test]
fn a_peer_that_restarts_elsewhere_is_found_by_what_machines_know() {
    let mut net = Net::new();
    let _ = net.send(1, 2, None, 7);
    net.run(10);
    net.send(2, 1, Some(1), 7).unwrap();
    net.run(3);
    assert_eq!(net.got(1).len(), 1);
    // Node 2 is another process at another port, and says nothing.
    net.nodes[2] = Node::start(2, 2, 8);
    // What is known of the present process does not move the peer: its own address counts.
    net.send(1, 2, Some(1), 9).unwrap();
    assert_eq!(net.flying.pop().unwrap().1, address(2, 7));
    // The machine hears of the new one.
    let _ = net.send(1, 2, Some(2), 8);
    net.run(600);
    let _ = net.send(1, 2, Some(2), 8);
    net.run(600);
    assert_eq!(net.got(2).last(), Some(&(1, vec![1, 1, 77])));
}

#[test]
fn a_peer_that_restarts_at_its_place_is_found_by_its_silence() {
    let mut net = Net::new();
    let _ = net.send(1, 0, None, 7);
    net.run(10);
    net.send(0, 1, Some(1), 7).unwrap();
    net.run(3);
    net.nodes[0] = Node::start(0, 2, 7);
    for _ in 0..20 {
        let _ = net.send(1, 0, Some(1), 7);
        net.run(100);
    }
    assert_eq!(net.got(0).last(), Some(&(1, vec![1, 1, 77])));
}

/// Somebody has copied the card of node 1: three boards have its key.
#[test]
fn boards_with_one_key_are_answered_each() {
    let mut net = Net::new();
    for (process, port) in [(2, 8), (3, 9)] {
        net.nodes.push(Node::start(1, process, port));
    }
    let boards = [(1, 1, 7), (3, 2, 8), (4, 3, 9)];
    // Each joins by itself.
    for (node, ..) in boards {
        let _ = net.send(node, 0, None, 7);
        net.run(600);
    }
    net.got(0);
    let handshakes = |net: &Net| net.nodes[0].links.counts().sessions_established;
    let before = handshakes(&net);
    for _ in 0..20 {
        for (node, ..) in boards {
            net.send(node, 0, None, 7).unwrap();
        }
        net.run(3);
        assert_eq!(net.got(0).len(), boards.len());
        for (_, process, port) in boards {
            net.send(0, 1, Some(process), port).unwrap();
        }
        net.run(500);
        for (node, ..) in boards {
            assert_eq!(net.got(node), [(0, vec![0, 1, 77])], "board {node}");
        }
    }
    assert_eq!(handshakes(&net), before, "nobody had to join again");
    // One of them ends; what is meant for it after a while looks for it at its place.
    net.nodes.truncate(4);
    net.send(1, 0, None, 7).unwrap();
    net.run(3_000);
    net.send(0, 1, Some(1), 7).unwrap();
    net.run(3);
    assert_eq!(net.got(1).len(), 1);
}

#[test]
fn lists_change_while_others_speak() {
    let mut net = Net::new();
    let _ = net.send(1, 0, None, 7);
    let _ = net.send(2, 0, None, 7);
    net.run(10);
    assert_eq!(net.got(0).len(), 2);
    let changed = net.nodes[0].links.invite(&invited(&[1]));
    assert_eq!(
        (changed.removed, changed.added),
        (vec!["node-2".to_owned()], vec![])
    );
    net.send(1, 0, None, 7).unwrap();
    net.send(2, 0, None, 7).unwrap();
    assert_eq!(net.send(0, 2, Some(1), 7), Err(SealError::NoPeer));
    net.run(3_000);
    assert_eq!(net.got(0), [(1, vec![1, 1, 77])]);
    // Invited again, it begins anew.
    let changed = net.nodes[0].links.invite(&invited(&[1, 2]));
    assert_eq!(changed.added, ["node-2"]);
    for _ in 0..20 {
        let _ = net.send(2, 0, None, 7);
        net.run(100);
    }
    assert!(net.got(0).iter().any(|(number, _)| *number == 2));
    // Another key is another node.
    let mut list = invited(&[1, 2]);
    list[0].public = private(7).public();
    let changed = net.nodes[0].links.invite(&list);
    assert_eq!(
        (changed.removed, changed.added),
        (vec!["node-1".to_owned()], vec!["node-1".to_owned()])
    );
    // A list with a mistake says so.
    list[1].name = "node-1".into();
    assert_eq!(net.nodes[0].links.invite(&list).wrong.len(), 1);
}
