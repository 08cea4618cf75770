//! Every family of kernels, forced on wherever it is possible, computes what the real Darknet
//! computed, on every target that runs here; and the same bits whatever number of threads share a
//! layer. Weights in half precision are what they say: the same network with rounded weights.
//!
//! Cases come from `../shared/golden`; without that folder the tests that need them say so and pass.
//! What emulated targets lack is named, and their tests pass; with `TESSERA_CROSS=1` they fail.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use tessera_plan::{
    graph::{Darknet, Op},
    plan::{Algorithm, Chain, Plan, Step},
};
use tessera_planner::{
    kernel::{Family, Storage},
    model::Model,
    options::{PlanOptions, Rows, Target},
};
use tessera_tests::{
    bundle::{self, Bundle, Entry},
    compare, cross, cuts, golden, model,
};

/// Longest run of a node.
const WITHIN: Duration = Duration::from_secs(300);

/// Families, grids, and how weights are stored.
const PLANS: [(&str, Family, [usize; 2], Storage); 5] = [
    ("direct", Family::Direct, [1, 1], Storage::Trained),
    ("winograd2", Family::Winograd(2), [1, 1], Storage::Trained),
    ("winograd4", Family::Winograd(4), [1, 1], Storage::Trained),
    ("winograd6", Family::Winograd(6), [1, 1], Storage::Trained),
    (
        "winograd6-2x2-stored",
        Family::Winograd(6),
        [2, 2],
        Storage::Transformed,
    ),
];

/// Every target that runs here, natively or emulated.
fn targets() -> Result<Vec<Target>> {
    let mut list = bundle::host_targets();
    for target in [Target::Aarch64, Target::Armv7] {
        if !list.contains(&target) && cross::is_able(target)? {
            list.push(target);
        }
    }
    Ok(list)
}

/// Convolutions of a plan by the side of their Winograd tiles, 0 for direct ones.
fn counted(plan: &Plan) -> BTreeMap<usize, usize> {
    let chains = plan
        .target
        .values()
        .flat_map(|t| t.stages.iter().flatten().chain([&t.tail]));
    let kernels = chains.flat_map(|c| c.steps.iter().filter_map(|s| s.conv.as_ref()));
    let mut count = BTreeMap::new();
    for k in kernels {
        let side = match k.algorithm {
            Algorithm::Direct => 0,
            Algorithm::Winograd { m, .. } => m,
        };
        *count.entry(side).or_default() += 1;
    }
    count
}

/// That both folders hold the same files.
fn same(a: &Path, b: &Path) -> Result<()> {
    let mut files = 0;
    for entry in fs::read_dir(a)? {
        let path = entry?.path();
        let other = b.join(path.file_name().context("a name")?);
        ensure!(
            fs::read(&path)? == fs::read(&other)?,
            "{} differs",
            path.display()
        );
        files += 1;
    }
    ensure!(files > 0, "nothing to compare");
    Ok(())
}

/// The case by one program, with one thread and with three.
fn check(bundle: &Bundle, case: &golden::Case, program: &str) -> Result<()> {
    let node = bundle.node(program)?;
    let dumps = [tempfile::tempdir()?, tempfile::tempdir()?];
    for (dump, threads) in dumps.iter().zip([1, 3]) {
        let records = node.solo(&[case.input()], threads, Some(dump.path()), WITHIN)?;
        ensure!(records.len() == 1, "{} records", records.len());
        let (whole, _) = case.check_dump(dump.path())?;
        ensure!(whole > 0, "nothing to compare");
        case.check_detections(&records[0])?;
    }
    same(dumps[0].path(), dumps[1].path()).context("one thread and three")
}

/// Every family on every golden case, on one target.
fn families(target: Target) -> Result<()> {
    let models: Vec<(&str, Model)> = golden::NETS
        .iter()
        .filter_map(|n| Some(golden::case(n).transpose()?.map(|c| (*n, c.model))))
        .collect::<Result<_>>()?;
    let name = |net: &str, plan: &str| format!("{}-{plan}", net.replace('.', "-"));
    let mut entries = Vec::new();
    for (net, model) in &models {
        for (plan, kernels, grid, weights) in PLANS {
            let options = PlanOptions {
                grids: vec![grid],
                cuts: vec![cuts::deepest(&model.graph)],
                kernels,
                weights,
                dump: true,
                ..PlanOptions::default()
            };
            entries.push(Entry::new(name(net, plan), model, options));
        }
    }
    if entries.is_empty() {
        return Ok(());
    }
    let bundle = bundle::build("families", target, &entries)?;
    let mut layers: BTreeMap<usize, usize> = BTreeMap::new();
    for (net, _) in &models {
        let case = golden::case(net)?.context("the case was there before")?;
        for (plan, ..) in PLANS {
            let program = name(net, plan);
            for (m, n) in counted(bundle.plan(&program)?) {
                *layers.entry(m).or_default() += n;
            }
            check(&bundle, &case, &program)
                .with_context(|| format!("{program} on {}", target.name()))?;
        }
    }
    for m in [0, 2, 4, 6] {
        let n = layers.get(&m).copied().unwrap_or(0);
        ensure!(
            n > models.len(),
            "{n} layers by F({m}) on {}",
            target.name()
        );
    }
    println!(
        "{}: convolutions by side of tiles {layers:?}",
        target.name()
    );
    Ok(())
}

#[test]
fn on_this_processor() -> Result<()> {
    for target in bundle::host_targets() {
        families(target)?;
    }
    Ok(())
}

#[test]
fn on_aarch64() -> Result<()> {
    if cross::is_able(Target::Aarch64)? {
        families(Target::Aarch64)?;
    }
    Ok(())
}

#[test]
fn on_armv7() -> Result<()> {
    if cross::is_able(Target::Armv7)? {
        families(Target::Armv7)?;
    }
    Ok(())
}

/// Groups, strides, depthwise and narrow layers, channels that blocks do not divide.
const HALVES: &str = "[net]\nwidth=24\nheight=20\nchannels=3\n\
    [convolutional]\nfilters=16\nsize=3\npad=1\nactivation=leaky\n\
    [convolutional]\nfilters=40\nsize=3\nstride=2\npad=1\nactivation=leaky\n\
    [convolutional]\nfilters=40\nsize=3\npad=1\ngroups=40\nactivation=relu\n\
    [convolutional]\nfilters=48\nsize=1\nactivation=mish\n\
    [convolutional]\nfilters=36\nsize=3\npad=1\ngroups=2\nactivation=linear\n\
    [convolutional]\nfilters=16\nsize=1\nactivation=leaky\n\
    [convolutional]\nfilters=75\nsize=3\npad=1\nactivation=leaky\n";

#[test]
fn halves_give_the_bits_of_rounded_weights() -> Result<()> {
    let whole = model::random("halves", HALVES, Darknet::Alexey, 7)?;
    let mut rounded = whole.clone();
    let (mut values, mut changed) = (0, 0);
    let weights = rounded.weights.as_mut().context("weights")?;
    for (node, w) in whole.graph.nodes.iter().zip(weights.iter_mut()) {
        let (Op::Conv(c), Some(w)) = (&node.op, w) else {
            continue;
        };
        // Depthwise weights are few and stay as they are.
        if c.groups == node.shape.c {
            continue;
        }
        for v in &mut w.weights {
            let half = half::f16::from_f32(*v).to_f32();
            values += 1;
            changed += usize::from(half.to_bits() != v.to_bits());
            *v = half;
        }
    }
    ensure!(10 * changed > 9 * values, "{changed} of {values} rounded");
    let dir = tempfile::tempdir()?;
    let input = dir.path().join("input.f32");
    let values = (0..whole.graph.input.len()).map(|i| ((i * 37) % 101) as f32 / 101.0);
    compare::write_f32(&input, &values.collect::<Vec<f32>>())?;
    for target in targets()? {
        let mut entries = Vec::new();
        for (family, kernels) in [
            ("direct", Family::Direct),
            ("winograd4", Family::Winograd(4)),
        ] {
            for (format, model, weights) in [
                ("f32", &rounded, Storage::Trained),
                ("f16", &whole, Storage::Halves),
            ] {
                let options = PlanOptions {
                    grids: vec![[2, 1]],
                    cuts: vec![4],
                    kernels,
                    weights,
                    dump: true,
                    ..PlanOptions::default()
                };
                entries.push(Entry::new(format!("{family}-{format}"), model, options));
            }
        }
        let bundle = bundle::build("halves", target, &entries)?;
        for family in ["direct", "winograd4"] {
            let dumps = [tempfile::tempdir()?, tempfile::tempdir()?];
            for (dump, (format, threads)) in dumps.iter().zip([("f32", 1), ("f16", 3)]) {
                let node = bundle.node(&format!("{family}-{format}"))?;
                node.solo(
                    std::slice::from_ref(&input),
                    threads,
                    Some(dump.path()),
                    WITHIN,
                )?;
            }
            same(dumps[0].path(), dumps[1].path())
                .with_context(|| format!("{family} on {}", target.name()))?;
        }
        let size = |format: &str| -> Result<usize> {
            let plan = bundle.plan(&format!("direct-{format}"))?;
            let target = plan.target.values().next().context("a target")?;
            Ok(target.packing.iter().map(|p| p.floats).sum())
        };
        let (f32s, f16s) = (size("f32")?, size("f16")?);
        ensure!(
            10 * f16s < 6 * f32s,
            "{f16s} values instead of {f32s} on {}",
            target.name()
        );
    }
    Ok(())
}

/// Two convolutions side by side in a route, at odd channels, and a layer with a border behind it; half of its
/// channels to a convolution; what was upsampled beside what was not. With `COPIED` between, nothing of all
/// that is found where it is wanted.
fn side_by_side(between: &str) -> String {
    let conv = |filters: usize, size: usize, activation: &str| {
        format!("[convolutional]\nfilters={filters}\nsize={size}\npad=1\nactivation={activation}\n")
    };
    let copy = usize::from(!between.is_empty());
    [
        "[net]\nwidth=26\nheight=22\nchannels=3\n".to_owned(),
        conv(16, 3, "leaky"),
        conv(37, 3, "leaky"),
        between.to_owned(),
        format!("[route]\nlayers={}\n", 0),
        conv(50, 3, "mish"),
        between.to_owned(),
        format!("[route]\nlayers=-1,0,-{}\n", 3 + copy),
        conv(32, 3, "leaky"),
        "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n".to_owned(),
        between.to_owned(),
        conv(24, 3, "leaky"),
        "[maxpool]\nsize=2\nstride=2\n".to_owned(),
        conv(11, 1, "swish"),
        "[upsample]\nstride=2\n".to_owned(),
        between.to_owned(),
        format!("[route]\nlayers=-1,-{}\n", 4 + copy),
        conv(24, 3, "leaky"),
        conv(8, 1, "linear"),
    ]
    .concat()
}

/// That the last layer in both folders is equal, or, for Winograd's kernels, near: tiles begin where firings do.
fn near(a: &Path, b: &Path, equal: bool) -> Result<()> {
    let values = |dir: &Path| -> Result<Vec<f32>> {
        let files = fs::read_dir(dir)?.map(|e| Ok(e?.path()));
        let files = files.collect::<Result<Vec<_>>>()?;
        compare::read_f32(files.iter().max().context("a layer")?)
    };
    let (a, b) = (values(a)?, values(b)?);
    let off = compare::distance(&a, &b);
    ensure!(!b.is_empty() && b.iter().any(|v| *v != 0.0), "no values");
    ensure!(
        off <= if equal { 0.0 } else { 1e-4 },
        "off by {off} of the rms"
    );
    Ok(())
}

/// A layer that changes nothing.
const COPIED: &str = "[local_avgpool]\nsize=1\nstride=1\n";

/// A way to compute a network: its plan's name, how rows move, threads, and how often the plan does what is
/// compared.
type Way<'a> = (&'a str, &'a Model, Rows, usize, usize);

/// That networks computed in three ways, the first two by one plan, give equal values on every target, by
/// direct kernels and, nearly, by Winograd's. `count` counts in the whole network's chain what is compared.
fn alike(bundle: &str, ways: &[Way<'_>; 3], count: fn(&Chain) -> usize) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let input = dir.path().join("input.f32");
    let values = (0..ways[0].1.graph.input.len()).map(|i| ((i * 29) % 97) as f32 / 97.0);
    compare::write_f32(&input, &values.collect::<Vec<f32>>())?;
    let families = [
        ("direct", Family::Direct),
        ("winograd2", Family::Winograd(2)),
        ("winograd4", Family::Winograd(4)),
        ("winograd6", Family::Winograd(6)),
    ];
    for target in targets()? {
        let mut entries = Vec::new();
        for (family, kernels) in families {
            for (way, model, rows, ..) in &ways[1..] {
                let options = PlanOptions {
                    offload: Some(0),
                    kernels,
                    rows: *rows,
                    dump: true,
                    ..PlanOptions::default()
                };
                entries.push(Entry::new(format!("{family}-{way}"), model, options));
            }
        }
        let bundle = bundle::build(bundle, target, &entries)?;
        for (family, _) in families {
            let mut made = Vec::new();
            for (way, _, _, threads, wanted) in ways {
                let program = format!("{family}-{way}");
                let plan = bundle.plan(&program)?;
                let seen = count(&plan.target.values().next().context("a target")?.tail);
                ensure!(seen == *wanted, "{program}: {seen}, not {wanted}");
                let dump = tempfile::tempdir()?;
                bundle.node(&program)?.solo(
                    std::slice::from_ref(&input),
                    *threads,
                    Some(dump.path()),
                    WITHIN,
                )?;
                made.push(dump);
            }
            let what = || format!("{family} on {}", target.name());
            same(made[0].path(), made[1].path()).with_context(what)?;
            near(made[0].path(), made[2].path(), family == "direct").with_context(what)?;
        }
    }
    Ok(())
}

#[test]
fn parts_of_a_route_are_what_copies_are() -> Result<()> {
    let in_place = model::random("beside", &side_by_side(""), Darknet::Alexey, 3)?;
    let copied = model::random("beside", &side_by_side(COPIED), Darknet::Alexey, 3)?;
    let parts = |chain: &Chain| {
        let there = |s: &Step| s.inputs.len() - s.copied().count();
        let slices = |s: &Step| s.inputs.iter().filter(|v| v.channel > 0).count();
        chain.steps.iter().map(|s| there(s) + slices(s)).sum()
    };
    let ways = [
        ("parts", &in_place, Rows::Rolling, 1, 4),
        ("parts", &in_place, Rows::Rolling, 3, 4),
        ("copies", &copied, Rows::Rolling, 1, 0),
    ];
    alike("parts", &ways, parts)
}

/// Convolutions of every kind with pools behind: full and partial blocks of channels, depthwise, strided.
const POOLED: &str = "[net]
width=88
height=72
channels=3
[convolutional]
filters=16
size=3
pad=1
activation=relu6
[maxpool]
size=2
stride=2
[convolutional]
filters=37
size=3
pad=1
activation=leaky
[maxpool]
size=2
stride=2
[convolutional]
filters=37
groups=37
size=3
pad=1
activation=ramp
[maxpool]
size=2
stride=2
[convolutional]
filters=24
size=1
activation=linear
[maxpool]
size=2
stride=2
";

#[test]
fn pools_in_kernels_are_what_pools_are() -> Result<()> {
    // The pool that nobody follows is the network's output all the same; nine rows have no pairs.
    let model = model::random("pooled", POOLED, Darknet::Alexey, 5)?;
    let pools = |chain: &Chain| {
        let kernels = chain.steps.iter().filter_map(|s| s.conv.as_ref());
        kernels.filter(|k| k.pool).count()
    };
    let ways = [
        ("kernels", &model, Rows::Rolling, 1, 3),
        ("kernels", &model, Rows::Rolling, 3, 3),
        ("pools", &model, Rows::Whole, 1, 0),
    ];
    alike("pools", &ways, pools)
}
