//! A program of hand-written tasks over objects of bytes and of halves, all of odd sizes.
//!
//! ```text
//! frame u8 [21, 13, 3] ──3 x 2 tiles──> f16 [21, 13, 5] ──3 x 2 tiles──> f16 [21, 13, 3] ──tail──> f32 [1, 1, 4]
//! ```
//!
//! Every tile reads a halo of one pixel. The tail makes a digest of its input's bytes, so that a record tells
//! whether any bit was wrong.

use std::time::Duration;

use tessera_plan::{dataflow::Port, region::Region};
use tessera_runtime::{
    io::{Buffer, TaskIo, View},
    program::{
        ElementType, NmsKind, Placement, Program, SectionSpec, TailSpec, TaskSpec, TensorSpec,
    },
};

/// Rows of all maps.
pub const H: usize = 21;
/// Columns of all maps.
pub const W: usize = 13;
/// Channels of the frame and of what the stages make.
pub const CHANNELS: [usize; 3] = [3, 5, 3];
/// The one weight.
pub const WEIGHT: f32 = 0.37;
/// float32 values of the section that holds it.
pub const SECTION_FLOATS: usize = 1024;
/// What sums begin with: keeps them above the smallest normal half.
const BIAS: f32 = 0.125;
/// How long a task takes at least: long enough for others to steal the next one.
const TASK: Duration = Duration::from_millis(4);

/// Where rows and columns are cut.
const CUTS: [&[usize]; 2] = [&[0, 8, 13, H], &[0, 6, W]];

const fn tensor(layer: i32, [h, w, c]: [usize; 3], element: ElementType) -> TensorSpec {
    TensorSpec {
        layer,
        h,
        w,
        c,
        element,
        scales: None,
    }
}

/// A tile's share of a stage's output.
const fn makes(stage: usize, row: usize, col: usize) -> Port {
    let ([ys, xs], c) = (CUTS, CHANNELS[stage + 1]);
    Port {
        tensor: stage as u16 + 1,
        region: Region::new([ys[row], ys[row + 1]], [xs[col], xs[col + 1]], [0, c]),
    }
}

/// What the tile reads: a pixel more on all sides, as far as the map goes.
const fn reads(stage: usize, row: usize, col: usize) -> Port {
    const fn grown(cuts: &[usize], i: usize, end: usize) -> [usize; 2] {
        let hi = cuts[i + 1] + 1;
        [cuts[i].saturating_sub(1), if hi < end { hi } else { end }]
    }
    let ([ys, xs], c) = (CUTS, CHANNELS[stage]);
    Port {
        tensor: stage as u16,
        region: Region::new(grown(ys, row, H), grown(xs, col, W), [0, c]),
    }
}

macro_rules! task {
    ($stage:literal, $row:literal, $col:literal) => {
        TaskSpec {
            stage: $stage,
            home: 0,
            row: $row,
            col: $col,
            inputs: &[reads($stage, $row, $col)],
            outputs: &[makes($stage, $row, $col)],
            arena_floats: 2048,
            macs: 1_000_000,
            run: conv,
        }
    };
}

/// The program.
pub static PROGRAM: Program = Program {
    name: "elements",
    target: "portable",
    plan_hash: [5; 32],
    model_digest: [6; 32],
    tensors: &[
        tensor(-1, [H, W, CHANNELS[0]], ElementType::U8),
        tensor(0, [H, W, CHANNELS[1]], ElementType::F16),
        tensor(1, [H, W, CHANNELS[2]], ElementType::F16),
        tensor(2, [1, 1, 4], ElementType::F32),
    ],
    tasks: &[
        task!(0, 0, 0),
        task!(0, 0, 1),
        task!(0, 1, 0),
        task!(0, 1, 1),
        task!(0, 2, 0),
        task!(0, 2, 1),
        task!(1, 0, 0),
        task!(1, 0, 1),
        task!(1, 1, 0),
        task!(1, 1, 1),
        task!(1, 2, 0),
        task!(1, 2, 1),
    ],
    placement: Placement::Steal,
    boards: 1,
    frames_in_flight: 2,
    stage_starts: &[0, 6, 12],
    tail: TailSpec {
        inputs: &[2],
        outputs: &[3],
        arena_floats: 0,
        macs: 0,
        run: tail,
    },
    heads: &[],
    nms: NmsKind::Default,
    letterbox: false,
    region_objectness_one: false,
    sections: &[
        SectionSpec {
            name: "s0",
            offset: 0,
            floats: SECTION_FLOATS,
        },
        SectionSpec {
            name: "tail",
            offset: SECTION_FLOATS,
            floats: 0,
        },
    ],
    check_cpu: || Ok(()),
};

/// One output value: nine taps, each of another channel, of the map `at(y, x, c)`, which is 0 outside.
pub fn tap_sum(
    [y, x, c]: [usize; 3],
    channels: usize,
    weight: f32,
    at: impl Fn(usize, usize, usize) -> f32,
) -> f32 {
    let mut sum = BIAS;
    for tap in 0..9usize {
        let (Some(y), Some(x)) = ((y + tap / 3).checked_sub(1), (x + tap % 3).checked_sub(1))
        else {
            continue;
        };
        if y < H && x < W {
            sum += at(y, x, (c + tap) % channels) * weight * (tap + 1) as f32 / 64.0;
        }
    }
    sum
}

/// FNV-1a, as four numbers of 16 bits, which float32 holds exactly.
pub fn digest(bytes: &[u8]) -> [f32; 4] {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325u64, |h, b| {
        (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3)
    });
    [0, 16, 32, 48].map(|shift| f32::from((hash >> shift) as u16))
}

const fn buffer(r: Region, offset: usize) -> Buffer {
    Buffer {
        offset,
        h: r.h(),
        ring: r.h(),
        w: r.w(),
        c: r.ch(),
        pad_left: 0,
        pad_right: 0,
        zero_row: false,
    }
}

fn conv(io: &mut TaskIo<'_>) {
    std::thread::sleep(TASK);
    let (input, output) = (io.ports_in[0].region, io.ports_out[0].region);
    let from = buffer(input, 0);
    let to = buffer(output, from.floats().next_multiple_of(16));
    let weight = io.weights[0];
    io.load(0, &from, 0..from.h);
    let ([x], y) = io.arena.io(0, [from.range()], to.range());
    for (row, col) in (0..to.h).flat_map(|row| (0..to.w).map(move |col| (row, col))) {
        for c in 0..to.c {
            let place = [output.y.lo + row, output.x.lo + col, c];
            y[to.at(row, col) + c] = tap_sum(place, from.c, weight, |y, x_, c| {
                x[from.at(y - input.y.lo, x_ - input.x.lo) + c]
            });
        }
    }
    let whole = View {
        y: 0,
        x: 0,
        h: to.h,
        w: to.w,
    };
    // In two firings, as rows roll.
    io.store(0, &to, whole, 0..2);
    io.store(0, &to, whole, 2..to.h);
}

fn tail(io: &mut TaskIo<'_>) {
    let made = digest(io.inputs[0][0].all());
    io.floats_out(0).copy_from_slice(&made);
}
