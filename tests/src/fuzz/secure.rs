//! Fuzzes a node's sessions, in the middle of their life, with any bytes as datagrams, and with changes of true ones.
//!
//! The input is a list of steps of four bytes, `[what, a, b, c]`; for bytes as they are, `a` bytes follow.

use tessera_secure::{HEAD_BYTES, TAG_BYTES};

use super::pair::{Pair, address};

/// Most steps of one input.
const MOST: usize = 400;

/// Checks that no bytes are fatal, none that a peer has not sealed opens, and none opens twice.
pub fn secure(bytes: &[u8]) {
    let mut pair = Pair::new();
    pair.meet(1, false);
    let mut rest = bytes;
    for _ in 0..MOST {
        let Some((&[what, a, b, c], tail)) = rest.split_first_chunk::<4>() else {
            break;
        };
        rest = tail;
        match what % 8 {
            // Bytes as they are.
            0 => {
                let (raw, tail) = rest.split_at(usize::from(a).min(rest.len()));
                rest = tail;
                // A true datagram can only be among them as a recording of this run.
                pair.hears(usize::from(b % 3), raw.to_vec());
            }
            // A true one, changed at one place.
            1 if c != 0 => {
                if let Some(mut changed) = pair.recording(a) {
                    let at = usize::from(b) % changed.len();
                    changed[at] ^= c;
                    pair.hears(1, changed);
                }
            }
            // One that came before.
            2 => {
                if let Some(again) = pair.recording(a) {
                    pair.hears(usize::from(b % 3), again);
                }
            }
            // Data, opened or lost.
            3 => {
                let mut data = vec![c; HEAD_BYTES + usize::from(b) + TAG_BYTES];
                if pair.nodes[1]
                    .seal(pair.now, pair.peers[1], &mut data)
                    .is_ok()
                {
                    pair.remember(&data);
                    // A lost one must not open later as a "recording": it is heard now, from somewhere.
                    pair.nodes[0].open(pair.now, address(usize::from(a % 3)), &mut data);
                }
            }
            // Time.
            4 => pair.now += u64::from(a) << (b % 24),
            5 => pair.carry(usize::from(a % 2), false),
            6 => pair.meet(usize::from(a % 2), false),
            7 if a == 7 => pair.restart(),
            _ => {}
        }
    }
}

/// Inputs that go through all steps.
pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let raw = |kind: u8, len: u8| {
        let mut step = vec![0, len, 1, 0];
        step.extend((0..len).map(|k| if k == 0 { kind } else { 0 }));
        step
    };
    let changes = |at: std::ops::Range<u8>| {
        let steps = (0..4).flat_map(move |k| at.clone().flat_map(move |b| [1, k, b, 1 << (b % 8)]));
        steps.collect::<Vec<u8>>()
    };
    let life = [
        [3, 1, 100, 7],
        [2, 0, 1, 0],
        [4, 255, 19, 0],
        [5, 0, 0, 0],
        [5, 1, 0, 0],
        [3, 2, 0, 0],
        [6, 0, 0, 0],
        [7, 7, 0, 0],
        [6, 1, 0, 0],
        [2, 1, 2, 0],
        [5, 0, 0, 0],
        [3, 1, 9, 9],
    ];
    vec![
        (
            "kinds",
            [
                raw(1, 152),
                raw(2, 100),
                raw(3, 64),
                raw(4, 32),
                raw(5, 9),
                raw(0, 0),
            ]
            .concat(),
        ),
        ("heads", changes(0..32)),
        ("macs", changes(100..160)),
        ("life", life.concat()),
        (
            "lives",
            [
                life.concat(),
                changes(0..8),
                life.concat(),
                changes(130..150),
            ]
            .concat(),
        ),
    ]
}
