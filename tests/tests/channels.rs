//! Stages that are cut by output channels give the bits of the same stages uncut, with direct kernels and with
//! Winograd's, in equal ranges and by speed, in one process and on a cluster; layers over whole maps run as tasks of one tile. Pairs of convolutions whose
//! middle channels are cut give the same bits wherever they run, and differ from uncut ones by the order of sums.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tessera_plan::{dataflow::TaskGraph, graph::Darknet, plan::Split};
use tessera_planner::{
    boards::Board,
    kernel::{Family, Storage},
    make, memory,
    options::PlanOptions,
    wire::Wire,
};
use tessera_tests::{
    bundle::{self, Bundle, Entry},
    compare, model,
    random::{self, RandomSource},
    rig::{Cluster, Edge, NodeBinary, Setup},
};

/// Orders of float32 sums.
const TOLERANCE: f64 = 5e-5;
const WITHIN: Duration = Duration::from_secs(60);
/// The last block of 200 channels is narrower than the others on every target.
const CFG: &str = "[net]\nwidth=24\nheight=18\nchannels=3\n\
    [convolutional]\nbatch_normalize=1\nfilters=32\nsize=3\npad=1\nactivation=leaky\n\
    [convolutional]\nbatch_normalize=1\nfilters=200\nsize=3\npad=1\nactivation=leaky\n\
    [maxpool]\nsize=2\nstride=2\n\
    [convolutional]\nfilters=96\nsize=1\nactivation=mish\n\
    [convolutional]\nfilters=160\nsize=3\npad=1\nactivation=linear\n\
    [avgpool]\n\
    [connected]\noutput=10\nactivation=logistic\n\
    [softmax]\n";
/// Ends of the stages: a convolution, one with its pool, two of other forms, and layers over whole maps.
const CUTS: [usize; 5] = [1, 3, 4, 5, 8];
const UNCUT: [[usize; 2]; 5] = [[1, 1]; 5];
const CUT: [[usize; 2]; 5] = [[2, 2], [1, 3], [1, 2], [1, 4], [1, 1]];

/// Plans by name: uncut and cut, with direct and with Winograd kernels; of those, Winograd's grid of the first stage is
/// 1x1, since its bits depend on where tiles begin.
fn plans() -> Vec<(&'static str, PlanOptions)> {
    let exact = PlanOptions {
        cuts: CUTS.to_vec(),
        grids: UNCUT.to_vec(),
        exact: true,
        dump: true,
        ..PlanOptions::default()
    };
    let channels = [false, true, true, true, false].to_vec();
    let winograd = |weights| PlanOptions {
        exact: false,
        kernels: Family::Winograd(4),
        weights,
        wire: Wire::floats(),
        ..exact.clone()
    };
    let cut = |uncut: &PlanOptions, first| {
        let mut grids = CUT.to_vec();
        grids[0] = first;
        PlanOptions {
            grids,
            channels: channels.clone(),
            ..uncut.clone()
        }
    };
    let stored = winograd(Storage::Transformed);
    let halves = winograd(Storage::Halves);
    let tail = PlanOptions {
        cuts: CUTS[..4].to_vec(),
        grids: UNCUT[..4].to_vec(),
        ..exact.clone()
    };
    // A pair whose sums a stage cut by channels reads, one whose sums layers over whole maps read, in a task and in the
    // tail.
    let pair = |uncut: &PlanOptions, cuts: &[usize], grids: &[[usize; 2]], channels: &[bool]| {
        PlanOptions {
            cuts: cuts.to_vec(),
            grids: grids.to_vec(),
            channels: channels.to_vec(),
            ..uncut.clone()
        }
    };
    let grids = [[2, 2], [1, 3], [1, 2], [1, 1]];
    let in_stage = pair(&exact, &[1, 4, 5, 8], &grids, &[false, true, true, false]);
    let grids = [[1, 1], [1, 3], [1, 2], [1, 1]];
    let by_tiles = pair(&halves, &[1, 3, 5, 8], &grids, &[false, true, true, false]);
    // Ranges of other widths, for boards of three speeds.
    let board = |share| Board {
        share,
        ..exact.boards[0].clone()
    };
    let by_speed = PlanOptions {
        split: Split::Speed,
        boards: [1.0, 0.5, 0.5, 0.2].map(board).to_vec(),
        ..cut(&exact, CUT[0])
    };
    let in_tail = pair(&exact, &[1, 3, 5], &grids[..3], &[false, true, true]);
    vec![
        ("pair-in-stage", in_stage),
        ("pair-by-tiles", by_tiles),
        ("pair-in-tail", in_tail),
        ("exact-cut", cut(&exact, CUT[0])),
        ("speed-cut", by_speed),
        ("stored-cut", cut(&stored, [1, 1])),
        ("halves-cut", cut(&halves, [1, 1])),
        ("exact", exact),
        ("stored", stored),
        ("halves", halves),
        ("tail", tail),
    ]
}

fn bundle() -> Result<Bundle> {
    let model = model::random("channels", CFG, Darknet::Alexey, 3)?;
    let plans = plans();
    let entries: Vec<Entry<'_>> = (plans.iter())
        .map(|(name, options)| Entry::new(*name, &model, options.clone()))
        .collect();
    bundle::build_at(0, "channels", bundle::host_targets()[0], &entries)
}

fn input(dir: &Path) -> Result<PathBuf> {
    let mut random = RandomSource::new(8);
    let values: Vec<f32> = (0..24 * 18 * 3)
        .map(|_| random::unit(&mut random))
        .collect();
    let path = dir.join("input.f32");
    compare::write_f32(&path, &values)?;
    Ok(path)
}

/// What the layers made, by file name.
fn dumped(dir: &Path) -> Result<Vec<(OsString, Vec<u8>)>> {
    let mut list = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "f32") {
            list.push((
                path.file_name().context("a name")?.to_owned(),
                fs::read(&path)?,
            ));
        }
    }
    list.sort();
    Ok(list)
}

fn solo(node: &NodeBinary, input: &Path) -> Result<Vec<(OsString, Vec<u8>)>> {
    let dump = tempfile::tempdir()?;
    let mut flags: Vec<OsString> = vec!["--input-f32".into(), input.into(), "--guard".into()];
    flags.extend(["--dump".into(), dump.path().into()]);
    node.solo_says(&flags, WITHIN)?;
    dumped(dump.path())
}

#[test]
fn ranges_of_channels_and_whole_maps_give_the_same_bits() -> Result<()> {
    let (bundle, dir) = (bundle()?, tempfile::tempdir()?);
    let input = input(dir.path())?;
    let run = |name: &str| solo(&bundle.node(name)?, &input).with_context(|| name.to_owned());
    for name in ["exact", "stored", "halves"] {
        let (want, have) = (run(name)?, run(&format!("{name}-cut"))?);
        ensure!(want.len() >= CUTS.len(), "{name}: {} layers", want.len());
        ensure!(want == have, "{name}: bits differ");
    }
    ensure!(run("speed-cut")? == run("exact")?, "by speed: bits differ");
    // The tail's layers over whole maps, against a task's.
    let (tail, all) = (run("tail")?, run("exact")?);
    ensure!(
        !tail.is_empty() && tail.iter().all(|l| all.contains(l)),
        "the tail's bits differ"
    );

    let have = on_cluster(&bundle.node("exact-cut")?, &input)?;
    ensure!(have == run("exact")?, "the cluster's bits differ");

    for (name, uncut) in [
        ("pair-in-stage", "exact"),
        ("pair-by-tiles", "halves"),
        ("pair-in-tail", "exact"),
    ] {
        let (want, have) = (run(uncut)?, run(name)?);
        ensure!(have.len() >= 3, "{name}: {} layers", have.len());
        for (layer, bytes) in &have {
            let found = want.iter().find(|w| w.0 == *layer);
            let (_, found) = found.with_context(|| format!("{name}: no {layer:?}"))?;
            let d = compare::distance(&floats(bytes), &floats(found));
            ensure!(d <= TOLERANCE, "{name}: {layer:?} is {d:.2e} away");
        }
        let again = on_cluster(&bundle.node(name)?, &input).context(name)?;
        // A gateway also dumps what its tail reads: here partial sums.
        let agree = have.iter().all(|layer| again.contains(layer));
        ensure!(agree, "{name}: the cluster's bits differ");
    }
    Ok(())
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let (values, _) = bytes.as_chunks::<4>();
    values.iter().map(|v| f32::from_le_bytes(*v)).collect()
}

/// What a source and two other edges make of a frame.
fn on_cluster(node: &NodeBinary, input: &Path) -> Result<Vec<(OsString, Vec<u8>)>> {
    let thieves = (0..2).map(|_| Edge::thief(1));
    let setup = Setup {
        edges: std::iter::once(Edge::source(1, [input.to_path_buf()]))
            .chain(thieves)
            .collect(),
        ..Setup::default()
    };
    let cluster = Cluster::start(node, setup)?;
    cluster.wait_records(1, WITHIN)?;
    let have = dumped(&cluster.dump())?;
    cluster.stop()?;
    Ok(have)
}

#[test]
fn a_board_reads_its_part_of_the_weights() -> Result<()> {
    let model = model::random("channels", CFG, Darknet::Alexey, 3)?;
    let exact = plans().into_iter().find(|p| p.0 == "exact-cut");
    let (_, options) = exact.context("a plan")?;
    let plan = make::plan(&model, &options)?;
    let target = plan.target.values().next().context("a target")?;
    let weights = |home: fn(usize) -> u16| -> Result<u64> {
        let mut tasks = TaskGraph::of(&plan.dataflow)?;
        let tiles = plan.dataflow.stages.iter().flat_map(|s| 0..s.tiles.len());
        for (task, tile) in tasks.tasks.iter_mut().zip(tiles) {
            task.home = home(tile);
        }
        Ok(memory::memory(&tasks, target, 1, 2)["edge.weights"])
    };
    let alone = weights(|_| 0)?;
    let shared = weights(|tile| u16::try_from(tile).unwrap_or(u16::MAX))?;
    ensure!(4 * shared < 3 * alone, "{shared} of {alone} bytes");
    Ok(())
}
