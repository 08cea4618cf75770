//! Fuzzes a gateway and two edges, in the middle of their work, with any bytes as datagrams.
//!
//! The input is a list of datagrams: two bytes that say how to send the datagram, one byte of time, two bytes
//! of length, then the payload. The fuzz body may repair a header, so that not all datagrams fail at the first
//! comparison.

use std::sync::Arc;

use tessera_plan::{
    dataflow::{Port, TaskGraph, TaskInfo, TensorInfo},
    plan::{ElementType, Placement},
    region::Region,
};
use tessera_protocol::{Condition, Incarnation, NodeId, ProgramInfo, TransferConfig, wire};
use tessera_sim::{EdgeSpec, HostileConfig, World, WorldConfig};

/// Most datagrams of one input.
const MOST: usize = 64;
/// Bytes of a datagram's header; see [`tessera_protocol::wire`].
const HEADER: usize = 32;
/// Bytes of the header that hold incarnations: the sender's, then the receiver's.
const INCARNATIONS: std::ops::Range<usize> = 8..24;

/// Checks that no datagram is fatal: machines do not panic, and keep the rules of their slots. (A lie under a
/// correct header may spoil a frame; only authentication can prevent such a lie.)
pub fn datagram(bytes: &[u8]) {
    for placement in PLACEMENTS {
        hears(bytes, World::new(&world(placement)));
    }
}

/// What decides where tasks run, in the worlds that hear an input.
const PLACEMENTS: [Placement; 2] = [Placement::Steal, Placement::Home];

fn hears(bytes: &[u8], mut world: World) {
    // Work is under way, and every pair of nodes has exchanged datagrams.
    if world.run_until(START).is_err() {
        panic!("a world without faults broke a rule");
    }
    let headers = headers(&world);
    let mut rest = bytes;
    for _ in 0..MOST {
        let Some((&[how, more, ms, lo, hi], tail)) = rest.split_first_chunk::<5>() else {
            break;
        };
        let len =
            usize::from(u16::from_le_bytes([lo, hi])) % (TransferConfig::DATAGRAM_BYTES_MAX + 8);
        let (payload, tail) = tail.split_at(len.min(tail.len()));
        rest = tail;
        let (node, from) = (usize::from(how) % 3, usize::from(how >> 2) % 4);
        let mut payload = payload.to_vec();
        let right = headers.get(&(from, node)).filter(|_| more & 1 == 0);
        if let Some(header) = right {
            fix(&mut payload, header);
        }
        let address = match from {
            0..3 => world.address(from),
            _ => ([10, 9, 9, 9], 9).into(),
        };
        let until = world.now_us() + u64::from(ms) * 100;
        // A broken rule is not a crash: see above.
        if world.inject(node, address, &payload).is_err() || world.run_until(until).is_err() {
            return;
        }
    }
    let _ = world.run_until(world.now_us() + 300_000);
}

/// Virtual time at which the datagrams begin.
const START: u64 = 30_000;

/// Sets all fields of the header but the kind; the checksum last.
fn fix(payload: &mut [u8], header: &[u8; HEADER]) {
    if payload.first() == Some(&wire::CHUNK_MARK) {
        fix_chunk(payload, header);
        return;
    }
    if let Some(place) = payload.first_chunk_mut::<HEADER>() {
        let kind = place[5];
        *place = *header;
        place[5] = kind;
        wire::seal(payload);
    }
}

/// As [`fix`], for a chunk.
fn fix_chunk(payload: &mut [u8], header: &[u8; HEADER]) {
    let word = |at: usize| {
        let bytes = header[at..].first_chunk();
        bytes.map_or(0, |b| u64::from_le_bytes(*b))
    };
    let [from, plan] = [word(4) >> 16, word(24)];
    let envelope = wire::Envelope {
        from: NodeId(from as u16),
        incarnation: Incarnation(word(8)),
        to_incarnation: Some(Incarnation(word(16))).filter(|i| i.0 != 0),
        plan: plan as u32,
    };
    if let Some(head) = payload.first_chunk_mut::<4>() {
        head[1] = wire::VERSION;
        head[2..].copy_from_slice(&envelope.from.0.to_le_bytes());
        wire::seal_chunk(payload, &envelope);
    }
}

/// The header of a datagram between each pair of nodes that exchanged datagrams, by (from, to).
fn headers(world: &World) -> std::collections::BTreeMap<(usize, usize), [u8; HEADER]> {
    let node = |a| (0..3).find(|&k| world.address(k) == a);
    let mut headers = std::collections::BTreeMap::new();
    let whole = |seen: &(_, _, &[u8])| seen.2.starts_with(&wire::MAGIC);
    for (from, to, bytes) in world.seen().filter(whole) {
        if let (Some(from), Some(to), Some(header)) = (node(from), node(to), bytes.first_chunk()) {
            let header: [u8; HEADER] = *header;
            // A later header may contain the receiver's incarnation.
            let known = header[INCARNATIONS].iter().filter(|&&b| b != 0).count();
            let best = headers.entry((from, to)).or_insert(header);
            if known > best[INCARNATIONS].iter().filter(|&&b| b != 0).count() {
                *best = header;
            }
        }
    }
    headers
}

/// A program of four tiles, then two tiles that read the maps of three tiles each.
pub(super) fn program(placement: Placement) -> ProgramInfo {
    let boxed = |y, x, c| Region::new(y, x, [0, c]);
    let mut tasks = Vec::new();
    for k in 0..4 {
        let (y, x) = (k / 2 * 8, k % 2 * 8);
        tasks.push(TaskInfo {
            inputs: vec![Port {
                tensor: 0,
                region: boxed([y, y + 8], [0, 16], 3),
            }],
            outputs: vec![Port {
                tensor: 1,
                region: boxed([y, y + 8], [x, x + 8], 4),
            }],
            macs: 20_000_000,
            home: u16::from(k % 2 == 1),
            ..TaskInfo::default()
        });
    }
    for k in 0..2 {
        tasks.push(TaskInfo {
            stage: 1,
            inputs: vec![Port {
                tensor: 1,
                region: boxed([0, 16], [k * 4, k * 4 + 12], 4),
            }],
            outputs: vec![Port {
                tensor: 2,
                region: boxed([0, 16], [k * 8, k * 8 + 8], 2),
            }],
            macs: 20_000_000,
            home: u16::from(k == 1),
            ..TaskInfo::default()
        });
    }
    let tensors = [3, 4, 2].map(|c| TensorInfo {
        region: boxed([0, 16], [0, 16], c),
        element: ElementType::F32,
    });
    ProgramInfo {
        plan_hash: [3; 32],
        model_digest: [5; 32],
        placement,
        boards: 2,
        graph: TaskGraph::new(tensors.to_vec(), tasks, vec![2, 0]).expect("a program"),
    }
}

/// A world with one source and one other edge.
fn world(placement: Placement) -> WorldConfig {
    WorldConfig {
        seed: 1,
        edges: vec![EdgeSpec::new().source(3), EdgeSpec::new()],
        // Never comes, but datagrams are remembered.
        hostile: HostileConfig {
            interval_us: u64::MAX / 4,
            noise: 1,
            ..HostileConfig::NONE
        },
        ..WorldConfig::new(Arc::new(program(placement)))
    }
}

/// A datagram of every kind that such a world sends, as inputs for [`datagram`].
///
/// # Panics
/// If a rule is broken.
pub fn seeds() -> Vec<(u8, Vec<u8>)> {
    let mut by_kind = std::collections::BTreeMap::new();
    for placement in PLACEMENTS {
        let mut world = World::new(&world(placement));
        world.run_until(400_000).expect("no rule broken");
        by_kind.extend(seen(&world));
        // What only a shell begins comes last, so that all else is as it is without it.
        let begun = world.set_condition(2, Condition::default());
        begun.expect("no rule broken");
        world.run_until(1_400_000).expect("no rule broken");
        for (kind, seed) in seen(&world) {
            by_kind.entry(kind).or_insert(seed);
        }
    }
    by_kind.into_iter().collect()
}

/// Datagrams that a world remembers, by kind.
fn seen(world: &World) -> Vec<(u8, Vec<u8>)> {
    let node = |a| {
        (0..3u8)
            .find(|&k| world.address(usize::from(k)) == a)
            .unwrap_or(3)
    };
    let seed = |(from, to, bytes): (_, _, &[u8])| {
        let [lo, hi] = (bytes.len() as u16).to_le_bytes();
        let how = node(to) + 12 * u8::from(node(to) == 3);
        // `how` is right in both remainders.
        let how = (0..=u8::MAX)
            .find(|h| h % 3 == how && (h >> 2) % 4 == node(from))
            .unwrap_or(0);
        let mut seed = vec![how, 0, 1, lo, hi];
        seed.extend_from_slice(bytes);
        let kind = match bytes {
            [wire::CHUNK_MARK, ..] => u8::MAX,
            _ => bytes.get(5).copied().unwrap_or(0),
        };
        (kind, seed)
    };
    world.seen().map(seed).collect()
}
