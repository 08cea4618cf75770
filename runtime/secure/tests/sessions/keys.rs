//! New keys in time, old ones refused in time.

use tessera_secure::{Config, Limits, Opened, Refusal, SealError};

use crate::net::*;

/// Ten minutes of traffic with datagrams in flight whenever keys change: none is lost, and there are as many handshakes as the clock asks for.
#[test]
fn keys_change_in_the_middle_of_traffic() {
    let mut net = Net::pair();
    net.rule = Box::new(|_, _| Some(50 * MS));
    let mut sent = 0u64;
    let begun = net.now;
    while net.now < begun + 600 * SECOND {
        // 1000 in flight at each moment.
        for _ in 0..10 {
            net.send(0, 1, &sent.to_le_bytes()).unwrap();
            net.send(1, 0, &sent.to_le_bytes()).unwrap();
            sent += 1;
        }
        net.run_for(100 * MS);
    }
    net.run_for(SECOND);
    for node in &net.nodes {
        let got: Vec<u64> = node
            .got
            .iter()
            .map(|g| u64::from_le_bytes(g.1[..].try_into().unwrap()))
            .collect();
        assert_eq!(got, (0..sent).collect::<Vec<_>>());
        assert_eq!(node.sessions.counts().refused.total(), 0);
        // At 0, 120, 240, 360 and 480 s; at 600 s if it came to that.
        assert!((5..=6).contains(&node.sessions.counts().sessions_established));
        assert_eq!(node.told.len(), 1, "the caller sees one session");
    }
}

#[test]
fn keys_change_after_messages() {
    let limits = Limits {
        rekey_after_messages: 100,
        reject_after_messages: 2_000,
        ..Limits::default()
    };
    let mut net = Net::with(
        2,
        Config {
            limits,
            ..Config::default()
        },
    );
    net.connect(0, 1);
    net.run_for(10 * SECOND);
    for _ in 0..500 {
        net.send(0, 1, b"x").unwrap();
        net.run_for(100 * MS);
    }
    assert_eq!(net.nodes[1].got.len(), 500);
    // 500 and the keepalives among them.
    let sessions = net.nodes[0].sessions.counts().sessions_established;
    assert!((5..=6).contains(&sessions), "{sessions}");
    // Without an answer, the messages of a session end.
    net.rule = Box::new(|_, _| None);
    let sealed = (0..10_000)
        .take_while(|_| net.send(0, 1, b"x").is_ok())
        .count();
    assert!((1_800..2_000).contains(&sealed), "{sealed}");
    assert_eq!(net.send(0, 1, b"x"), Err(SealError::NoSession));
}

#[test]
fn old_keys_are_refused() {
    let mut net = Net::pair();
    let early = net.sealed(0, 1, b"x").unwrap();
    net.rule = Box::new(|_, _| None);
    net.run_for(177 * SECOND);
    let late = net.sealed(0, 1, b"x").unwrap();
    assert!(matches!(net.deliver(&early), Opened::Payload { .. }));
    // 180 s after the handshake. The tables have not looked at their timers yet.
    net.now += 3 * SECOND;
    assert_eq!(net.deliver(&late), Opened::Refused(Refusal::ExpiredSession));
    assert_eq!(net.send(0, 1, b"x"), Err(SealError::NoSession));
    assert_eq!(net.send(1, 0, b"x"), Err(SealError::NoSession));
    net.run_for(SECOND);
    assert_eq!(net.deliver(&late), Opened::Refused(Refusal::UnknownSession));
}

/// A node at rest sends nothing; one that only listens says every 10 s that it lives.
#[test]
fn rest_is_quiet() {
    let mut net = Net::pair();
    let before = net.log.len();
    net.run_for(100 * SECOND);
    assert_eq!(net.log.len(), before);
    for _ in 0..100 {
        net.send(0, 1, b"x").unwrap();
        net.run_for(SECOND);
    }
    let answers = net.log[before..]
        .iter()
        .filter(|p| p.from == address(1))
        .count();
    assert!((8..=12).contains(&answers), "{answers}");
    assert_eq!(
        net.nodes[0].sessions.counts().initiations_sent,
        2,
        "one for the session, one for its new keys"
    );
}

/// With a pause that is kept, a session outlives rest, and a peer that was away is found.
#[test]
fn persistent_keepalives() {
    let mut net = Net::pair();
    assert!(net.nodes[0].sessions.remove(&name(1)));
    let config = tessera_secure::PeerConfig {
        address: Some(address(1)),
        persistent_us: Some(25 * SECOND),
        ..tessera_secure::PeerConfig::new(private(1).public())
    };
    net.nodes[0].sessions.add(&name(1), config).unwrap();
    net.run_for(600 * SECOND);
    assert!(net.is_open(0, 1) && net.is_open(1, 0));
    let sent = net.nodes[0].sessions.counts().keepalives_sent;
    assert!((20..=40).contains(&sent), "{sent}");
    net.rule = Box::new(|_, _| None);
    net.run_for(600 * SECOND);
    assert!(!net.is_open(0, 1));
    net.rule = Box::new(|_, _| Some(MS));
    net.run_for(60 * SECOND);
    assert!(net.is_open(0, 1) && net.is_open(1, 0));
}
