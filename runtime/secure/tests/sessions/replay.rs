//! Recordings: of data and of handshakes, within a life and across restarts of either side.

use tessera_secure::{Opened, Refusal, Window};

use crate::net::*;

const REPLAYED: Opened = Opened::Refused(Refusal::ReplayedData);

#[test]
fn reordered_data_opens_once_each() {
    let mut net = Net::pair();
    let mut packets: Vec<Packet> = (0..2_000u32)
        .map(|k| net.sealed(0, 1, &k.to_le_bytes()).unwrap())
        .collect();
    let mut chance = Chance(5);
    for k in (1..packets.len()).rev() {
        packets.swap(k, chance.below(k as u64 + 1) as usize);
    }
    for packet in &packets {
        assert!(matches!(net.deliver(packet), Opened::Payload { .. }));
    }
    for packet in &packets {
        assert_eq!(net.deliver(packet), REPLAYED);
    }
    let mut got: Vec<u32> = net.nodes[1]
        .got
        .iter()
        .map(|g| u32::from_le_bytes(g.1[..].try_into().unwrap()))
        .collect();
    got.sort_unstable();
    assert_eq!(got, (0..2_000).collect::<Vec<_>>());
}

#[test]
fn too_late_is_too_late() {
    let mut net = Net::pair();
    let late: Vec<Packet> = (0..2).map(|_| net.sealed(0, 1, b"late").unwrap()).collect();
    let mut last = net.sealed(0, 1, b"x").unwrap();
    for _ in 0..Window::BEHIND_MAX - 2 {
        last = net.sealed(0, 1, b"x").unwrap();
    }
    let beyond = net.sealed(0, 1, b"x").unwrap();
    assert!(matches!(net.deliver(&last), Opened::Payload { .. }));
    assert!(matches!(net.deliver(&late[1]), Opened::Payload { .. }));
    assert!(matches!(net.deliver(&beyond), Opened::Payload { .. }));
    assert_eq!(net.deliver(&late[0]), REPLAYED);
}

#[test]
fn nothing_of_a_life_opens_in_another() {
    for restarts in [0, 1] {
        let mut net = Net::pair();
        for k in 0..50u8 {
            net.send(0, 1, &[k]).unwrap();
            net.send(1, 0, &[k]).unwrap();
        }
        net.run_for(SECOND);
        let recording = std::mem::take(&mut net.log);
        net.restart(restarts);
        // Into the fresh process, then into the fresh session.
        for _ in 0..2 {
            for packet in &recording {
                let opened = net.deliver(packet);
                assert!(
                    !matches!(opened, Opened::Payload { .. } | Opened::Keepalive { .. }),
                    "{opened:?}"
                );
            }
            net.run_for(SECOND);
            net.connect(restarts, 1 - restarts);
            net.run_for(10 * SECOND);
            assert!(net.is_open(0, 1) && net.is_open(1, 0));
        }
        net.send(0, 1, b"new").unwrap();
        net.run_for(SECOND);
        assert_eq!(net.nodes[1].got.last(), Some(&(0, b"new".to_vec())));
    }
}

/// A recorded initiation within the life that it is of: no answer.
#[test]
fn initiations_count_up() {
    let mut net = Net::pair();
    let initiation = net.log[0].clone();
    assert_eq!(initiation.bytes[0], 1);
    net.log.clear();
    for _ in 0..10 {
        assert_eq!(
            net.deliver(&initiation),
            Opened::Refused(Refusal::ReplayedInitiation)
        );
        net.run_for(SECOND / 10);
    }
    assert!(net.log.is_empty());
}

/// A responder that has restarted knows no counts. It answers a recorded initiation, once, and nothing comes of it: no address moves,
/// no session ends, and the true peer joins meanwhile.
#[test]
fn a_recorded_initiation_after_a_restart_does_nothing() {
    let mut net = Net::pair();
    let recorded = net.log[0].clone();
    net.restart(1);
    let thief = address(66);
    assert_eq!(net.hand(1, thief, &recorded.bytes), Opened::Handshake);
    assert_eq!(
        net.hand(1, thief, &recorded.bytes),
        Opened::Refused(Refusal::ReplayedInitiation)
    );
    net.run_for(MS);
    let answer = net.log.last().unwrap();
    assert_eq!((answer.to, answer.bytes.len()), (thief, 100));
    assert_eq!(
        net.nodes[1].sessions.address(net.peer(1, 0)),
        Some(address(0))
    );
    assert!(!net.is_open(1, 0));
    net.restart(0);
    net.connect(0, 1);
    net.run_for(100 * MS);
    assert!(net.is_open(1, 0) && net.is_open(0, 1));
    // Into the running session, too.
    for _ in 0..20 {
        let opened = net.hand(1, thief, &recorded.bytes);
        assert!(
            matches!(
                opened,
                Opened::Handshake | Opened::Refused(Refusal::ReplayedInitiation)
            ),
            "{opened:?}"
        );
        net.send(1, 0, b"x").unwrap();
        net.run_for(SECOND);
    }
    assert_eq!(net.nodes[0].got.len(), 20);
    assert_eq!(
        net.nodes[1].sessions.address(net.peer(1, 0)),
        Some(address(0))
    );
    assert!(net.nodes[1].told.iter().all(|t| *t
        == Told::Established {
            peer: 0,
            restarted: false
        }));
}

/// Recordings of many lives, sent all the time, do not keep a restarted peer out.
#[test]
fn recordings_of_many_lives_do_not_crowd_out_the_peer() {
    let mut net = Net::new(2);
    let mut recorded = Vec::new();
    for _ in 0..12 {
        net.restart(0);
        // Lost, but heard by somebody.
        net.rule = Box::new(|_, _| None);
        net.connect(0, 1);
        net.run_for(MS);
        recorded.push(net.log.pop().unwrap());
    }
    net.rule = Box::new(|_, _| Some(MS));
    net.restart(0);
    net.connect(0, 1);
    // One each 5 ms, for as long as handshakes are tried.
    for k in 0..4_000 {
        let packet = &recorded[k % recorded.len()];
        net.hand(1, address(66), &packet.bytes.clone());
        net.run_for(5 * MS);
    }
    assert!(net.is_open(0, 1) && net.is_open(1, 0));
    assert!(net.refused(1, Refusal::PeerTooFast) > 0);
    assert_eq!(
        net.nodes[1].sessions.address(net.peer(1, 0)),
        Some(address(0))
    );
}

#[test]
fn recorded_responses_are_not_waited_for() {
    let mut net = Net::pair();
    let response = net.log[1].clone();
    assert_eq!(response.bytes[0], 2);
    assert_eq!(
        net.deliver(&response),
        Opened::Refused(Refusal::UnknownHandshake)
    );
    net.run_for(20 * SECOND);
    net.restart(0);
    net.connect(0, 1);
    assert_eq!(
        net.deliver(&response),
        Opened::Refused(Refusal::UnknownHandshake)
    );
    net.run_for(SECOND);
    assert!(net.is_open(0, 1));
}
