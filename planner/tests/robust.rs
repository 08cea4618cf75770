//! Nothing that comes from a file makes the planner panic: mutated cfgs, weights and plans.

use std::path::Path;

use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use tessera_plan::{
    graph::{Darknet, Graph},
    plan::{Plan, Split},
};
use tessera_plan_text::PlanText;
use tessera_planner::{cfg, inspect, make, options::PlanOptions, report, weights};

fn runner(cases: u32) -> TestRunner {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

fn shipped(name: &str) -> String {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    std::fs::read_to_string(models.join(name)).unwrap()
}

/// Every kind of section, so that mutations reach all of them.
const ZOO: &str = "[net]\nwidth=24\nheight=20\nchannels=3\n\
    [convolutional]\nfilters=8\nsize=3\npad=1\nstride=1\nbatch_normalize=1\nactivation=leaky\n\
    [maxpool]\nsize=2\nstride=2\npadding=1\n\
    [convolutional]\nfilters=8\nsize=3\npad=1\ngroups=2\ndilation=2\nactivation=mish\n\
    [shortcut]\nfrom=-2\nactivation=linear\n\
    [route]\nlayers=-1,1\ngroups=2\ngroup_id=1\n\
    [upsample]\nstride=2\nscale=1\n\
    [reorg3d]\nstride=2\nreverse=0\n\
    [local_avgpool]\nsize=2\nstride=1\n\
    [batchnorm]\n[activation]\nactivation=relu6\n[normalization]\nsize=3\n\
    [sam]\nfrom=-1\n\
    [convolutional]\nfilters=1\n[scale_channels]\nfrom=-2\nscale_wh=1\n\
    [convolutional]\nfilters=14\n\
    [yolo]\nmask=0,1\nnum=3\nanchors=1,2,3,4,5,6\nclasses=2\nscale_x_y=1.1\n\
    [route]\nlayers=-3\n[reorg]\nstride=2\n[crop]\ncrop_width=2\ncrop_height=2\n\
    [local]\nfilters=2\nsize=1\nstride=1\n\
    [dropout]\n[connected]\noutput=72\n[detection]\nclasses=3\ncoords=4\nnum=1\nside=3\n\
    [cost]\n";

/// Changes to a text: at a place, of a kind.
fn edits() -> impl Strategy<Value = Vec<(u16, u8, u8)>> {
    prop::collection::vec(any::<(u16, u8, u8)>(), 1..6)
}

const NUMBERS: [&str; 15] = [
    "0",
    "1",
    "2",
    "-1",
    "3",
    "7",
    "64",
    "1000",
    "65536",
    "2147483648",
    "-2147483648",
    "99999999999",
    "1e9",
    "9223372036854775807",
    "x",
];

fn mutate(text: &str, edits: &[(u16, u8, u8)]) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = text.lines().map(|l| l.as_bytes().to_vec()).collect();
    for &(place, kind, value) in edits {
        let at = usize::from(place) % lines.len();
        let value = usize::from(value);
        match kind % 6 {
            0..=2 => {
                if let Some(eq) = lines[at].iter().position(|b| *b == b'=') {
                    lines[at].truncate(eq + 1);
                    lines[at].extend(NUMBERS[value % NUMBERS.len()].bytes());
                }
            }
            3 => {
                lines.remove(at);
                if lines.is_empty() {
                    lines.push(Vec::new());
                }
            }
            4 => {
                let copy = lines[value % lines.len()].clone();
                lines.insert(at, copy);
            }
            _ => {
                let len = lines[at].len();
                if len > 0 {
                    lines[at][value % len] = (place >> 8) as u8;
                }
            }
        }
    }
    lines.join(&b'\n')
}

/// Small enough to be planned many times.
fn is_small(g: &Graph) -> bool {
    let values: usize = g.nodes.iter().map(|n| n.shape.len()).sum();
    values + g.input.len() < 1 << 20 && g.layers.iter().map(|l| l.weights).sum::<usize>() < 1 << 20
}

#[test]
fn mutated_cfgs() {
    let texts = [
        ZOO.to_string(),
        shipped("demo/demo.cfg"),
        shipped("yolov4-tiny.cfg"),
    ];
    let strategy = (0usize..4, edits(), any::<(u8, u8, u8, bool, bool)>());
    let planned = std::cell::Cell::new(0);
    runner(1500)
        .run(
            &strategy,
            |(which, edits, (rows, cols, offload, equal, original))| {
                // The zoo twice as often: it is small and has everything.
                let text = mutate(&texts[which.saturating_sub(1)], &edits);
                let darknet = if original {
                    Darknet::Pjreddie
                } else {
                    Darknet::Alexey
                };
                let (graph, diagnostics) = cfg::read(&text, "net", darknet);
                for d in &diagnostics {
                    let shown = d.to_string();
                    assert!(shown.contains(&d.message) && shown.len() < 4000, "{shown}");
                }
                let Some(graph) = graph else {
                    assert!(!diagnostics.is_empty());
                    return Ok(());
                };
                inspect::render(&inspect::table(&graph));
                if !is_small(&graph) {
                    return Ok(());
                }
                let options = PlanOptions {
                    grids: vec![[usize::from(rows % 6), usize::from(cols % 6)]],
                    offload: Some(usize::from(offload) % (graph.layers.len() + 2)),
                    split: if equal { Split::Equal } else { Split::Balanced },
                    ..PlanOptions::default()
                };
                let file = weights::random_file(&graph, 1);
                let (model, _) = weights::from_bytes("random", &file, graph.clone()).unwrap();
                match make::plan(&model, &options) {
                    Ok(plan) => {
                        report::render(&plan, &graph);
                        planned.set(planned.get() + 1);
                    }
                    Err(make::PlanError::Broken(e)) => panic!("{e}"),
                    Err(e) => assert!(!e.to_string().is_empty()),
                }
                Ok(())
            },
        )
        .unwrap();
    assert!(planned.get() > 80, "{}", planned.get());
}

#[test]
fn mutated_weights() {
    let (graph, diagnostics) = cfg::read(ZOO.as_bytes(), "zoo", Darknet::Alexey);
    let graph = graph.unwrap_or_else(|| panic!("{diagnostics:?}"));
    let good = weights::random_file(&graph, 3);
    let strategy = (
        prop::collection::vec(any::<(u32, u8)>(), 0..8),
        prop::option::of(any::<u16>()),
    );
    runner(300)
        .run(&strategy, |(changes, cut)| {
            let mut bytes = good.clone();
            for (at, v) in changes {
                let at = at as usize % bytes.len().min(if v % 2 == 0 { 64 } else { usize::MAX });
                bytes[at] = v;
            }
            if let Some(cut) = cut {
                bytes.truncate(usize::from(cut) % bytes.len());
            }
            match weights::from_bytes("w", &bytes, graph.clone()) {
                Ok((model, _)) => {
                    let all = model.weights.unwrap();
                    let finite = |v: &[f32]| v.iter().all(|x| x.is_finite());
                    assert!(
                        all.iter()
                            .flatten()
                            .all(|w| finite(&w.weights) && finite(&w.bias))
                    );
                }
                Err(e) => assert!(!e.to_string().is_empty()),
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn mutated_plans() {
    let graph = cfg::read(ZOO.as_bytes(), "zoo", Darknet::Alexey).0.unwrap();
    let options = PlanOptions {
        grids: vec![[2, 2]],
        cuts: vec![2, 5],
        ..PlanOptions::default()
    };
    let text = make::plan(&weights::without(graph), &options)
        .unwrap()
        .to_toml();
    assert!(Plan::from_toml(&text).is_ok());
    runner(800)
        .run(&edits(), |edits| {
            let bytes = mutate(&text, &edits);
            if let Ok(text) = String::from_utf8(bytes)
                && let Err(e) = Plan::from_toml(&text)
            {
                assert!(!e.to_string().is_empty());
            }
            Ok(())
        })
        .unwrap();
}
