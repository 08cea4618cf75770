//! Objects of bytes: what the demo's network finds with them, and that placement changes no bit.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use tessera_plan::{
    graph::Darknet,
    plan::{Border, ElementType},
};
use tessera_planner::{
    kernel::Family,
    model::Model,
    options::{PlanOptions, Target},
    ranges::Ranges,
    wire::Wire,
};
use tessera_tests::{
    bundle::{self, Bundle, Entry},
    model,
    precision::{self, Sheets},
    ranges,
    rig::{Cluster, Edge, NodeBinary, Setup},
    shipped::{Detected, detect, evaluated, expected, folder},
};

const WITHIN: Duration = Duration::from_secs(120);
/// Pictures of the evaluation that ranges are taken on; the shipped picture is not among them.
const CALIBRATED: usize = 24;

/// Programs of bytes: one and two stages, a stage for every halo; and two plans of the same stages in different grids.
const PROGRAMS: [&str; 3] = ["one", "two", "exchanged"];

struct Set {
    bundle: Bundle,
    /// The demo's evaluation pictures.
    pictures: Vec<PathBuf>,
    _dir: tempfile::TempDir,
}

fn set() -> Result<&'static Set> {
    static SET: OnceLock<Result<Set, String>> = OnceLock::new();
    let set = SET.get_or_init(|| make().map_err(|e| format!("{e:#}")));
    set.as_ref().map_err(|e| anyhow!("{e}"))
}

fn make() -> Result<Set> {
    let (cfg, weights) = (folder().join("demo.cfg"), folder().join("demo.weights"));
    let model: Model = model::load(&cfg, &weights, Darknet::Alexey)?;
    let dir = tempfile::tempdir()?;
    let pictures = Sheets::read(&folder().join("eval.json"))?.cut(&folder(), dir.path())?;
    let seen = pictures.iter().take(CALIBRATED).map(PathBuf::as_path);
    let (text, bytes) = (fs::read_to_string(cfg)?, fs::read(weights)?);
    let ranges = ranges::on_pictures(&model.graph, (&text, &bytes), seen)?;
    let entries: Vec<Entry<'_>> = plans(ranges)
        .into_iter()
        .map(|(name, options)| Entry::new(name, &model, options))
        .collect();
    // Kernels for AVX-512 make 32 channels at a time: the layers that are cut by channels have no more.
    let mut targets = bundle::host_targets().into_iter();
    let target = targets.find(|t| *t != Target::X86_64V4);
    let target = target.context("the portable target")?;
    let bundle = bundle::build("demo-bytes", target, &entries)?;
    for name in bundle.names() {
        let d = &bundle.plan(name)?.dataflow;
        let bytes = d.tensors.iter().filter(|t| t.scales.is_some()).count();
        ensure!(bytes == d.stages.len(), "{name}: {bytes} tensors of bytes");
    }
    Ok(Set {
        bundle,
        pictures,
        _dir: dir,
    })
}

fn plans(ranges: Ranges) -> Vec<(&'static str, PlanOptions)> {
    let of = |cuts: &[usize], grids: &[[usize; 2]]| PlanOptions {
        cuts: cuts.to_vec(),
        grids: grids.to_vec(),
        wire: Wire {
            objects: vec![ElementType::U8],
            ..Wire::default()
        },
        ranges: Some(Arc::new(ranges.clone())),
        ..PlanOptions::default()
    };
    // Winograd's bits depend on where tiles begin.
    let direct = |grids: &[[usize; 2]]| PlanOptions {
        kernels: Family::Direct,
        dump: true,
        ..of(&[4, 6, 8], grids)
    };
    let exchanged = PlanOptions {
        borders: vec![Border::Exchange],
        ..of(&[8], &[[3, 3]])
    };
    let channels = PlanOptions {
        channels: vec![false, true, false],
        ..direct(&[[2, 3], [1, 2], [3, 2]])
    };
    vec![
        ("one", of(&[8], &[[3, 3]])),
        ("two", of(&[4, 8], &[[2, 2], [3, 3]])),
        ("exchanged", exchanged),
        ("whole", direct(&[[1, 1]])),
        ("tiles", direct(&[[3, 3], [2, 2], [1, 3]])),
        ("channels", channels),
    ]
}

/// What the layers made, by file name.
type Dump = Vec<(OsString, Vec<u8>)>;

/// A dump, and the detections.
type Seen = (Dump, String);

/// Reads a dump.
fn dumped(dir: &Path) -> Result<Dump> {
    let mut list = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().context("a name")?.to_owned();
        if path.extension().is_some_and(|e| e == "f32") {
            list.push((name, fs::read(&path)?));
        }
    }
    list.sort();
    Ok(list)
}

/// What a source and two other edges make of a picture: the dump, and the detections.
fn on_cluster(node: &NodeBinary, picture: &Path) -> Result<Seen> {
    let thieves = (0..2).map(|_| Edge::thief(1));
    let source = Edge {
        images: vec![picture.to_path_buf()],
        ..Edge::thief(1)
    };
    let setup = Setup {
        edges: std::iter::once(source).chain(thieves).collect(),
        ..Setup::default()
    };
    let cluster = Cluster::start(node, setup)?;
    let records = cluster.wait_records(1, WITHIN)?;
    let found = records.first().context("a record")?["detections"].to_string();
    let have = dumped(&cluster.dump())?;
    cluster.stop()?;
    Ok((have, found))
}

/// The same stages in one tile, in other grids and cut by channels, in one process and on a cluster: every map has the
/// same bits, since each value is rounded once, whoever makes it.
#[test]
fn placement_changes_no_bit() -> Result<()> {
    let set = set()?;
    let picture = folder().join("demo.png");
    let run = |name: &str| -> Result<Seen> {
        let dump = tempfile::tempdir()?;
        let mut flags: Vec<OsString> = vec!["--image".into(), picture.clone().into()];
        flags.extend(["--guard".into(), "--dump".into(), dump.path().into()]);
        let records = set.bundle.node(name)?.solo_with(&flags, WITHIN)?;
        let found = records.first().context("a record")?["detections"].to_string();
        Ok((dumped(dump.path())?, found))
    };
    let want = run("whole")?;
    ensure!(want.0.len() >= 5, "{} maps", want.0.len());
    for name in ["tiles", "channels"] {
        ensure!(run(name)? == want, "{name}: bits differ");
        let have = on_cluster(&set.bundle.node(name)?, &picture)?;
        ensure!(have.1 == want.1, "{name}: a cluster finds {}", have.1);
        let agree = want.0.iter().all(|layer| have.0.contains(layer));
        ensure!(agree, "{name}: the cluster's bits differ");
    }
    Ok(())
}

/// The same six things as in float32, and how far off scores and boxes are, at most.
#[test]
fn the_shipped_picture() -> Result<()> {
    for name in PROGRAMS {
        let found = detect(
            &set()?.bundle.node(name)?,
            &[folder().join("demo.png")],
            "0.25",
        )?
        .remove(0);
        let want = expected()?.detections;
        ensure!(want.len() == 6 && found.len() == 6, "{name}: {found:?}");
        let (mut score, mut place) = (0f32, 0f32);
        for w in want {
            let off = |f: &Detected| {
                let sides = f.bbox.into_iter().zip(w.bbox());
                sides.map(|(a, b)| (a - b).abs()).fold(0f32, f32::max)
            };
            let same = found.iter().filter(|f| f.class == w.class);
            let nearest = same.min_by(|a, b| off(a).total_cmp(&off(b)));
            let f = nearest.with_context(|| format!("{name}: class {} is missing", w.class))?;
            score = score.max((f.score - w.score).abs());
            place = place.max(off(f));
        }
        println!("{name}: scores within {score:.4}, boxes within {place:.4}");
        ensure!(score < 0.01 && place < 0.01, "{name}: {score} {place}");
    }
    Ok(())
}

/// Average precision on 200 pictures, of which the ranges know [`CALIBRATED`].
#[test]
fn average_precision() -> Result<()> {
    let sheets = Sheets::read(&folder().join("eval.json"))?;
    let things = sheets.things();
    let stated = expected()?.average_precision;
    for name in PROGRAMS {
        let set = set()?;
        let found = evaluated(&set.bundle.node(name)?, &set.pictures)?;
        let mut worst = 0f64;
        for (class, thing) in sheets.names.iter().enumerate() {
            let ap = precision::average(&found, &things, class, 0.5)?;
            let want = stated.get(thing).context("a stated precision")?;
            worst = worst.max((ap - want).abs());
        }
        println!("{name}: average precision of every class within {worst:.4} of float32's");
        ensure!(worst < 5e-3, "{name}: {worst}");
    }
    Ok(())
}
