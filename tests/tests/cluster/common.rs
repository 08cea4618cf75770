//! One compiled bundle for all tests, frames, and what one process makes of them.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::LazyLock,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use nix::{fcntl::OFlag, sys::stat::Mode, unistd::mkfifo};
use serde_json::Value;
use tempfile::TempDir;
use tessera_plan::{
    graph::Darknet,
    plan::{Border, Placement, Plan, Split},
};
use tessera_planner::{
    boards::Board,
    options::{Goal, PlanOptions, Target},
    wire::Wire,
};
use tessera_tests::{
    bundle::{self, Bundle, Entry},
    model,
    random::{RandomSource, unit},
    rig::{Cluster, NodeBinary, wait_for},
};

/// How long a cluster may take for a few frames: generous, machines are busy.
pub const LONG: Duration = Duration::from_secs(60);

/// The layers that all detectors begin with: two poolings, so that tiles of every stage differ in shape.
const TRUNK: &str = "
[net]
width=64
height=64
channels=3

[convolutional]
batch_normalize=1
filters=8
size=3
stride=1
pad=1
activation=leaky

[maxpool]
size=2
stride=2

[convolutional]
batch_normalize=1
filters=12
size=3
stride=1
pad=1
activation=leaky

[maxpool]
size=2
stride=2

[convolutional]
batch_normalize=1
filters=16
size=3
stride=1
pad=1
activation=leaky

";

/// Layers that read an earlier map through Darknet's reorg.
const PASSTHROUGH: &str = "
[route]
layers=2

[convolutional]
batch_normalize=1
filters=8
size=1
stride=1
pad=1
activation=leaky

[reorg]
stride=2

[route]
layers=-1,4

[convolutional]
batch_normalize=1
filters=16
size=3
stride=1
pad=1
activation=leaky

";

/// The layers that all detectors end with.
const HEAD: &str = "
[convolutional]
filters=14
size=1
stride=1
pad=1
activation=linear

[yolo]
mask=0,1
anchors=8,10, 20,16
classes=2
num=2
";

/// Values of a frame.
const FRAME: usize = 64 * 64 * 3;

/// A plan's name, its stages' ends and grids, and how its frames and objects are stored.
type PlanOf = (
    &'static str,
    &'static [usize],
    &'static [[usize; 2]],
    fn() -> Wire,
);

/// Everything as it is computed.
const FLOATS: fn() -> Wire = Wire::floats;
/// Frames of bytes, and objects in half precision.
const SHORT_VALUES: fn() -> Wire = Wire::default;

/// Plans of the bundle.
const PLANS: [PlanOf; 16] = [
    ("one-1x1", &[4], &[[1, 1]], FLOATS),
    ("one-2x3", &[4], &[[2, 3]], FLOATS),
    ("one-4x4", &[5], &[[4, 4]], FLOATS),
    ("one-4x4-steal", &[5], &[[4, 4]], FLOATS),
    ("two-3x3-2x2", &[2, 5], &[[3, 3], [2, 2]], FLOATS),
    (
        "two-2x2-3x2-short",
        &[2, 5],
        &[[2, 2], [3, 2]],
        SHORT_VALUES,
    ),
    // All boards have tiles of their own, several of each stage.
    (
        "two-6x1-3x2-homes",
        &[2, 5],
        &[[6, 1], [3, 2]],
        SHORT_VALUES,
    ),
    (
        "two-6x1-3x2-steal",
        &[2, 5],
        &[[6, 1], [3, 2]],
        SHORT_VALUES,
    ),
    // Work sharing: of fused tiles, and of every layer in a strip for each edge, as MoDNN has it.
    ("two-6x1-3x2-share", &[2, 5], &[[6, 1], [3, 2]], FLOATS),
    ("bodp-3x1-share", &[1, 2, 3, 4, 5], &[[3, 1]; 5], FLOATS),
    // Tiles of two colours that hand borders to each other.
    ("reuse-3x3-homes", &[5], &[[3, 3]], FLOATS),
    ("reuse-3x3-queue", &[5], &[[3, 3]], SHORT_VALUES),
    // The convolution that the reorg reads lies in its stage; in the one before; and all is one stage.
    (
        "passthrough-4-8-11",
        &[4, 8, 11],
        &[[2, 2], [3, 2], [4, 1]],
        FLOATS,
    ),
    (
        "passthrough-2-7-12-short",
        &[2, 7, 12],
        &[[3, 3], [2, 2], [5, 2]],
        SHORT_VALUES,
    ),
    ("passthrough-12", &[12], &[[3, 2]], FLOATS),
    // One task, without a home, whose output the gateway decodes.
    ("whole-1x1", &[7], &[[1, 1]], FLOATS),
];

/// Names of all programs.
pub fn programs() -> impl Iterator<Item = &'static str> {
    PLANS.iter().map(|(name, ..)| *name)
}

static BUNDLE: LazyLock<Result<Bundle>> = LazyLock::new(|| {
    let plain = model::random("cluster", &[TRUNK, HEAD].concat(), Darknet::Alexey, 7)?;
    let passthrough = model::random(
        "passthrough",
        &[TRUNK, PASSTHROUGH, HEAD].concat(),
        Darknet::Alexey,
        7,
    )?;
    let entries: Vec<Entry<'_>> = PLANS
        .iter()
        .map(|(name, cuts, grids, wire)| {
            let reuse = name.starts_with("reuse");
            let three = name.starts_with("two-6x1") || name.ends_with("-share") || reuse;
            let edges = if three { 3 } else { 2 };
            let options = PlanOptions {
                grids: grids.to_vec(),
                cuts: cuts.to_vec(),
                wire: wire(),
                borders: reuse.then_some(Border::Reuse).into_iter().collect(),
                placement: if name.ends_with("-steal") {
                    Placement::Steal
                } else if name.ends_with("-queue") {
                    Placement::Queue
                } else if name.ends_with("-share") {
                    Placement::Share
                } else {
                    Placement::Home
                },
                goal: if name.starts_with("whole") {
                    Goal::Throughput
                } else {
                    Goal::Latency
                },
                dump: true,
                exact: name.ends_with("-share"),
                split: if name.starts_with("bodp") {
                    Split::Equal
                } else {
                    Split::Balanced
                },
                ..PlanOptions::of(edges, &Board::new(Target::Portable))
            };
            let model = if name.starts_with("passthrough") {
                &passthrough
            } else {
                &plain
            };
            Entry {
                spread: name.ends_with("-homes"),
                ..Entry::new(*name, model, options)
            }
        })
        .collect();
    bundle::build("cluster", Target::Portable, &entries)
});

/// The compiled node as program `name`.
pub fn node(name: &str) -> NodeBinary {
    match BUNDLE.as_ref() {
        Ok(bundle) => bundle.node(name).unwrap(),
        Err(e) => panic!("{e:#}"),
    }
}

/// The plan of program `name`.
pub fn plan(name: &str) -> &'static Plan {
    match BUNDLE.as_ref() {
        Ok(bundle) => bundle.plan(name).unwrap(),
        Err(e) => panic!("{e:#}"),
    }
}

/// Frames of one source, and what one process makes of them.
pub struct Frames {
    node: NodeBinary,
    dir: TempDir,
    /// Raw C, H, W tensors.
    pub files: Vec<PathBuf>,
    /// Records of one process.
    pub expected: Vec<Value>,
}

impl Frames {
    /// `count` frames of random values; different ones for every `seed`.
    pub fn new(node: &NodeBinary, count: usize, seed: u64) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let mut random = RandomSource::new(seed);
        let files: Vec<PathBuf> = (0..count)
            .map(|i| {
                let path = dir.path().join(format!("{i}.f32"));
                let value = |_| unit(&mut random);
                let bytes: Vec<u8> = (0..FRAME).map(value).flat_map(f32::to_le_bytes).collect();
                fs::write(&path, bytes)?;
                Ok(path)
            })
            .collect::<Result<_>>()?;
        let expected = node.solo(&files, 1, None, LONG)?;
        ensure!(expected.len() == count);
        // A test that compares nothing would always pass.
        ensure!(
            expected
                .iter()
                .all(|r| r["detections"].as_array().is_some_and(|d| d.len() > 3)),
            "the detector finds something in noise: {expected:?}"
        );
        Ok(Self {
            node: node.clone(),
            dir,
            files,
            expected,
        })
    }

    /// A FIFO that a source reads frame `i` from when [`Frames::feed`] is called, under a name of
    /// its own.
    pub fn fifo(&self, name: &str) -> Result<PathBuf> {
        let path = self.dir.path().join(name);
        mkfifo(&path, Mode::S_IRWXU)?;
        Ok(path)
    }

    /// Gives frame `i` to the source that waits at `fifo`.
    pub fn feed(&self, fifo: &Path, i: usize) -> Result<()> {
        // The source opens it as soon as it has room for a frame; nobody there yet is ENXIO.
        let mut open = OpenOptions::new();
        open.write(true).custom_flags(OFlag::O_NONBLOCK.bits());
        let mut pipe = wait_for(LONG, || Ok(open.open(fifo).ok()))?;
        // Fits a pipe's buffer as a whole.
        Ok(pipe.write_all(&fs::read(&self.files[i])?)?)
    }

    /// Checks that `records` of `source` are exactly one per frame, with the same bits.
    pub fn check(&self, source: usize, records: &[Value]) -> Result<()> {
        self.check_first(self.expected.len(), source, records)
    }

    /// As [`Self::check`], of the first `count` frames: no more were given to the source.
    pub fn check_first(&self, count: usize, source: usize, records: &[Value]) -> Result<()> {
        let expected = &self.expected[..count];
        let mut mine: Vec<&Value> = records.iter().filter(|r| r["source"] == source).collect();
        mine.sort_by_key(|r| r["tag"].as_u64());
        ensure!(
            mine.len() == count,
            "{} of {count} records: {mine:?}",
            mine.len(),
        );
        for (r, e) in mine.iter().zip(expected) {
            same(r, e)?;
        }
        Ok(())
    }

    /// Checks that the tensors that the cluster dumped are those of the frame whose record came last, bit for bit. Frames
    /// of one source may overtake each other: which one that is, `records` say.
    pub fn check_dump(&self, cluster: &Cluster, records: &[Value]) -> Result<()> {
        let last = records.last().and_then(|r| r["tag"].as_u64());
        let last = usize::try_from(last.context("a record with its frame's number")?)?;
        let dump = self.dir.path().join(format!("dump-{last}"));
        let file = self.files.get(last).context("a frame of this source")?;
        self.node
            .solo(std::slice::from_ref(file), 1, Some(&dump), LONG)?;
        let mut compared = 0;
        for entry in fs::read_dir(&dump)? {
            let path = entry?.path();
            let name = path.file_stem().and_then(|s| s.to_str()).unwrap_or("");
            let layer = name.strip_prefix("layer_").context("a dumped layer")?;
            let found = cluster.dumped(layer.parse()?)?;
            ensure!(
                found == fs::read(&path)?,
                "layer {layer} of frame {last} differs"
            );
            compared += 1;
        }
        ensure!(compared >= 2, "{compared} layers compared");
        Ok(())
    }
}

/// Checks that a record says the same as one process'.
pub fn same(record: &Value, expected: &Value) -> Result<()> {
    for key in ["tag", "width", "height", "detections"] {
        ensure!(
            record[key] == expected[key],
            "{key} differs:\n{record}\n{expected}"
        );
    }
    Ok(())
}

/// A number somewhere in statistics; 0 where there is none would hide a misspelt name.
pub fn number(stats: &Value, pointer: &str) -> u64 {
    let found = stats.pointer(pointer).and_then(Value::as_u64);
    found.unwrap_or_else(|| panic!("no number {pointer} in {stats}"))
}
