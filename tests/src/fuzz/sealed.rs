//! Fuzzes what an invited node says: any bytes, sealed with its true key, to a node that reads who they are from.
//!
//! The input is a list of payloads: `[how, lo, hi]`, and as many bytes as `lo` and `hi` say.

use std::net::SocketAddr;

use tessera_protocol::wire;
use tessera_secure::{
    ClusterSecret, HEAD_BYTES, Invited, Links, PrivateKey, Sessions, TAG_BYTES, Way,
};

use super::datagram::program;
use tessera_plan::plan::Placement;

/// Most payloads of one input.
const MOST: usize = 64;
/// Number of the node that speaks.
const SPEAKER: u16 = 3;

fn address(node: u16) -> SocketAddr {
    ([10, 0, 0, node as u8], 7400).into()
}

fn links(own: u16, other: u16) -> Links {
    let key = |node: u16| PrivateKey::from_random([node as u8 + 1; 32]);
    let secret = ClusterSecret::from_random([9; 32]);
    let sessions = Sessions::new(key(own), secret, [own as u8; 32], Links::config());
    let mut links = Links::new(sessions, Some(wire::sender));
    links.invite(&[Invited {
        number: other,
        name: "other".into(),
        public: key(other).public(),
    }]);
    links
}

/// Checks that nothing that an invited node seals is fatal, that what arrives is what was sealed, and that nothing passes in
/// another node's name.
pub fn sealed(bytes: &[u8]) {
    let info = program(Placement::Steal);
    let (mut speaker, mut hearer) = (links(SPEAKER, 0), links(0, SPEAKER));
    let way = Way {
        number: 0,
        process: None,
        address: address(0),
    };
    let mut now = 1_000_000;
    let mut rest = bytes;
    for _ in 0..MOST {
        let Some((&[how, lo, hi], tail)) = rest.split_first_chunk::<3>() else {
            break;
        };
        let len = usize::from(u16::from_le_bytes([lo, hi])) % 2000;
        let (payload, tail) = tail.split_at(len.min(tail.len()));
        rest = tail;
        let mut payload = payload.to_vec();
        if how & 1 == 0 {
            // Right up to its body, so that bodies are reached.
            repair(&mut payload, &info, how);
        }
        now += u64::from(how) * 100;
        let mut datagram = [&[0; HEAD_BYTES], &*payload, &[0; TAG_BYTES]].concat();
        if speaker.seal(now, way, &mut datagram).is_ok() {
            hears(&mut hearer, now, &mut datagram, &payload, &info);
        }
        // The handshake, and a payload that has waited for it.
        for _ in 0..3 {
            while let Some((_, out)) = speaker.poll(now) {
                let mut out = out.to_vec();
                hearer.open(now, address(SPEAKER), &mut out);
            }
            while let Some((_, out)) = hearer.poll(now) {
                let mut out = out.to_vec();
                speaker.open(now, address(0), &mut out);
            }
        }
    }
}

fn hears(
    hearer: &mut Links,
    now: u64,
    datagram: &mut [u8],
    payload: &[u8],
    info: &tessera_protocol::ProgramInfo,
) {
    let opened = hearer.open(now, address(SPEAKER), datagram);
    let Some((number, range)) = opened else {
        return;
    };
    let bytes = &datagram[range];
    assert_eq!((number, bytes), (SPEAKER, payload));
    let said = wire::sender(bytes).map(|(number, ..)| number);
    assert_eq!(said, Some(SPEAKER), "in its own name");
    if let Ok((envelope, wire::Message::Data(data))) = wire::parse(bytes, info) {
        let _ = data.check(&envelope);
    }
    let _ = wire::parse_watch(bytes);
}

/// Sets magic, version, sender and plan, and the checksum; the kind stays.
fn repair(payload: &mut [u8], info: &tessera_protocol::ProgramInfo, how: u8) {
    if payload.len() < 32 {
        return;
    }
    if payload[0] == wire::CHUNK_MARK {
        payload[1] = wire::VERSION;
        payload[2..4].copy_from_slice(&SPEAKER.to_le_bytes());
        return;
    }
    payload[..4].copy_from_slice(&wire::MAGIC);
    payload[4] = wire::VERSION;
    if how & 2 == 0 {
        payload[6..8].copy_from_slice(&SPEAKER.to_le_bytes());
    }
    payload[24..28].copy_from_slice(&wire::plan_prefix(info).to_le_bytes());
    wire::seal(payload);
}

/// Stands for a chunk, whose header has no kind.
const CHUNK: u8 = u8::MAX;

/// Inputs of every kind of datagram.
pub fn sealed_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let one = |how: u8, kind: u8, fill: u8, len: u16| {
        let [lo, hi] = len.to_le_bytes();
        let mut all = vec![how, lo, hi];
        all.extend((0..len).map(|k| match k {
            0 if kind == CHUNK => wire::CHUNK_MARK,
            5 => kind,
            _ => fill,
        }));
        all
    };
    let each = |how: u8, fill: u8, len: u16| -> Vec<u8> {
        (0..30)
            .chain([CHUNK])
            .flat_map(|kind| one(how, kind, fill, len))
            .collect()
    };
    vec![
        ("empty", [one(0, 0, 0, 40), each(4, 0, 48)].concat()),
        ("ones", [one(0, 0, 0, 40), each(4, 1, 120)].concat()),
        ("others", [one(0, 0, 0, 40), each(6, 1, 60)].concat()),
        ("raw", [one(1, 0, 0, 40), each(1, 255, 33)].concat()),
        (
            "long",
            [one(0, 0, 0, 40), one(4, 19, 3, 1999), one(4, 26, 0, 1440)].concat(),
        ),
    ]
}
