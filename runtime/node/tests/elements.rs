//! A gateway and two edges with their workers move objects of bytes and of halves, and steal from each other:
//! every bit is compared with the same sums done here.
//!
//! Without the usual test harness, because this binary is its own node: started with a role it plays it.

mod elements {
    pub mod files;
    pub mod node;
    pub mod program;
}

use std::process::ExitCode;

use tessera_plan::files::{
    events::Event,
    records::{Ending, Record},
    statistics::{EdgeStatistics, GatewayStatistics},
};

use crate::elements::{
    files::{pixels, write_pictures, write_weights},
    node::{self, Node},
    program::{CHANNELS, H, W, WEIGHT, digest, tap_sum},
};

/// Frames of the source.
const FRAMES: usize = 6;

fn main() -> ExitCode {
    node::main("bytes_and_halves_move_through_a_cluster", || {
        bytes_and_halves_move_through_a_cluster();
        Ok(())
    })
}

/// What a map holds, row by row.
type Map = Vec<f32>;

fn bytes_and_halves_move_through_a_cluster() {
    let dir = tempfile::tempdir().expect("a folder");
    let at = |name: &str| dir.path().join(name);
    write_weights(&at("weights.bin"));
    let pictures = write_pictures(dir.path(), FRAMES);

    let count = FRAMES.to_string();
    let mut gateway = Node::start(dir.path(), "gateway", &["--listen", "127.0.0.1:0"], |c| {
        c.args(["--frames", &count]);
        c.arg("--records").arg(at("records.jsonl"));
        c.arg("--dump").arg(at("dump"));
    });
    let Event::Listening { addr, .. } = gateway.event() else {
        panic!("a gateway says first where it listens");
    };
    // The thief is there before the first frame.
    let mut thief = Node::start(
        dir.path(),
        "edge",
        &["--gateway", &addr, "--id", "2"],
        |_| (),
    );
    assert!(matches!(thief.event(), Event::Joined { id: 2, .. }));
    let source = ["--gateway", &addr, "--id", "1", "--image"];
    let source = Node::start(dir.path(), "edge", &source, |c| {
        c.args(&pictures);
    });
    let gateway: GatewayStatistics = gateway.end();
    let (thief, source): (EdgeStatistics, EdgeStatistics) = (thief.end(), source.end());

    // Whose work it was.
    assert_eq!(gateway.frames.detections, FRAMES as u64);
    assert_eq!(source.counters.frames_detected, FRAMES as u64);
    assert!(thief.counters.tasks_stolen >= 3, "{:?}", thief.counters);
    assert!(
        source.counters.tasks_by_node[&2] >= 3,
        "{:?}",
        source.counters
    );
    assert!(source.counters.tasks_own >= 3, "{:?}", source.counters);
    assert!(thief.counters.transfer.bytes_received > 0);

    // What it made.
    let text = std::fs::read_to_string(at("records.jsonl")).expect("records");
    let records: Vec<Record> = text
        .lines()
        .map(|l| serde_json::from_str(l).expect("a record"))
        .collect();
    assert_eq!(records.len(), FRAMES);
    for r in &records {
        let Ending::Computed(found) = &r.ending else {
            panic!("{r:?}");
        };
        let mut scores = [f32::NAN; 4];
        for s in found.top.as_ref().expect("a classifier's") {
            scores[s.class as usize] = s.score;
        }
        let halves = by_hand(r.subject.tag as usize);
        assert_eq!(scores, digest(&halves), "frame {}", r.subject.tag);
    }
    // The last one again, value by value.
    let last = records[FRAMES - 1].subject.tag as usize;
    let dumped = std::fs::read(at("dump").join("layer_1.f32")).expect("a dump");
    let expected = values_by_hand(last);
    for (i, v) in dumped.chunks_exact(4).enumerate() {
        let (c, px) = (i / (H * W), i % (H * W));
        let want = expected[px * CHANNELS[2] + c];
        assert_eq!(v, want.to_le_bytes(), "channel {c}, pixel {px}");
    }
    assert_eq!(dumped.len(), 4 * expected.len());
}

/// What the last stage makes of a frame.
fn values_by_hand(frame: usize) -> Map {
    let mut map: Map = pixels(frame)
        .iter()
        .map(|b| f32::from(*b) / 255.0)
        .collect();
    for stage in 0..2 {
        let (cin, cout) = (CHANNELS[stage], CHANNELS[stage + 1]);
        let mut made = Map::new();
        for (y, x) in (0..H).flat_map(|y| (0..W).map(move |x| (y, x))) {
            for c in 0..cout {
                let at = |y: usize, x: usize, c: usize| map[(y * W + x) * cin + c];
                made.push(to_half(tap_sum([y, x, c], cin, WEIGHT, at)));
            }
        }
        map = made;
    }
    map
}

/// The same as halves, little-endian.
fn by_hand(frame: usize) -> Vec<u8> {
    let bits = |v: f32| {
        let mantissa = (v / 2f32.powi(exponent(v)) - 1.0) * 1024.0;
        ((exponent(v) + 15) as u16) << 10 | mantissa as u16
    };
    let values = values_by_hand(frame);
    values.iter().flat_map(|v| bits(*v).to_le_bytes()).collect()
}

/// The nearest half, ties to even, of a positive value that halves hold as a normal number.
fn to_half(v: f32) -> f32 {
    assert!((2f32.powi(-14)..1000.0).contains(&v), "{v}");
    let ulp = 2f32.powi(exponent(v) - 10);
    (v / ulp).round_ties_even() * ulp
}

/// Of a normal number.
fn exponent(v: f32) -> i32 {
    (v.to_bits() >> 23 & 0xff) as i32 - 127
}
