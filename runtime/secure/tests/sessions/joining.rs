//! Handshakes: with loss, without an answer, from both sides at once, after restarts.

use proptest::prelude::*;
use tessera_secure::{
    AddError, ClusterSecret, Config, Limits, Opened, PeerConfig, PrivateKey, PublicKey, Refusal,
    SealError, Sessions,
};

use crate::net::*;

#[test]
fn one_round_trip_and_data_flows_both_ways() {
    let mut net = Net::new(2);
    assert_eq!(net.send(0, 1, b"early"), Err(SealError::NoSession));
    net.run_for(4 * MS);
    // Initiation, response, and each side's first datagram.
    let kinds: Vec<(u8, usize)> = net
        .log
        .iter()
        .map(|p| (p.bytes[0], p.bytes.len()))
        .collect();
    assert_eq!(kinds, [(1, 152), (2, 100), (4, 32), (4, 32)]);
    for (from, to) in [(0, 1), (1, 0)] {
        assert_eq!(
            net.nodes[from].told,
            [Told::Established {
                peer: to,
                restarted: false
            }]
        );
        net.send(from, to, b"hello").unwrap();
    }
    net.run_for(2 * MS);
    assert_eq!(net.nodes[0].got, [(1, b"hello".to_vec())]);
    assert_eq!(net.nodes[1].got, [(0, b"hello".to_vec())]);
    // Both paid: e, es, ss, ee, se.
    for node in &net.nodes {
        assert_eq!(node.sessions.counts().curve_operations, 5);
        assert_eq!(node.sessions.counts().refused.total(), 0);
    }
}

/// The responder may not send before it has heard the initiator: until then it may be talking to a recording.
#[test]
fn the_responder_waits_for_data() {
    let mut net = Net::new(2);
    net.rule = Box::new(|p, _| (!p.is_data()).then_some(MS));
    net.connect(0, 1);
    net.run_for(10 * MS);
    assert!(net.is_open(0, 1));
    assert!(!net.is_open(1, 0));
    assert!(net.nodes[1].told.is_empty());
    // The first datagram is sent again, so that a lost one does not leave the responder mute.
    net.rule = Box::new(|_, _| Some(MS));
    net.run_for(6 * SECOND);
    assert!(net.is_open(1, 0));
}

#[test]
fn nobody_answers() {
    let mut net = Net::new(2);
    net.rule = Box::new(|_, _| None);
    net.connect(0, 1);
    net.run_for(200 * SECOND);
    // 90 s of tries, 5 to 5.33 s apart.
    assert!((17..=18).contains(&net.log.len()), "{}", net.log.len());
    assert_eq!(net.nodes[0].told, [Told::GaveUp { peer: 1 }]);
    let counts = net.nodes[0].sessions.counts();
    assert_eq!(
        (counts.handshakes_given_up, counts.initiations_sent),
        (1, net.log.len() as u64)
    );
    assert_eq!(net.nodes[0].sessions.next_deadline(), None);
    // The next datagram tries again.
    net.rule = Box::new(|_, _| Some(MS));
    assert_eq!(net.send(0, 1, b"x"), Err(SealError::NoSession));
    net.run_for(SECOND);
    assert!(net.is_open(0, 1));
}

/// However often a node asks, initiations are 5 s apart.
#[test]
fn impatience_does_not_help() {
    let mut net = Net::new(2);
    net.rule = Box::new(|_, _| None);
    for _ in 0..4_000 {
        assert_eq!(net.send(0, 1, b"x"), Err(SealError::NoSession));
        net.connect(0, 1);
        net.run_for(5 * MS);
    }
    assert!(
        (4..=5).contains(&net.log.len()),
        "{} in 20 s",
        net.log.len()
    );
}

#[test]
fn both_begin_at_once() {
    // Delays of the two directions, so that the four messages cross in many ways.
    for (there, back) in [(1, 1), (1, 3), (3, 1), (1, 400), (400, 1), (200, 200)] {
        let mut net = Net::new(2);
        net.rule = Box::new(move |p, _| Some(MS * if p.from == address(0) { there } else { back }));
        net.connect(0, 1);
        net.connect(1, 0);
        net.run_for(3 * SECOND);
        for k in 0..200u8 {
            for (from, to) in [(0, 1), (1, 0)] {
                net.send(from, to, &[k]).unwrap();
            }
            net.run_for(2 * SECOND);
        }
        net.run_for(SECOND);
        for (node, other) in [(0, 1), (1, 0)] {
            let got: Vec<u8> = net.nodes[node]
                .got
                .iter()
                .map(|(from, b)| {
                    assert_eq!(*from, other);
                    b[0]
                })
                .collect();
            assert_eq!(got, (0..200).collect::<Vec<u8>>(), "{there} {back}");
            let refused = net.nodes[node].sessions.counts().refused;
            // What the other side no longer waits for.
            assert_eq!(refused.total(), refused.get(Refusal::UnknownHandshake));
        }
    }
}

/// Each side goes on with the session that it began, and never hears data under it.
#[test]
fn who_began_at_once_falls_silent() {
    let mut net = Net::new(2);
    net.connect(0, 1);
    net.connect(1, 0);
    net.run_for(net.config.times.unconfirmed_us + SECOND);
    let sent = net.log.len();
    net.run_for(net.config.times.rekey_after_us / 2);
    assert_eq!(net.log.len(), sent);
}

#[test]
fn either_side_restarts() {
    for (restarts, other) in [(0, 1), (1, 0)] {
        let mut net = Net::pair();
        net.send(0, 1, b"a").unwrap();
        net.send(1, 0, b"b").unwrap();
        net.run_for(SECOND);
        net.restart(restarts);
        net.nodes[other].told.clear();
        // Data for the process that has ended.
        net.send(other, restarts, b"lost").unwrap();
        net.run_for(SECOND);
        assert_eq!(net.refused(restarts, Refusal::UnknownSession), 1);
        // A board whose wall clock is wrong joins at once: there is no clock.
        net.connect(restarts, other);
        net.run_for(10 * MS);
        assert_eq!(
            net.nodes[other].told,
            [Told::Established {
                peer: restarts,
                restarted: true
            }]
        );
        assert_eq!(
            net.nodes[restarts].told,
            [Told::Established {
                peer: other,
                restarted: false
            }]
        );
        net.send(other, restarts, b"again").unwrap();
        net.send(restarts, other, b"again").unwrap();
        net.run_for(SECOND);
        assert_eq!(net.nodes[0].got.last(), Some(&(1, b"again".to_vec())));
        assert_eq!(net.nodes[1].got.last(), Some(&(0, b"again".to_vec())));
    }
}

/// A peer that does not begin by itself is found dead after 15 s without an answer.
#[test]
fn silence_is_noticed() {
    let mut net = Net::pair();
    net.restart(1);
    net.send(0, 1, b"lost").unwrap();
    net.run_for(14 * SECOND);
    assert_eq!(net.nodes[0].sessions.counts().initiations_sent, 1);
    net.run_for(2 * SECOND);
    assert_eq!(net.nodes[0].sessions.counts().initiations_sent, 2);
    net.send(0, 1, b"found").unwrap();
    net.run_for(SECOND);
    assert_eq!(net.nodes[1].got, [(0, b"found".to_vec())]);
}

#[test]
fn a_removed_peer_is_gone_at_once() {
    let mut net = Net::pair();
    let packet = net.sealed(1, 0, b"x").unwrap();
    let gone = net.peer(0, 1);
    assert!(net.nodes[0].sessions.remove(&name(1)));
    assert!(!net.nodes[0].sessions.remove(&name(1)));
    assert_eq!(
        net.deliver(&packet),
        Opened::Refused(Refusal::UnknownSession)
    );
    let now = net.now;
    let node = &mut net.nodes[0].sessions;
    assert_eq!(
        node.seal(now, gone, &mut framed(b"x")),
        Err(SealError::NoPeer)
    );
    // Its place is another's now; its id is not.
    let other = node
        .add("other", PeerConfig::new(private(9).public()))
        .unwrap();
    assert_eq!(
        node.seal(now, gone, &mut framed(b"x")),
        Err(SealError::NoPeer)
    );
    assert_eq!((node.name(gone), node.name(other)), (None, Some("other")));
    assert_eq!(
        node.seal(now, other, &mut framed(b"x")),
        Err(SealError::NoAddress)
    );
    // And it can not come back.
    net.restart(1);
    net.connect(1, 0);
    net.run_for(20 * SECOND);
    assert!(net.refused(0, Refusal::UnknownPeer) > 0);
    assert!(!net.is_open(1, 0));
}

#[test]
fn what_a_table_does_not_take() {
    let config = Config {
        limits: Limits {
            peers: 2,
            ..Limits::default()
        },
        ..Config::default()
    };
    let mut table = Sessions::new(private(0), secret(), [1; 32], config);
    let mut add = |name: &str, key: PublicKey| table.add(name, PeerConfig::new(key)).map(|_| ());
    let key = |k| private(k).public();
    let text = str::to_owned;
    assert_eq!(
        add("me", key(0)),
        Err(AddError::OwnKey { name: text("me") })
    );
    for bad in ["", "a b", "ü", "a/b", &"x".repeat(64)] {
        assert_eq!(add(bad, key(1)), Err(AddError::Name { name: text(bad) }));
    }
    assert_eq!(
        add("zero", PublicKey([0; 32])),
        Err(AddError::NoKey { name: text("zero") })
    );
    assert_eq!(add("pi4-a", key(1)), Ok(()));
    assert_eq!(
        add("pi4-a", key(2)),
        Err(AddError::SameName {
            name: text("pi4-a")
        })
    );
    let same = AddError::SameKey {
        name: text("pi4-b"),
        other: text("pi4-a"),
    };
    assert_eq!(add("pi4-b", key(1)), Err(same));
    assert_eq!(add("pi4-b", key(2)), Ok(()));
    assert_eq!(
        add("pi4-c", key(3)),
        Err(AddError::Full {
            name: text("pi4-c"),
            most: 2
        })
    );
    assert!(table.remove("pi4-a"));
    assert!(table.add("pi4-c", PeerConfig::new(key(1))).is_ok());
}

/// The same secret, another key: not in the table. Another secret: not even an answer.
#[test]
fn strangers_stay_outside() {
    let mut net = Net::new(2);
    for (cluster, why) in [
        ([99; 32], Refusal::UnknownPeer),
        ([98; 32], Refusal::BadMac1),
    ] {
        let key = PrivateKey::from_random([55; 32]);
        let mut stranger = Sessions::new(
            key,
            ClusterSecret::from_random(cluster),
            [1; 32],
            Config::default(),
        );
        let config = PeerConfig {
            address: Some(address(0)),
            ..PeerConfig::new(private(0).public())
        };
        let peer = stranger.add("gateway", config).unwrap();
        stranger.connect(net.now, peer).unwrap();
        let tessera_secure::Output::Send { bytes, .. } = stranger.poll(net.now) else {
            panic!("an initiation");
        };
        let bytes = bytes.to_vec();
        assert_eq!(net.hand(0, address(77), &bytes), Opened::Refused(why));
        net.run_for(SECOND);
        assert!(net.log.is_empty(), "no answer");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    /// Whatever is lost, doubled and reordered for a minute: afterwards both can talk, and nothing came twice or changed.
    #[test]
    fn a_bad_minute_ends(seed: u64, loss in 0u64..60, restarts in 0usize..3) {
        let mut net = Net::new(2);
        let mut chance = Chance(seed);
        net.rule = Box::new(move |_, now| match now {
            ..61_000_000 if chance.below(100) < loss => None,
            ..61_000_000 => Some(chance.below(80) * MS),
            _ => Some(MS),
        });
        let mut chance = Chance(!seed);
        let (mut k, mut sent) = (0u64, [0u64; 2]);
        while net.now < 61 * SECOND {
            let from = chance.below(2) as usize;
            if net.send(from, 1 - from, &k.to_le_bytes()).is_ok() {
                sent[from] += 1;
            }
            // The network doubles datagrams.
            if chance.below(10) == 0 && let Some(packet) = net.log.last().cloned() {
                net.fly(packet);
            }
            if restarts > 0 && chance.below(300 / restarts as u64) == 0 {
                net.restart(chance.below(2) as usize);
            }
            k += 1;
            net.run_for(chance.below(400) * MS);
        }
        // 15 s until the silence is noticed, 5 s for a handshake that was on its way.
        for _ in 0..30 {
            let _ = (net.send(0, 1, b"probe"), net.send(1, 0, b"probe"));
            net.run_for(SECOND);
        }
        for node in &mut net.nodes {
            let payloads: Vec<_> = node.got.iter().filter(|g| g.1 != b"probe").collect();
            let unique: std::collections::BTreeSet<_> = payloads.iter().collect();
            prop_assert_eq!(unique.len(), payloads.len(), "none twice");
            node.got.clear();
        }
        net.send(0, 1, b"end").unwrap();
        net.send(1, 0, b"end").unwrap();
        net.run_for(SECOND);
        prop_assert_eq!(&net.nodes[0].got, &[(1, b"end".to_vec())]);
        prop_assert_eq!(&net.nodes[1].got, &[(0, b"end".to_vec())]);
    }
}
