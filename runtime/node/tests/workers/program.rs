//! A program of hand-written tasks over an 8 x 8 x 2 map.

use std::time::{Duration, Instant};

use tessera_plan::{
    dataflow::Port,
    region::{Region, Span},
};
use tessera_runtime::{
    io::{Buffer, TaskIo, View},
    program::{
        ElementType, NmsKind, Placement, Program, SectionSpec, TailSpec, TaskSpec, TensorSpec,
    },
};

/// The map's side.
pub const SIDE: usize = 8;
/// Its channels.
pub const CHANNELS: usize = 2;
/// Values of the map.
pub const FLOATS: usize = SIDE * SIDE * CHANNELS;
/// First of four tasks that each make a quarter: what was read, plus the weight.
pub const ADD: u32 = 0;
/// Sleeps as many milliseconds as its first value says; then like [`ADD`], the whole map.
pub const SLEEP: u32 = 4;
/// Panics.
pub const PANIC: u32 = 5;
/// Ends its process.
pub const ABORT: u32 = 6;
/// Like [`ADD`], the whole map, many times over.
pub const TOIL: u32 = 7;
/// Keeps the processor busy for as many milliseconds as its first value says; then like [`ADD`], the whole map.
pub const SPIN: u32 = 8;
/// Like [`ADD`], the whole map, row by row: loads a row and stores it before it loads the next.
pub const PASS: u32 = 9;
/// The one weight.
pub const WEIGHT: f32 = 0.5;

const fn quarter(row: usize, col: usize) -> Port {
    let h = SIDE / 2;
    Port {
        tensor: 1,
        region: Region::new(
            [row * h, (row + 1) * h],
            [col * h, (col + 1) * h],
            [0, CHANNELS],
        ),
    }
}

const fn whole(tensor: u16) -> Port {
    Port {
        tensor,
        region: Region::new([0, SIDE], [0, SIDE], [0, CHANNELS]),
    }
}

const IN: &[Port] = &[whole(0)];
const ARENA: usize = FLOATS;

const fn task(out: &'static [Port], row: u16, col: u16, run: fn(&mut TaskIo<'_>)) -> TaskSpec {
    TaskSpec {
        stage: 0,
        home: 0,
        row,
        col,
        inputs: IN,
        outputs: out,
        arena_floats: ARENA,
        macs: 0,
        run,
    }
}

/// The program. Tasks from [`SLEEP`] on make what other tasks make too: only this test's jobs know.
pub static PROGRAM: Program = Program {
    name: "by-hand",
    target: "portable",
    plan_hash: [3; 32],
    model_digest: [4; 32],
    tensors: &[
        TensorSpec {
            layer: -1,
            h: SIDE,
            w: SIDE,
            c: CHANNELS,
            element: ElementType::F32,
            scales: None,
        },
        TensorSpec {
            layer: 0,
            h: SIDE,
            w: SIDE,
            c: CHANNELS,
            element: ElementType::F32,
            scales: None,
        },
    ],
    tasks: &[
        task(&[quarter(0, 0)], 0, 0, add),
        task(&[quarter(0, 1)], 0, 1, add),
        task(&[quarter(1, 0)], 1, 0, add),
        task(&[quarter(1, 1)], 1, 1, add),
        task(&[whole(1)], 0, 0, sleep),
        task(&[whole(1)], 0, 0, panics),
        task(&[whole(1)], 0, 0, aborts),
        task(&[whole(1)], 0, 0, toil),
        task(&[whole(1)], 0, 0, spin),
        task(&[whole(1)], 0, 0, pass),
    ],
    placement: Placement::Steal,
    boards: 1,
    frames_in_flight: 2,
    stage_starts: &[0, 10],
    tail: TailSpec {
        inputs: &[1],
        outputs: &[],
        arena_floats: 0,
        macs: 0,
        run: add,
    },
    heads: &[],
    nms: NmsKind::Default,
    letterbox: false,
    region_objectness_one: false,
    sections: &[SectionSpec {
        name: "s0",
        offset: 0,
        floats: 1,
    }],
    check_cpu: || Ok(()),
};

/// What the map holds at (`y`, `x`, `c`) in frame `frame`.
pub fn value(frame: u32, y: usize, x: usize, c: usize) -> f32 {
    (frame as usize * 1000 + (y * SIDE + x) * CHANNELS + c) as f32
}

fn add(io: &mut TaskIo<'_>) {
    let out = io.ports_out[0].region;
    let mut k = 0;
    for y in out.y.lo..out.y.hi {
        for x in out.x.lo..out.x.hi {
            for c in 0..CHANNELS {
                let piece = io.inputs[0].iter().find(|p| {
                    let (r, inside) = (p.region, |a: Span, v| a.lo <= v && v < a.hi);
                    inside(r.y, y) && inside(r.x, x)
                });
                let piece = piece.expect("pieces cover the input");
                let (y, x) = (y - piece.region.y.lo, x - piece.region.x.lo);
                let at = (y * piece.region.w() + x) * piece.region.ch() + c;
                let value = piece.floats()[at] + io.weights[0];
                io.floats_out(0)[k] = value;
                k += 1;
            }
        }
    }
}

fn sleep(io: &mut TaskIo<'_>) {
    let ms = io.inputs[0][0].floats()[0];
    std::thread::sleep(Duration::from_micros((ms * 1000.0) as u64));
    add(io);
}

fn toil(io: &mut TaskIo<'_>) {
    for _ in 0..100 {
        io.floats_out(0).fill(-1.0);
        add(io);
    }
}

fn spin(io: &mut TaskIo<'_>) {
    let ms = io.inputs[0][0].floats()[0];
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_micros((ms * 1000.0) as u64) {
        std::hint::spin_loop();
    }
    add(io);
}

/// The map in the arena.
const MAP: Buffer = Buffer {
    offset: 0,
    h: SIDE,
    ring: SIDE,
    w: SIDE,
    c: CHANNELS,
    pad_left: 0,
    pad_right: 0,
    zero_row: false,
};

fn pass(io: &mut TaskIo<'_>) {
    let whole = View {
        y: 0,
        x: 0,
        h: SIDE,
        w: SIDE,
    };
    for y in 0..SIDE {
        let row = y..y + 1;
        io.load(0, &MAP, row.clone());
        let weight = io.weights[0];
        let ([], values) = io.arena.io(0, [], MAP.rows(&row));
        values.iter_mut().for_each(|v| *v += weight);
        io.store(0, &MAP, whole, row);
    }
}

fn panics(_io: &mut TaskIo<'_>) {
    panic!("this task always panics");
}

fn aborts(_io: &mut TaskIo<'_>) {
    std::process::abort();
}
