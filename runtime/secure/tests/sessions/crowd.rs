//! Many nodes around one.

use tessera_secure::{Opened, Refusal};

use crate::net::*;

/// Forty nodes start at the same moment: all join one node, and each is who it is.
#[test]
fn all_at_once() {
    let mut net = Net::new(41);
    for k in 1..41 {
        net.connect(k, 0);
    }
    net.run_for(SECOND);
    for k in 1..41 {
        assert!(net.is_open(k, 0) && net.is_open(0, k), "{k}");
        net.send(k, 0, &[k as u8]).unwrap();
    }
    net.run_for(SECOND);
    let mut got = net.nodes[0].got.clone();
    got.sort();
    assert_eq!(got, (1..41).map(|k| (k, vec![k as u8])).collect::<Vec<_>>());
    assert_eq!(net.nodes[0].sessions.counts().refused.total(), 0);
}

/// An invited node can not be another: not by its address, not by the numbers of its sessions.
#[test]
fn an_invited_peer_is_itself() {
    let mut net = Net::new(3);
    net.connect(1, 0);
    net.connect(2, 0);
    net.run_for(SECOND);
    // Node 2 sends from node 1's address.
    let packet = net.sealed(2, 0, b"I am node 1").unwrap();
    net.hand(0, address(1), &packet.bytes);
    assert_eq!(net.nodes[0].got, [(2, b"I am node 1".to_vec())]);
    // It puts the number of node 1's session onto its own datagram.
    let theirs = net.sealed(1, 0, b"x").unwrap();
    let mut forged = net.sealed(2, 0, b"x").unwrap().bytes;
    forged[4..8].copy_from_slice(&theirs.bytes[4..8]);
    assert_eq!(
        net.hand(0, address(1), &forged),
        Opened::Refused(Refusal::BadTag)
    );
    // Its own address has moved, node 1's has not.
    assert_eq!(
        net.nodes[0].sessions.address(net.peer(0, 1)),
        Some(address(1))
    );
    assert!(matches!(
        net.hand(0, address(1), &theirs.bytes),
        Opened::Payload { .. }
    ));
    // What is for node 0 does not open at node 2.
    let other = net.sealed(1, 0, b"x").unwrap();
    assert!(matches!(
        net.hand(2, address(1), &other.bytes),
        Opened::Refused(_)
    ));
}
