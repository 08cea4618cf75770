//! However a network is cut, every bit of its outputs is the same: random small DAGs through
//! emitted, compiled code, each in four plans of different grids, cuts, splits, borders and row blocks, in one
//! process and on clusters of several edges and workers.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;
use tessera_plan::{
    graph::{Darknet, Graph},
    plan::{Border, Placement, Split},
};
use tessera_planner::{
    make,
    model::Model,
    options::{PlanOptions, Rows, Target},
    weights,
};
use tessera_tests::{
    bundle::{self, Bundle, Entry},
    compare, cuts, model,
    random::{self, RandomSource},
    random_net,
    reference::{self, Fork},
    rig::{Cluster, Edge, NodeBinary, Setup},
};

/// Float32 against double precision, for one plan of each net.
const TOLERANCE: f64 = 5e-5;
const WITHIN: Duration = Duration::from_secs(60);
/// Plans of each net, the untiled one among them.
const PLANS: usize = 4;

struct Net {
    seed: u64,
    text: String,
    weights: Vec<u8>,
    model: Model,
}

fn net(seed: u64) -> Result<Net> {
    let text = random_net::cfg(seed);
    let name = format!("net{seed}");
    let graph = model::graph(&name, &text, Darknet::Alexey)?;
    let weights = weights::random_file(&graph, seed);
    Ok(Net {
        seed,
        model: weights::from_bytes(&name, &weights, graph)?.0,
        text,
        weights,
    })
}

/// Untiled and layer by layer; one stage; two stages of different grids; as many as three, cut in
/// equal parts and computed in small row blocks. All but the first roll their rows.
fn entries(net: &Net) -> Result<Vec<Entry<'_>>> {
    let graph = &net.model.graph;
    let mut random = RandomSource::new(net.seed + 1000);
    let deep = cuts::deepest(graph);
    let whole = PlanOptions {
        grids: vec![[1, 1]],
        cuts: vec![deep],
        dump: true,
        rows: Rows::Whole,
        // Winograd's bits depend on where its tiles begin.
        exact: true,
        ..PlanOptions::default()
    };
    let mut list = vec![Entry::new(program(net.seed, 0), &net.model, whole.clone())];
    for (plan, (stages, split)) in [
        (1, Split::Balanced),
        (2, Split::Balanced),
        (3, Split::Equal),
    ]
    .into_iter()
    .enumerate()
    {
        let cuts = some_cuts(&mut random, graph, deep, stages);
        let mut options = PlanOptions {
            split,
            grids: cuts.iter().map(|_| grid(&mut random)).collect(),
            // Of the plans of two stages, the halos of the last one are exchanged.
            borders: match plan {
                1 if cuts.len() == 2 => vec![Border::Recompute, Border::Exchange],
                1 => vec![Border::Exchange],
                _ => Vec::new(),
            },
            rows: match split {
                Split::Balanced | Split::Speed | Split::Channels => Rows::Rolling,
                Split::Equal => Rows::Blocks(random.index(1, 3)),
            },
            cuts,
            ..whole.clone()
        };
        fit(&net.model, &mut options)
            .with_context(|| format!("net {}: {options:?}\n{}", net.seed, net.text))?;
        list.push(Entry::new(program(net.seed, plan + 1), &net.model, options));
    }
    list.extend(reusing(net, &whole));
    Ok(list)
}

/// A plan whose tiles hand borders to each other, if the net can be cut so: by homes, or by stealing.
fn reusing<'a>(net: &'a Net, whole: &PlanOptions) -> Option<Entry<'a>> {
    let graph = &net.model.graph;
    let mut random = RandomSource::new(net.seed + 3000);
    let deep = cuts::deepest(graph);
    for attempt in 0..12 {
        let cuts = some_cuts(&mut random, graph, deep, 1 + attempt % 3);
        let options = PlanOptions {
            grids: cuts.iter().map(|_| grid(&mut random)).collect(),
            borders: vec![Border::Reuse],
            rows: random.pick(&[Rows::Rolling, Rows::Whole, Rows::Blocks(2), Rows::Blocks(3)]),
            placement: random.pick(&[Placement::Home, Placement::Steal]),
            cuts,
            ..whole.clone()
        };
        let plan = make::plan(&net.model, &options).ok();
        let strips = plan.is_some_and(|p| p.dataflow.tensors.iter().any(|t| t.strip.is_some()));
        if strips {
            return Some(Entry::new(program(net.seed, PLANS), &net.model, options));
        }
    }
    None
}

fn program(seed: u64, plan: usize) -> String {
    format!("net{seed}-{plan}")
}

fn grid(random: &mut RandomSource) -> [usize; 2] {
    random.pick(&[[2, 2], [1, 2], [2, 1], [3, 1], [1, 3], [2, 3], [3, 2]])
}

/// Up to `stages` stage ends that end at `deep`.
fn some_cuts(random: &mut RandomSource, graph: &Graph, deep: usize, stages: usize) -> Vec<usize> {
    let mut cuts = vec![deep];
    for _ in 1..stages {
        cuts.push(random.index(1, deep));
        cuts.sort_unstable();
        cuts.dedup();
        let first = |i: usize| if i == 0 { 0 } else { cuts[i - 1] };
        let idle = (0..cuts.len()).find(|i| !cuts::computes(graph, first(*i), cuts[*i]));
        if let Some(i) = idle.filter(|i| cuts[*i] != deep) {
            cuts.remove(i);
        }
    }
    if cuts.len() > 1 && !cuts::computes(graph, cuts[cuts.len() - 2], deep) {
        cuts.remove(cuts.len() - 2);
    }
    cuts
}

/// Takes coarser grids until they fit.
fn fit(model: &Model, options: &mut PlanOptions) -> Result<()> {
    for _ in 0..16 {
        match make::plan(model, options) {
            Ok(_) => return Ok(()),
            Err(e) => {
                let finest = options.grids.iter_mut().flatten().max();
                let finest = finest.filter(|n| **n > 1);
                *finest.with_context(|| e.to_string())? -= 1;
            }
        }
    }
    anyhow::bail!("no grid fits")
}

/// All files of a dump.
fn dumped(dir: &Path) -> Result<Dump> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().context("a name")?.to_string_lossy();
        files.push((name.into_owned(), fs::read(&path)?));
    }
    files.sort();
    Ok(files)
}

/// Nets and the bundle of all their plans.
struct Set {
    nets: Vec<Net>,
    bundle: Bundle,
}

fn set(target: Target, seeds: std::ops::Range<u64>) -> Result<Set> {
    let nets: Vec<Net> = seeds.map(net).collect::<Result<_>>()?;
    let lists: Vec<Vec<Entry<'_>>> = nets.iter().map(entries).collect::<Result<_>>()?;
    // Drivers are at stake here, and there are many; kernels are optimised in other tests.
    let bundle = bundle::build_at(0, "random", target, &lists.concat())?;
    Ok(Set { nets, bundle })
}

/// The nets on the best target here.
fn best() -> Result<&'static Set> {
    static SET: OnceLock<Result<Set, String>> = OnceLock::new();
    let make = || set(bundle::host_targets()[0], 0..24).map_err(|e| format!("{e:#}"));
    SET.get_or_init(make).as_ref().map_err(|e| anyhow!("{e}"))
}

/// A dump: file names and their bytes.
type Dump = Vec<(String, Vec<u8>)>;

impl Set {
    fn solo(&self, net: &Net, plan: usize, input: &Path) -> Result<Dump> {
        self.solo_with(net, plan, input, &[])
    }

    /// The node of a net's plan whose borders are reused, if there is one.
    fn reusing(&self, net: &Net) -> Option<NodeBinary> {
        self.bundle.node(&program(net.seed, PLANS)).ok()
    }

    fn solo_with(&self, net: &Net, plan: usize, input: &Path, more: &[&str]) -> Result<Dump> {
        let dump = tempfile::tempdir()?;
        let node = self.bundle.node(&program(net.seed, plan))?;
        let threads = 1 + plan % 3;
        let mut flags: Vec<OsString> = vec!["--input-f32".into(), input.into(), "--guard".into()];
        flags.extend(["--threads".into(), threads.to_string().into()]);
        flags.extend(["--dump".into(), dump.path().into()]);
        flags.extend(more.iter().map(|f| OsString::from(*f)));
        let (_, said) = node.solo_says(&flags, WITHIN)?;
        arenas_are_full(&said)?;
        dumped(dump.path())
    }

    /// Runs `check` on every net; gives the sum of what was compared.
    fn each(&self, check: impl Fn(&Self, &Net) -> Result<usize>) -> Result<()> {
        let mut bad = Vec::new();
        let mut values = 0;
        for net in &self.nets {
            match check(self, net) {
                Ok(n) => values += n,
                Err(e) => bad.push(format!("seed {}: {e:#}\n{}", net.seed, net.text)),
            }
        }
        let nets = self.nets.len();
        ensure!(
            bad.is_empty(),
            "{} of {nets} nets:\n{}",
            bad.len(),
            bad.join("\n")
        );
        println!("{nets} nets, {values} values compared");
        Ok(())
    }
}

/// Every task writes its arena up to the last value, and none behind.
fn arenas_are_full(said: &[String]) -> Result<()> {
    let lines = said
        .iter()
        .filter_map(|l| serde_json::from_str::<Value>(l).ok());
    let mut tasks = 0;
    for line in lines.filter(|l| l["event"] == "arena") {
        tasks += 1;
        ensure!(
            line["floats"] == line["high_water"],
            "working memory: {line}"
        );
    }
    ensure!(tasks > 0, "no word about working memory");
    Ok(())
}

/// The input of a net, as a file.
fn input(net: &Net, dir: &Path) -> Result<(Vec<f32>, PathBuf)> {
    let mut random = RandomSource::new(net.seed + 2000);
    let values: Vec<f32> = (0..net.model.graph.input.len())
        .map(|_| random::unit(&mut random))
        .collect();
    let path = dir.join("input.f32");
    compare::write_f32(&path, &values)?;
    Ok((values, path))
}

/// Everything in `want` is in `have`, bit for bit; gives the number of values.
fn same(want: &Dump, have: &Dump) -> Result<usize> {
    let mut values = 0;
    for (name, bytes) in want {
        let found = have.iter().find(|(n, _)| n == name);
        let (_, found) = found.with_context(|| format!("no {name}"))?;
        ensure!(found == bytes, "{name} differs");
        values += bytes.len() / 4;
    }
    Ok(values)
}

/// The untiled plan against the reference, the others against the untiled plan.
fn plans_agree(set: &Set, net: &Net) -> Result<usize> {
    let dir = tempfile::tempdir()?;
    let (values, input) = input(net, dir.path())?;
    let want = set.solo(net, 0, &input)?;
    let outputs = net.model.graph.outputs.len();
    ensure!(want.len() >= outputs, "{} of {outputs} outputs", want.len());
    let layers = reference::run(&net.text, &net.weights, &values, Fork::Alexey)?;
    for (name, bytes) in &want {
        let number = name
            .strip_prefix("layer_")
            .and_then(|n| n.strip_suffix(".f32"));
        let k: usize = number.context("a layer")?.parse()?;
        let (have, _) = bytes.as_chunks::<4>();
        let have: Vec<f32> = have.iter().map(|v| f32::from_le_bytes(*v)).collect();
        let d = compare::distance(&have, &layers[k].map.to_f32());
        ensure!(
            d <= TOLERANCE,
            "layer {k} is {d:.2e} away from the reference"
        );
    }
    let mut compared = 0;
    for plan in 1..PLANS {
        let have = set.solo(net, plan, &input)?;
        compared += same(&want, &have).with_context(|| format!("plan {plan}"))?;
    }
    if set.reusing(net).is_some() {
        // All strips in time, all late, some of either.
        let some = format!("0,{},{}", 2 + net.seed % 2, 5 + net.seed % 4);
        for late in ["", "all", &some] {
            let flags = ["--late-strips", late];
            let flags = if late.is_empty() { &[][..] } else { &flags };
            let have = set.solo_with(net, PLANS, &input, flags)?;
            compared += same(&want, &have).with_context(|| format!("late strips: {late:?}"))?;
        }
    }
    Ok(compared)
}

/// One of the tiled plans on a cluster.
fn cluster_agrees(set: &Set, net: &Net) -> Result<usize> {
    let plan = 1 + usize::try_from(net.seed)? / 6 % (PLANS - 1);
    on_cluster(set, net, plan)
}

/// The plan whose borders are reused, on a cluster.
fn reusing_cluster_agrees(set: &Set, net: &Net) -> Result<usize> {
    set.reusing(net)
        .map_or(Ok(0), |_| on_cluster(set, net, PLANS))
}

/// A plan on one to three edges of one or two workers, one or two of them sources.
fn on_cluster(set: &Set, net: &Net, plan: usize) -> Result<usize> {
    let dir = tempfile::tempdir()?;
    let (_, input) = input(net, dir.path())?;
    let want = set.solo(net, 0, &input)?;
    let seed = usize::try_from(net.seed)?;
    let (edges, workers) = (1 + seed % 3, 1 + seed / 3 % 2);
    let sources = if edges > 1 { 1 + seed % 2 } else { 1 };
    let setup = Setup {
        edges: (0..edges)
            .map(|e| {
                if e < sources {
                    Edge::source(workers, [input.clone()])
                } else {
                    Edge::thief(workers)
                }
            })
            .collect(),
        threads: 1 + seed % 2,
        ..Setup::default()
    };
    let node = set.bundle.node(&program(net.seed, plan))?;
    let cluster = Cluster::start(&node, setup)?;
    let agreed = cluster
        .wait_records(sources, WITHIN)
        .and_then(|_| same(&want, &dumped(&cluster.dump())?))
        .with_context(|| format!("plan {plan}, {edges} edges of {workers}, {sources} sources"))?;
    cluster.stop()?;
    Ok(agreed)
}

#[test]
fn every_cut_gives_the_same_bits() -> Result<()> {
    best()?.each(plans_agree)
}

#[test]
fn every_cluster_gives_the_same_bits() -> Result<()> {
    best()?.each(cluster_agrees)
}

/// Enough nets can be cut so that tiles hand borders to each other.
#[test]
fn reused_borders_give_the_same_bits_on_clusters() -> Result<()> {
    let set = best()?;
    let n = set.nets.iter().filter(|n| set.reusing(n).is_some()).count();
    ensure!(2 * n > set.nets.len(), "{n} nets reuse borders");
    set.each(reusing_cluster_agrees)
}

#[test]
fn every_cut_gives_the_same_bits_on_portable_kernels() -> Result<()> {
    set(Target::Portable, 24..30)?.each(plans_agree)
}
