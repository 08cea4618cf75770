//! What a datagram costs: sealing and opening in place, on one core.
//!
//! `cargo bench -p tessera-secure --bench seal`. Prints, asserts nothing about time. Handshakes, too, since every two minutes there is one.
//! With `-- count N BYTES` it seals and opens N datagrams of BYTES once, and prints nothing: for programs that count instructions
//! (`cargo xtask bench --seal`).

use std::{hint::black_box, net::SocketAddr, time::Instant};

use tessera_secure::{
    ClusterSecret, Config, HEAD_BYTES, Opened, Output, PeerConfig, PeerId, PrivateKey, Sessions,
    TAG_BYTES,
};

/// Payloads: a control message, today's datagrams, the longest of Ethernet, the longest of UDP.
const PAYLOADS: [usize; 4] = [48, 1_200, 1_440, 65_000];
/// Bytes per figure.
const BYTES: usize = 200_000_000;
/// Runs, of which the fastest and the median are printed.
const RUNS: usize = 5;

struct Pair {
    nodes: [Sessions; 2],
    peer: PeerId,
}

fn address(node: u8) -> SocketAddr {
    ([10, 0, 0, node], 7400).into()
}

fn pair(seed: u8) -> Pair {
    let key = |node: u8| PrivateKey::from_random([node + 1; 32]);
    let table = |node: u8| {
        let secret = ClusterSecret::from_random([9; 32]);
        let mut table = Sessions::new(
            key(node),
            secret,
            [seed ^ (node << 7); 32],
            Config::default(),
        );
        let config = PeerConfig {
            address: Some(address(1 - node)),
            ..PeerConfig::new(key(1 - node).public())
        };
        let peer = table.add("peer", config).expect("a peer");
        (table, peer)
    };
    let ((mut a, peer), (mut b, _)) = (table(0), table(1));
    a.connect(0, peer).expect("a peer with an address");
    for turn in 0..3u8 {
        let (from, to) = if turn % 2 == 0 {
            (&mut a, &mut b)
        } else {
            (&mut b, &mut a)
        };
        loop {
            match from.poll(0) {
                Output::Send { bytes, .. } => {
                    let _ = to.open(0, address(turn % 2), &mut bytes.to_vec());
                }
                Output::WaitUntil(_) => break,
                _ => {}
            }
        }
    }
    Pair {
        nodes: [a, b],
        peer,
    }
}

/// Seconds for `BYTES` of payload: sealing, opening.
fn run(payload: usize) -> [f64; 2] {
    let Pair {
        nodes: [mut a, mut b],
        peer,
    } = pair(1);
    let count = BYTES / payload;
    // Few enough for the caches, as a batch of a socket is.
    let mut batch = vec![vec![7; HEAD_BYTES + payload + TAG_BYTES]; 16];
    let mut seconds = [0.0; 2];
    for _ in 0..count / batch.len() {
        let begun = Instant::now();
        for datagram in &mut batch {
            a.seal(0, peer, black_box(datagram)).expect("a session");
        }
        let sealed = Instant::now();
        for datagram in &mut batch {
            let opened = b.open(0, address(0), black_box(datagram));
            assert!(matches!(opened, Opened::Payload { .. }), "{opened:?}");
        }
        seconds[0] += (sealed - begun).as_secs_f64();
        seconds[1] += sealed.elapsed().as_secs_f64();
    }
    seconds
}

/// Seals, and opens if `opens`, so many datagrams of so many bytes.
fn count(datagrams: usize, payload: usize, opens: bool) {
    let Pair {
        nodes: [mut a, mut b],
        peer,
    } = pair(1);
    let mut datagram = vec![7; HEAD_BYTES + payload + TAG_BYTES];
    for _ in 0..datagrams {
        a.seal(0, peer, black_box(&mut datagram))
            .expect("a session");
        if opens {
            let opened = b.open(0, address(0), black_box(&mut datagram));
            assert!(matches!(opened, Opened::Payload { .. }), "{opened:?}");
        }
    }
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    if let Some(at) = words.iter().position(|w| w == "count" || w == "count-seal") {
        let number = |k: usize| words.get(at + k).and_then(|w| w.parse().ok());
        let (Some(n), Some(bytes)) = (number(1), number(2)) else {
            panic!("count N BYTES");
        };
        count(n, bytes, words[at] == "count");
        return;
    }
    println!(
        "payload   seal MB/s   open MB/s   both MB/s (fastest, median of {RUNS})   us per datagram"
    );
    for payload in PAYLOADS {
        let mut runs: Vec<[f64; 2]> = (0..RUNS).map(|_| run(payload)).collect();
        runs.sort_by(|x, y| (x[0] + x[1]).total_cmp(&(y[0] + y[1])));
        let rate = |seconds: f64| BYTES as f64 / 1e6 / seconds;
        let ([seal, open], middle) = (runs[0], runs[RUNS / 2]);
        println!(
            "{payload:7} {:11.0} {:11.0} {:11.0} {:11.0} {:28.2}",
            rate(seal),
            rate(open),
            rate(seal + open),
            rate(middle[0] + middle[1]),
            (seal + open) * 1e6 * payload as f64 / BYTES as f64,
        );
    }
    let begun = Instant::now();
    let handshakes = 200;
    for seed in 0..handshakes {
        black_box(pair(seed));
    }
    println!(
        "a handshake, both sides and four keys' public ones: {:.0} us",
        begun.elapsed().as_secs_f64() * 1e6 / f64::from(handshakes)
    );
}
