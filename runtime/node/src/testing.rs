//! A hand-written program for tests: the tail adds its one weight to the input.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use tessera_plan::files::weights::{Header, SectionEntry};
use tessera_runtime::{
    io::{Buffer, TaskIo, View},
    program::{ElementType, NmsKind, Placement, Program, SectionSpec, TailSpec, TensorSpec},
};

const MAP: Buffer = Buffer {
    offset: 0,
    h: 2,
    ring: 2,
    w: 3,
    c: 1,
    pad_left: 0,
    pad_right: 0,
    zero_row: false,
};

const fn map(layer: i32) -> TensorSpec {
    TensorSpec {
        layer,
        h: 2,
        w: 3,
        c: 1,
        element: ElementType::F32,
        scales: None,
    }
}

/// The adder's program, as a template for variants of [`PROGRAM`].
pub const ADDER: Program = Program {
    name: "adder",
    target: "portable",
    plan_hash: [1; 32],
    model_digest: [2; 32],
    tensors: &[map(-1), map(0)],
    tasks: &[],
    placement: Placement::Steal,
    boards: 1,
    frames_in_flight: 2,
    stage_starts: &[0],
    tail: TailSpec {
        inputs: &[0],
        outputs: &[1],
        arena_floats: 6,
        macs: 6,
        run: add,
    },
    heads: &[],
    nms: NmsKind::Default,
    letterbox: false,
    region_objectness_one: false,
    sections: &[SectionSpec {
        name: "tail",
        offset: 0,
        floats: 1024,
    }],
    check_cpu: || Ok(()),
};

/// A program without tasks and heads: a frame of 2 x 3 values goes straight to the tail.
pub static PROGRAM: Program = ADDER;

/// Panics on a frame that begins with NaN, to show that a frame's trouble stays its own.
fn add(io: &mut TaskIo<'_>) {
    io.load(0, &MAP, 0..2);
    let weight = io.weights[0];
    let ([], y) = io.arena.io(0, [], MAP.range());
    assert!(!y[0].is_nan(), "a frame that the tail cannot bear");
    for v in y {
        *v += weight;
    }
    let all = View {
        y: 0,
        x: 0,
        h: 2,
        w: 3,
    };
    io.store(0, &MAP, all, 0..2);
}

/// Writes the program's `weights.bin` into `dir`; its one weight is `weight`.
pub fn weights(dir: &Path, weight: f32) -> PathBuf {
    let mut values = vec![0u8; 4096];
    values[..4].copy_from_slice(&weight.to_le_bytes());
    let header = Header {
        model_digest: PROGRAM.model_digest,
        sections: vec![SectionEntry {
            name: "tail".into(),
            offset: 0,
            floats: 1024,
            digest: Sha256::digest(&values).into(),
        }],
    };
    let mut file = header.to_bytes().unwrap().to_vec();
    file.extend(values);
    let path = dir.join("weights.bin");
    std::fs::write(&path, file).unwrap();
    path
}
