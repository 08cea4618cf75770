use std::time::Duration;

use super::*;

fn node() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    // Far longer than anything here takes; only a broken relay reaches it.
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    socket
}

fn receive(at: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0u8; 2048];
    let (len, from) = at.recv_from(&mut buffer).expect("a datagram");
    (buffer[..len].to_vec(), from)
}

/// Waits for something that must come; far longer than it takes.
fn until(mut done: impl FnMut() -> bool) {
    for _ in 0..20_000 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("it did not come");
}

#[test]
fn nodes_see_each_other_only_through_the_relay() {
    let relay = Relay::start(Faults::NONE, 1).unwrap();
    let (gateway, a, b) = (node(), node(), node());
    let real = |n: &UdpSocket| n.local_addr().unwrap();
    let door = relay.public(real(&gateway)).unwrap();
    assert_eq!(relay.public(real(&gateway)).unwrap(), door);

    a.send_to(b"a here", door).unwrap();
    let (bytes, seen_a) = receive(&gateway);
    assert_eq!(bytes, b"a here");
    assert_ne!(seen_a, real(&a));
    assert_eq!(seen_a, relay.public(real(&a)).unwrap());

    gateway.send_to(b"hello a", seen_a).unwrap();
    assert_eq!(receive(&a), (b"hello a".to_vec(), door));

    // The gateway tells b of a as it sees a; b asks a directly; a answers to what it sees.
    b.send_to(b"a, some work?", seen_a).unwrap();
    let (bytes, seen_b) = receive(&a);
    assert_eq!(bytes, b"a, some work?");
    assert_eq!(seen_b, relay.public(real(&b)).unwrap());
    a.send_to(b"here", seen_b).unwrap();
    assert_eq!(receive(&b), (b"here".to_vec(), seen_a));

    assert_eq!(relay.nodes(), [real(&gateway), real(&a), real(&b)]);
    // A datagram is sent and counted under one lock.
    let c = relay.counters();
    assert_eq!((c.received, c.forwarded, c.lost), (4, 4, 0));
    assert_eq!(c.forwarded_bytes, 6 + 7 + 13 + 4);
}

#[test]
fn every_datagram_is_accounted_for() {
    let faults = Faults {
        loss: 0.2,
        duplicate: 0.3,
        reorder: 0.3,
        hold: Duration::from_millis(3),
        ..Faults::NONE
    };
    let relay = Relay::start(faults, 7).unwrap();
    let (from, to) = (node(), node());
    let door = relay.public(to.local_addr().unwrap()).unwrap();
    let mut arrived = Vec::new();
    // Few at a time: no socket buffer overflows.
    for batch in 1..=20u16 {
        for number in 25 * (batch - 1)..25 * batch {
            from.send_to(&number.to_le_bytes(), door).unwrap();
        }
        until(|| {
            let c = relay.counters();
            c.received == 25 * u64::from(batch) && c.forwarded == c.received - c.lost + c.duplicated
        });
        while (arrived.len() as u64) < relay.counters().forwarded {
            let (bytes, _) = receive(&to);
            arrived.push(u16::from_le_bytes([bytes[0], bytes[1]]));
        }
    }
    let c = relay.counters();
    assert_eq!((c.cut, c.overflowed, c.unsent), (0, 0, 0));
    assert_eq!(c.forwarded_bytes, 2 * c.forwarded);
    let distinct: BTreeSet<u16> = arrived.iter().copied().collect();
    assert_eq!(distinct.len() as u64, 500 - c.lost);
    assert_eq!((arrived.len() - distinct.len()) as u64, c.duplicated);
    assert!(c.lost > 0 && c.duplicated > 0 && c.held > 0, "{c:?}");
    assert!(arrived.windows(2).any(|w| w[0] > w[1]), "nothing overtook");
}

#[test]
fn shares_are_kept_and_a_seed_repeats_them() {
    let faults = Faults::rough(0.1);
    let draw = |seed: u64| -> Vec<fate::Fate> {
        let mut random = RandomSource::new(seed);
        (0..20_000).map(|_| faults.draw(&mut random)).collect()
    };
    let fates = draw(3);
    assert_eq!(fates, draw(3));
    assert_ne!(fates, draw(4));
    let share = |n: usize, of: usize| n as f64 / of as f64;
    let lost = fates.iter().filter(|f| f.copies.is_empty()).count();
    let doubled = fates.iter().filter(|f| f.copies.len() == 2).count();
    let held = fates.iter().filter(|f| f.held).count();
    let kept = fates.len() - lost;
    // Five standard deviations of 20000 draws are about 0.01.
    assert!((share(lost, fates.len()) - 0.1).abs() < 0.011);
    assert!((share(doubled, kept) - 0.05).abs() < 0.009);
    assert!((share(held, kept) - 0.1).abs() < 0.012);
    let longest = fates.iter().flat_map(|f| &f.copies).max().unwrap();
    assert!(*longest < Duration::from_millis(6));
}

#[test]
fn changing_one_share_leaves_the_other_victims() {
    let lost = |faults: Faults| -> Vec<bool> {
        let mut random = RandomSource::new(9);
        (0..500)
            .map(|_| faults.draw(&mut random).copies.is_empty())
            .collect()
    };
    let other = Faults {
        duplicate: 0.9,
        reorder: 0.0,
        ..Faults::rough(0.1)
    };
    assert_eq!(lost(Faults::rough(0.1)), lost(other));
    let mut random = RandomSource::new(9);
    let none = Faults::NONE.draw(&mut random);
    assert_eq!((none.copies, none.held), (vec![Duration::ZERO], false));
    assert_ne!(random.word(), RandomSource::new(9).word());
}

#[test]
fn a_cut_node_is_silent_until_it_is_joined_again() {
    let relay = Relay::start(Faults::NONE, 1).unwrap();
    let (a, b) = (node(), node());
    let door = relay.public(b.local_addr().unwrap()).unwrap();
    relay.cut(b.local_addr().unwrap(), true);
    a.send_to(b"1", door).unwrap();
    until(|| relay.counters().cut == 1);
    relay.cut(b.local_addr().unwrap(), false);
    a.send_to(b"2", door).unwrap();
    assert_eq!(receive(&b).0, b"2");
}

#[test]
fn nodes_are_bounded() {
    let relay = Relay::start(Faults::NONE, 1).unwrap();
    let at = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    for port in 1..=NODES_MAX as u16 {
        relay.public(at(port)).unwrap();
    }
    assert!(relay.public(at(9999)).is_err());
    let own = relay.public(at(1)).unwrap();
    assert!(relay.public(own).is_err());
    let stranger = node();
    stranger.send_to(b"?", own).unwrap();
    until(|| relay.counters().overflowed == 1);
    assert_eq!(relay.nodes().len(), NODES_MAX);
}
