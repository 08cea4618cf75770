//! Bytes as libzmq writes them, in pieces of any size, and bytes that no socket writes.

use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;

use crate::{Limits, Peer, Request, Violation};

const LIMITS: Limits = Limits {
    kept_bytes_max: 1000,
    frame_bytes_max: 5000,
    frames_max: 8,
};

fn hello(kind: &str, minor: u8) -> Vec<u8> {
    let mut bytes = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03".to_vec();
    bytes.push(minor);
    bytes.extend(b"NULL");
    bytes.resize(64, 0);
    let mut ready = b"\x05READY\x0bSocket-Type\0\0\0".to_vec();
    ready.push(u8::try_from(kind.len()).unwrap());
    ready.extend(kind.as_bytes());
    ready.extend(b"\x08Identity\0\0\0\0");
    bytes.extend([4, u8::try_from(ready.len()).unwrap()]);
    bytes.extend(ready);
    bytes
}

fn frame(body: &[u8], more: bool) -> Vec<u8> {
    let mut out = BytesMut::new();
    crate::frame::put(&mut out, body, more);
    out.to_vec()
}

/// Requests and the peer's last words, of bytes that come in pieces.
fn feed(bytes: &[u8], piece: usize) -> (Vec<Request>, Result<(), Violation>, Bytes) {
    let mut peer = Peer::new(LIMITS);
    let first = peer.output();
    assert!(first.starts_with(b"\xff") && first[64..].ends_with(b"ROUTER"));
    let (mut input, mut requests) = (BytesMut::new(), Vec::new());
    for part in bytes.chunks(piece) {
        peer.make_room(&mut input);
        input.put_slice(part);
        loop {
            match peer.next(&mut input) {
                Ok(Some(request)) => requests.push(request),
                Ok(None) => break,
                Err(e) => return (requests, Err(e), peer.output()),
            }
        }
    }
    (requests, Ok(()), peer.output())
}

#[test]
fn requests_come_whole_in_pieces_of_any_size() {
    let long = vec![7; 300];
    let bytes = [
        hello("REQ", 1),
        frame(b"", true),
        frame(b"{}", true),
        frame(&long, false),
        b"\x04\x0a\x04PING\0\x05abc".to_vec(),
        frame(b"", true),
        frame(b"", false),
    ]
    .concat();
    for piece in 1..bytes.len() {
        let (requests, end, said) = feed(&bytes, piece);
        assert_eq!(end, Ok(()), "{piece}");
        assert_eq!(requests.len(), 2);
        assert_eq!(requests[0].frames, [&b"{}"[..], &long]);
        assert_eq!(requests[1].frames, [&b""[..]]);
        assert_eq!(said, &b"\x04\x08\x04PONGabc"[..]);
    }
    let (requests, ..) = feed(&bytes, 1);
    let reply = requests[0].reply(&[&[1; 480]]);
    assert_eq!(reply[..4], [1, 0, 2, 0]);
    assert_eq!(reply[4..11], [0, 0, 0, 0, 0, 1, 0xe0]);
    assert_eq!(reply.len(), 11 + 480);
    assert_eq!(
        requests[0].reply(&[b"a", b"b"]),
        &b"\x01\0\x01\x01a\0\x01b"[..]
    );
}

#[test]
fn envelopes_of_dealers_come_back_and_what_has_none_is_left_out() {
    let bytes = [
        hello("DEALER", 0),
        frame(b"hop", true),
        frame(b"", true),
        frame(b"x", false),
        frame(b"no envelope", false),
    ]
    .concat();
    let (requests, end, _) = feed(&bytes, 7);
    assert_eq!(end, Ok(()));
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].reply(&[b"y"]), &b"\x01\x03hop\x01\0\0\x01y"[..]);
}

#[test]
fn long_frames_are_skipped_and_longer_ones_end_the_connection() {
    let long = vec![1; 1001];
    let bytes = [
        hello("REQ", 0),
        frame(b"", true),
        frame(b"{}", true),
        frame(&long, false),
        frame(b"", true),
        frame(b"next", false),
    ]
    .concat();
    let (requests, end, _) = feed(&bytes, 100);
    assert_eq!(end, Ok(()));
    assert!(requests[0].is_cut && !requests[1].is_cut);
    assert_eq!(requests[0].frames, [&b"{}"[..], b""]);
    assert_eq!(requests[1].frames, [&b"next"[..]]);
    let begun = [hello("REQ", 0), vec![2, 0, 0, 0, 0, 0, 0, 0x13, 0x89]].concat();
    assert_eq!(feed(&begun, 3).1, Err(Violation::Long(5001)));
    let liar = [hello("REQ", 0), vec![2; 1], vec![0xff; 8]].concat();
    assert_eq!(feed(&liar, 99).1, Err(Violation::Long(u64::MAX)));
    let many = [hello("REQ", 0), frame(b"", true).repeat(9)].concat();
    assert_eq!(feed(&many, 5).1, Err(Violation::Frames(8)));
}

#[test]
fn peers_of_other_kinds_are_sent_away() {
    let (_, end, said) = feed(&hello("SUB", 1), 200);
    assert_eq!(end, Err(Violation::SocketType("SUB".into())));
    assert!(said.starts_with(b"\x04") && said[2..].starts_with(b"\x05ERROR"));
    let mut curve = hello("REQ", 1);
    curve[12..17].copy_from_slice(b"CURVE");
    assert_eq!(feed(&curve, 200).1, Err(Violation::Mechanism));
    let mut old = hello("REQ", 1);
    old[10] = 1;
    assert_eq!(feed(&old, 200).1, Err(Violation::NoZmtp3));
    assert_eq!(feed(b"GET / HTTP/1.1\r\n", 1).1, Err(Violation::NoZmtp3));
    let early = [&hello("REQ", 1)[..64], &frame(b"", true)].concat();
    assert_eq!(feed(&early, 200).1, Err(Violation::NotReady));
    let command = [&hello("REQ", 1)[..64], b"\x05\x01\x00"].concat();
    assert_eq!(feed(&command, 200).1, Err(Violation::Flags(5)));
}

proptest! {
    /// Whatever comes: no panic, and no more is kept than is allowed.
    #[test]
    fn strangers_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..400), piece in 1_usize..50) {
        let _ = feed(&bytes, piece);
        let (requests, ..) = feed(&[hello("REQ", 1), bytes].concat(), piece);
        for request in requests {
            prop_assert!(request.frames.len() <= LIMITS.frames_max);
        }
    }
}
