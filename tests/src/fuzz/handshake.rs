//! Fuzzes handshakes with somebody who has the cluster's secret and no key that is listed: what a stolen card makes possible until
//! the secret is changed. `mac1` of every message is right, so everything behind it is reached.
//!
//! The input is a list of steps of four bytes, `[what, a, b, c]`; for messages of any content, theirs follows.

use tessera_secure::{HEAD_BYTES, Opened, TAG_BYTES, sign, wire};

use super::pair::{Pair, address, key, secret};

/// Most steps of one input.
const MOST: usize = 200;

/// Node 0 hears a message whose `mac1` is right.
fn hears(pair: &mut Pair, from: u8, mut message: Vec<u8>) {
    sign(&secret(), &key(0).public(), &mut message);
    pair.hears(usize::from(from), message);
}

/// Checks that such messages are not fatal, open nothing, make a bounded number of answers, and keep no true peer out.
pub fn handshake(bytes: &[u8]) {
    let mut pair = Pair::new();
    let mut rest = bytes;
    for _ in 0..MOST {
        let Some((&[what, a, b, c], tail)) = rest.split_first_chunk::<4>() else {
            break;
        };
        rest = tail;
        match what % 6 {
            // Any content, in the form of a message.
            0 => {
                let (kind, len) = [
                    (1, wire::INITIATION_BYTES),
                    (2, wire::RESPONSE_BYTES),
                    (3, wire::COOKIE_BYTES),
                ][usize::from(a % 3)];
                let (content, tail) = rest.split_at(rest.len().min(len - 4));
                rest = tail;
                let mut message = vec![b; len];
                message[..4].copy_from_slice(&[kind, 0, 0, 0]);
                message[4..4 + content.len()].copy_from_slice(content);
                hears(&mut pair, c % 5, message);
            }
            // A true one, changed at one place behind its kind.
            1 if c != 0 => {
                if let Some(mut changed) = pair.recording(a) {
                    let at = 4 + usize::from(b) % (changed.len() - 4);
                    changed[at] ^= c;
                    hears(&mut pair, 1 + b % 3, changed);
                }
            }
            // A true one again, as it was; if it was lost, this is the first time.
            2 => {
                if let Some(mut again) = pair.recording(a) {
                    let from = address(usize::from(b % 4));
                    let opened = pair.nodes[0].open(pair.now, from, &mut again);
                    assert!(!matches!(opened, Opened::Payload { .. }), "{opened:?}");
                }
            }
            3 => pair.now += u64::from(a) << (b % 20),
            4 => pair.carry(usize::from(a % 2), b % 2 == 0),
            5 => pair.meet(usize::from(a % 2), b % 2 == 0),
            _ => {}
        }
    }
    // A true peer gets its session, at the latest when the load is over.
    for _ in 0..40 {
        pair.now += 1_000_000;
        pair.carry(0, false);
        pair.meet(1, false);
        let mut data = vec![7; HEAD_BYTES + 5 + TAG_BYTES];
        let sealed = pair.nodes[1].seal(pair.now, pair.peers[1], &mut data);
        let from = address(1);
        let mut open = |p: &mut Pair| p.nodes[0].open(p.now, from, &mut data);
        if sealed.is_ok() && matches!(open(&mut pair), Opened::Payload { .. }) {
            return;
        }
    }
    panic!("the true peer is kept out");
}

/// Inputs that go through all steps.
pub fn handshake_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let raw = |kind: u8, len: usize| {
        let mut step = vec![0, kind, 3, 2];
        step.extend((0..len).map(|k| (k * 31) as u8));
        step
    };
    let changes = |at: std::ops::Range<u8>| {
        let steps = (0..3).flat_map(move |k| at.clone().flat_map(move |b| [1, k, b, 1 << (b % 8)]));
        steps.collect::<Vec<u8>>()
    };
    let begun = [[5, 1, 0, 0], [5, 0, 0, 0], [5, 1, 1, 0], [3, 200, 12, 0]].concat();
    vec![
        ("forms", [raw(0, 148), raw(1, 96), raw(2, 60)].concat()),
        ("changed", [begun.clone(), changes(0..60)].concat()),
        ("behind", [begun.clone(), changes(60..150)].concat()),
        (
            "again",
            [
                begun.clone(),
                [2, 0, 1, 0].repeat(60),
                [2, 1, 2, 0].repeat(20),
            ]
            .concat(),
        ),
        ("flood", [raw(0, 148).repeat(80), begun].concat()),
    ]
}
