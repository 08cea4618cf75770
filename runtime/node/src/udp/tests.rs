use std::{
    net::{Ipv4Addr, UdpSocket},
    os::fd::{AsFd, AsRawFd},
};

use nix::{
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use super::*;

fn local() -> Socket {
    Socket::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap()
}

/// All datagrams that arrive until `count` did; bounded.
fn collect(socket: &mut Socket, count: u64) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut inbox = Inbox::default();
    let mut all = Vec::new();
    while socket.counters.datagrams_received < count {
        let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        assert!(
            poll(&mut fds, PollTimeout::from(10_000u16)).unwrap() > 0,
            "{} of {count} arrived",
            socket.counters.datagrams_received
        );
        let n = socket.receive(&mut inbox);
        all.extend((0..n).filter_map(|i| inbox.get(i).map(|(a, b)| (a, b.to_vec()))));
        assert_eq!(inbox.get(n), None);
    }
    all
}

#[test]
fn batches_arrive_whole_and_in_order() {
    let (mut a, mut b) = (local(), local());
    let mut outbox = Outbox::default();
    let payload = |i: usize| vec![i as u8; i * 37 % (DATAGRAM_BYTES_MAX + 1)];
    let total = 2 * BATCH + 5;
    for i in 0..total {
        a.send(&mut outbox, b.local(), &payload(i));
        assert!(outbox.len() <= BATCH);
    }
    a.flush(&mut outbox);
    assert!(outbox.is_empty());
    let all = collect(&mut b, total as u64);
    assert_eq!(all.len(), total);
    for (i, (from, bytes)) in all.iter().enumerate() {
        assert_eq!((*from, bytes), (a.local(), &payload(i)));
    }
    assert_eq!(a.counters.datagrams_sent, total as u64);
    assert_eq!(a.counters.bytes_sent, b.counters.bytes_received);
    // Batches, not single calls.
    assert_eq!(a.counters.send_calls, 3);
    assert_eq!(b.receive(&mut Inbox::default()), 0);
}

#[test]
fn both_families() {
    let Ok(mut b) = Socket::bind("[::1]:0".parse().unwrap()) else {
        return; // a machine without IPv6
    };
    let mut a = Socket::bind("[::1]:0".parse().unwrap()).unwrap();
    let mut outbox = Outbox::default();
    a.send(&mut outbox, b.local(), b"six");
    a.flush(&mut outbox);
    assert_eq!(collect(&mut b, 1), [(a.local(), b"six".to_vec())]);
}

#[test]
fn long_datagrams_are_dropped_and_counted() {
    let mut b = local();
    let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let sizes = [0, DATAGRAM_BYTES_MAX + 1, 9000, 1, 65_000];
    for n in sizes {
        stranger.send_to(&vec![7; n], b.local()).unwrap();
    }
    let all = collect(&mut b, sizes.len() as u64);
    let lens: Vec<usize> = all.iter().map(|(_, bytes)| bytes.len()).collect();
    assert_eq!(lens, [0, 1]);
    assert_eq!(b.counters.truncated, 3);

    let mut outbox = Outbox::default();
    b.send(&mut outbox, b.local(), &[0; DATAGRAM_BYTES_MAX + 1]);
    assert!(outbox.is_empty());
    assert_eq!(b.counters.send_errors, 1);
}

#[test]
fn one_bad_destination_spares_the_others() {
    let (mut a, mut b) = (local(), local());
    let mut outbox = Outbox::default();
    // A loopback socket has no way to elsewhere, and port 0 is nobody's.
    for to in ["192.0.2.1:9", "127.0.0.1:0"] {
        a.send(&mut outbox, to.parse().unwrap(), b"lost");
        a.send(&mut outbox, b.local(), b"kept");
    }
    a.flush(&mut outbox);
    assert_eq!(collect(&mut b, 2).len(), 2);
    assert_eq!(a.counters.datagrams_sent, 2);
    assert_eq!(a.counters.unreachable + a.counters.send_errors, 2);
    // Nobody listens there any more: an event, not an error.
    let gone = local().local();
    a.send(&mut outbox, gone, b"hello?");
    a.flush(&mut outbox);
    a.send(&mut outbox, b.local(), b"still here");
    a.flush(&mut outbox);
    assert_eq!(collect(&mut b, 3).len(), 1);
    assert_eq!(a.receive(&mut Inbox::default()), 0);
}

#[test]
fn the_budget_follows_the_receive_buffer() {
    let mut b = local();
    let t = b.transfer();
    assert!(t.receive_budget_bytes >= 2 * t.chunk_bytes);
    assert!(
        t.receive_budget_bytes < b.receive_buffer_bytes()
            && t.receive_budget_bytes.is_multiple_of(t.chunk_bytes)
    );
    assert!(b.send_buffer_bytes() > 0);
    // As much as the budget says does fit, though nobody reads meanwhile.
    let mut a = local();
    let mut outbox = Outbox::default();
    let chunks = t.receive_budget_bytes / t.chunk_bytes;
    for _ in 0..chunks {
        a.send(&mut outbox, b.local(), &[1; DATAGRAM_BYTES_MAX]);
    }
    a.flush(&mut outbox);
    assert_eq!(collect(&mut b, chunks as u64).len(), chunks);
    assert!(b.drops().is_none_or(|d| d == 0));
}

#[test]
fn drops_of_the_kernel_are_known() {
    let b = local();
    let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let many = 2 * b.receive_buffer_bytes() / DATAGRAM_TRUESIZE_BYTES;
    for _ in 0..many {
        let _ = stranger.send_to(&[0; DATAGRAM_BYTES_MAX], b.local());
    }
    let Some(drops) = b.drops() else {
        return; // a kernel that does not tell
    };
    assert!(drops > 0, "{many} datagrams cannot all wait");
}

#[test]
fn a_full_send_buffer_does_not_block_for_ever() {
    let mut a = local();
    setsockopt(&a.socket, sockopt::SndBuf, &1).unwrap();
    let sink = local();
    let mut outbox = Outbox::default();
    for _ in 0..4 * BATCH {
        a.send(&mut outbox, sink.local(), &[0; DATAGRAM_BYTES_MAX]);
    }
    a.flush(&mut outbox);
    let c = a.counters;
    assert_eq!(c.datagrams_sent + c.no_room, 4 * BATCH as u64);
}

#[test]
fn equal_datagrams_pass_the_kernel_as_one_message_where_it_can() {
    for joined in [false, true] {
        let (mut a, mut b) = (local(), local());
        if joined && !(a.cuts && b.joins) {
            return; // a kernel that cannot
        }
        (a.cuts, b.joins) = (joined, b.joins && joined);
        if !joined {
            setsockopt(&b.socket, sockopt::UdpGroSegment, &false).unwrap();
        }
        let mut other = local();
        let mut outbox = Outbox::default();
        // A shorter last one, another receiver between, an empty one, and a longer one.
        let lens = [900, 900, 900, 17, 900, 900, 0, 900, 1400];
        for (k, len) in lens.into_iter().enumerate() {
            a.send(&mut outbox, b.local(), &vec![k as u8; len]);
            if k == 4 {
                a.send(&mut outbox, other.local(), &[9; 900]);
            }
        }
        a.flush(&mut outbox);
        let all = collect(&mut b, lens.len() as u64);
        let expected = lens
            .into_iter()
            .enumerate()
            .map(|(k, len)| (a.local(), vec![k as u8; len]));
        assert_eq!(all, expected.collect::<Vec<_>>(), "joined: {joined}");
        assert_eq!(collect(&mut other, 1).len(), 1);
        assert_eq!(a.counters.datagrams_sent, 1 + lens.len() as u64);
        assert_eq!(a.counters.send_calls, 1);
        // Many of them: more than one message holds.
        for _ in 0..BATCH {
            a.send(&mut outbox, b.local(), &[5; DATAGRAM_BYTES_MAX]);
        }
        a.flush(&mut outbox);
        let all = collect(&mut b, (lens.len() + BATCH) as u64);
        assert!(
            all.iter()
                .all(|(_, bytes)| *bytes == [5; DATAGRAM_BYTES_MAX])
        );
        assert_eq!(b.counters.truncated, 0);
    }
}

#[test]
fn a_kernel_that_refuses_to_cut_gets_single_datagrams() {
    let (mut a, mut b) = (local(), local());
    if !a.cuts {
        return;
    }
    let mut outbox = Outbox::default();
    // No checksums, no cutting: the kernel answers EIO.
    let off: libc::c_int = 1;
    // SAFETY: the descriptor is open, and the option takes an integer, whose size is given.
    let set = unsafe {
        libc::setsockopt(
            a.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NO_CHECK,
            std::ptr::from_ref(&off).cast(),
            size_of_val(&off) as libc::socklen_t,
        )
    };
    assert_eq!(set, 0);
    for k in 0..5 {
        a.send(&mut outbox, b.local(), &[k; 800]);
    }
    a.flush(&mut outbox);
    assert_eq!(collect(&mut b, 5).len(), 5);
    assert_eq!((a.counters.datagrams_sent, a.counters.send_errors), (5, 0));
    assert!(!a.cuts);
}
