//! Bytes that nobody of the cluster made, and floods.

use tessera_secure::{Config, Counts, Opened, Refusal};

use crate::net::*;

/// 20,000 changes of datagrams of every kind: none opens, none is answered at more length, and the session goes on.
#[test]
fn changed_datagrams_never_open() {
    let mut net = Net::pair();
    net.send(0, 1, &[7; 100]).unwrap();
    net.run_for(SECOND);
    let mut chance = Chance(1);
    let mut refused = 0;
    for _ in 0..20_000 {
        let fresh = net.sealed(0, 1, b"a payload of some length").unwrap();
        let recorded = net.log[chance.below(net.log.len() as u64) as usize].clone();
        let mut packet = if chance.below(2) == 0 {
            fresh
        } else {
            recorded
        };
        match chance.below(3) {
            0 => {
                let bit = chance.below(8 * packet.bytes.len() as u64) as usize;
                packet.bytes[bit / 8] ^= 1 << (bit % 8);
            }
            1 => packet
                .bytes
                .truncate(chance.below(packet.bytes.len() as u64) as usize),
            _ => packet.bytes.push(chance.below(256) as u8),
        }
        let to = usize::from(packet.to == address(1));
        let opened = net.hand(to, packet.from, &packet.bytes);
        assert!(matches!(opened, Opened::Refused(_)), "{opened:?}");
        refused += 1;
    }
    let total: u64 = net
        .nodes
        .iter()
        .map(|n| n.sessions.counts().refused.total())
        .sum();
    assert_eq!(total, refused);
    let before = net.log.len();
    net.run_for(SECOND);
    // In virtual time all of this came at once, so recordings whose `mac2` alone was changed count as load.
    assert!(
        net.log[before..].iter().all(|p| p.bytes.len() == 64),
        "no answer but cookies"
    );
    net.nodes[1].got.clear();
    net.send(0, 1, b"still here").unwrap();
    net.run_for(SECOND);
    assert_eq!(net.nodes[1].got, [(0, b"still here".to_vec())]);
}

#[test]
fn noise_is_refused() {
    let mut net = Net::pair();
    let mut chance = Chance(2);
    for _ in 0..20_000 {
        let len = [0, 1, 4, 16, 31, 32, 64, 100, 152, 1472][chance.below(10) as usize];
        let mut bytes: Vec<u8> = (0..len).map(|_| chance.below(256) as u8).collect();
        if let Some(head) = bytes.first_chunk_mut::<4>() {
            *head = [chance.below(6) as u8, 0, 0, 0];
        }
        let opened = net.hand(0, address(66), &bytes);
        assert!(matches!(opened, Opened::Refused(_)), "{opened:?}");
    }
    assert_eq!(net.nodes[0].sessions.counts().refused.total(), 20_000);
    let before = net.log.len();
    net.run_for(SECOND);
    assert_eq!(net.log.len(), before);
}

/// 10,000 initiations in a second without a right `mac1`: no operation on the curve, no answer, no load.
#[test]
fn bogus_initiations_cost_a_hash() {
    let mut net = Net::pair();
    let (before, sent) = (*net.nodes[1].sessions.counts(), net.log.len());
    let mut chance = Chance(3);
    for k in 0..10_000u64 {
        let mut bytes = net.log[0].bytes.clone();
        for byte in &mut bytes[4..] {
            *byte = chance.below(256) as u8;
        }
        let from = address(1_000 + (k % 30_000) as usize);
        assert_eq!(net.hand(1, from, &bytes), Opened::Refused(Refusal::BadMac1));
        if k % 100 == 0 {
            net.send(0, 1, &k.to_le_bytes()).unwrap();
            net.run_for(10 * MS);
        }
    }
    net.run_for(MS);
    let after = *net.nodes[1].sessions.counts();
    assert_eq!(after.curve_operations, before.curve_operations);
    assert_eq!(after.refused.get(Refusal::BadMac1), 10_000);
    assert_eq!(net.nodes[1].got.len(), 100);
    assert!(
        net.log[sent..].iter().all(|p| p.from == address(0)),
        "no answer"
    );
}

/// 10,000 initiations in a second that members of the cluster have made, from all over: most are answered with a cookie, which is shorter,
/// and the cost is bounded. A peer that joins in the middle of it does.
#[test]
fn a_flood_of_right_initiations_is_bounded() {
    let mut net = Net::new(3);
    let mut recorded = Vec::new();
    for _ in 0..100 {
        net.restart(0);
        net.connect(0, 1);
        net.rule = Box::new(|_, _| None);
        net.run_for(MS);
        recorded.push(net.log.pop().unwrap());
    }
    net.rule = Box::new(|_, _| Some(MS));
    let began = net.now;
    let cost = |net: &Net| -> Counts { *net.nodes[1].sessions.counts() };
    let before = cost(&net);
    for k in 0..50_000u64 {
        let packet = &recorded[(k % 100) as usize];
        let opened = net.hand(
            1,
            address(2_000 + k as usize % 20_000),
            &packet.bytes.clone(),
        );
        assert!(matches!(opened, Opened::Refused(_) | Opened::Handshake));
        if k == 5_000 {
            net.connect(2, 1);
        }
        net.run_for(100);
    }
    assert_eq!(net.now - began, 5 * SECOND);
    let after = cost(&net);
    // 50 in the second before the load shows; 3 or 6 operations each. Those of the peer that joins.
    let curve = after.curve_operations - before.curve_operations;
    assert!(curve <= 50 * 6 + 10, "{curve}");
    assert!(after.cookies_sent > 40_000, "{}", after.cookies_sent);
    assert!(
        net.is_open(2, 1) && net.is_open(1, 2),
        "joined under load, by a cookie"
    );
    assert_eq!(net.nodes[2].sessions.counts().cookies_received, 1);
    let (to, from): (usize, usize) = (
        50_000 * 152,
        net.log
            .iter()
            .filter(|p| p.from == address(1))
            .map(|p| p.bytes.len())
            .sum(),
    );
    assert!(from < to / 2, "{from} bytes for {to}");
}

/// One proven address has its rate under load.
#[test]
fn one_address_is_slowed_down() {
    let config = Config {
        limits: tessera_secure::Limits {
            handshakes_per_s: 0,
            ..Default::default()
        },
        ..Config::default()
    };
    let mut net = Net::with(2, config);
    // Always under load, both: a cookie each, then the handshake.
    net.connect(0, 1);
    net.run_for(7 * SECOND);
    assert!(net.is_open(0, 1) && net.is_open(1, 0));
    let proven = net
        .log
        .iter()
        .rev()
        .find(|p| p.bytes[0] == 1)
        .unwrap()
        .clone();
    assert_ne!(proven.bytes[136..], [0; 16], "has a mac2");
    for _ in 0..1_000 {
        net.deliver(&proven);
        net.run_for(MS);
    }
    let fast = net.refused(1, Refusal::AddressTooFast);
    assert!((970..=980).contains(&fast), "{fast}");
    assert_eq!(
        net.hand(1, address(66), &proven.bytes),
        Opened::Refused(Refusal::CookieDemanded),
        "another address"
    );
}

/// Every answer of a node to an address that it does not know is at most as long as what came.
#[test]
fn answers_are_not_longer() {
    for handshakes_per_s in [0, 50] {
        let config = Config {
            limits: tessera_secure::Limits {
                handshakes_per_s,
                ..Default::default()
            },
            ..Config::default()
        };
        let mut net = Net::with(2, config);
        net.rule = Box::new(|_, _| None);
        net.connect(0, 1);
        net.run_for(MS);
        let initiation = net.log.pop().unwrap();
        net.hand(1, address(66), &initiation.bytes);
        net.run_for(MS);
        let answers: Vec<&Packet> = net.log.iter().filter(|p| p.to == address(66)).collect();
        assert_eq!(answers.len(), 1);
        assert!(answers[0].bytes.len() <= initiation.bytes.len());
        assert_eq!(
            answers[0].bytes.len(),
            if handshakes_per_s == 0 { 64 } else { 100 }
        );
    }
}

/// What nobody fetches does not pile up.
#[test]
fn the_queue_is_bounded() {
    let mut net = Net::new(2);
    net.rule = Box::new(|_, _| None);
    net.connect(0, 1);
    net.run_for(MS);
    let initiation = net.log.pop().unwrap();
    for _ in 0..5_000 {
        net.hand(1, address(66), &initiation.bytes);
    }
    // Under load nearly all are answered with cookies; nobody polls.
    let full = net.nodes[1].sessions.counts().queue_full;
    assert!(full > 4_000, "{full}");
    net.run_for(MS);
    assert_eq!(net.log.len(), Config::default().limits.queue);
}
