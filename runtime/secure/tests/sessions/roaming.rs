//! A peer's address follows its authenticated datagrams, and nothing else.

use tessera_secure::{Opened, Refusal};

use crate::net::*;

#[test]
fn a_peer_moves_in_mid_stream() {
    let mut net = Net::pair();
    let there = address(50);
    for k in 0..20u8 {
        if k == 10 {
            net.nodes[0].address = there;
        }
        net.send(0, 1, &[k]).unwrap();
        net.run_for(10 * MS);
        net.send(1, 0, &[k]).unwrap();
        net.run_for(10 * MS);
    }
    let all: Vec<Vec<u8>> = (0..20).map(|k| vec![k]).collect();
    for node in 0..2 {
        assert_eq!(
            net.nodes[node]
                .got
                .iter()
                .map(|g| g.1.clone())
                .collect::<Vec<_>>(),
            all
        );
    }
    assert_eq!(net.nodes[1].sessions.address(net.peer(1, 0)), Some(there));
    assert_eq!(net.nodes[1].sessions.counts().addresses_changed, 1);
}

#[test]
fn nothing_else_moves_a_peer() {
    let mut net = Net::pair();
    let thief = address(66);
    let (old, new) = (
        net.sealed(0, 1, b"old").unwrap(),
        net.sealed(0, 1, b"new").unwrap(),
    );
    let here = |net: &Net| net.nodes[1].sessions.address(net.peer(1, 0));
    // Changed ones.
    for bit in 0..8 * new.bytes.len() {
        let mut bytes = new.bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(matches!(net.hand(1, thief, &bytes), Opened::Refused(_)));
    }
    assert!(matches!(net.deliver(&new), Opened::Payload { .. }));
    // A recording.
    assert_eq!(
        net.hand(1, thief, &new.bytes),
        Opened::Refused(Refusal::ReplayedData)
    );
    // One that was overtaken: its payload counts, its address does not.
    assert!(matches!(
        net.hand(1, thief, &old.bytes),
        Opened::Payload { .. }
    ));
    // The handshake's first message.
    let initiation = net.log[0].clone();
    net.hand(1, thief, &initiation.bytes);
    assert_eq!(here(&net), Some(address(0)));
    assert_eq!(net.nodes[1].sessions.counts().addresses_changed, 0);
}

/// A node whose address nobody knows is known once it has come.
#[test]
fn an_address_is_learnt() {
    let mut net = Net::new(2);
    assert!(net.nodes[1].sessions.remove(&name(0)));
    let config = tessera_secure::PeerConfig::new(private(0).public());
    net.nodes[1].sessions.add(&name(0), config).unwrap();
    assert_eq!(
        net.send(1, 0, b"x"),
        Err(tessera_secure::SealError::NoAddress)
    );
    net.nodes[0].address = address(200);
    net.connect(0, 1);
    net.run_for(SECOND);
    assert_eq!(
        net.nodes[1].sessions.address(net.peer(1, 0)),
        Some(address(200))
    );
    net.send(1, 0, b"x").unwrap();
    net.run_for(SECOND);
    assert_eq!(net.nodes[0].got.len(), 1);
}
