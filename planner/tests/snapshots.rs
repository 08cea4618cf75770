//! What people read, kept as snapshots: plans, reports, tables, diagnostics. A change is looked at
//! (`cargo insta review`) before it is taken.

use std::path::Path;

use tessera_plan::{
    graph::{Darknet, Graph},
    plan::Split,
};
use tessera_plan_text::PlanText;
use tessera_planner::{
    boards::Board,
    cfg, inspect, make,
    model::Model,
    options::{PlanOptions, Target},
    report, weights,
};

const CHAIN: &str = "[net]\nwidth=12\nheight=10\nchannels=3\n\
    [convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\npad=1\nactivation=leaky\n\
    [maxpool]\nsize=2\nstride=2\n\
    [convolutional]\nfilters=6\nsize=3\npad=1\nactivation=linear\n";

const BRANCHES: &str = "[net]\nwidth=16\nheight=12\nchannels=3\n\
    [convolutional]\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=leaky\n\
    [convolutional]\nfilters=8\nsize=3\npad=1\ngroups=8\nactivation=relu6\n\
    [shortcut]\nfrom=-2\nactivation=linear\n\
    [maxpool]\nsize=2\nstride=2\n\
    [convolutional]\nfilters=6\n\
    [yolo]\nclasses=1\n\
    [route]\nlayers=3\n\
    [upsample]\nstride=2\n\
    [route]\nlayers=-1,2\n\
    [convolutional]\nfilters=6\n\
    [yolo]\nclasses=1\n";

fn graph(text: &str, name: &str) -> Graph {
    let (graph, diagnostics) = cfg::read(text.as_bytes(), name, Darknet::Alexey);
    graph.unwrap_or_else(|| panic!("{diagnostics:?}"))
}

fn model(text: &str, name: &str) -> Model {
    weights::without(graph(text, name))
}

fn yolov2() -> Model {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/yolov2.cfg");
    model(&std::fs::read_to_string(file).unwrap(), "yolov2")
}

/// `plan.toml`, made twice.
fn plan(model: &Model, options: &PlanOptions) -> String {
    let text = make::plan(model, options).unwrap().to_toml();
    let again = make::plan(model, options).unwrap().to_toml();
    assert!(text == again, "two runs differ");
    text
}

#[test]
fn plan_of_a_chain() {
    let options = PlanOptions {
        grids: vec![[2, 2]],
        offload: Some(2),
        command: "cargo xtask plan --model chain.cfg --grid 2x2 --offload 2".into(),
        ..PlanOptions::default()
    };
    insta::assert_snapshot!(plan(&model(CHAIN, "chain"), &options));
}

#[test]
fn plan_of_branches() {
    let options = PlanOptions {
        grids: vec![[1, 2]],
        offload: Some(11),
        command: "cargo xtask plan --model branches.cfg --grid 1x2 --offload 11".into(),
        ..PlanOptions::default().on(Target::X86_64V3)
    };
    insta::assert_snapshot!(plan(&model(BRANCHES, "branches"), &options));
}

#[test]
fn plan_of_several_stages() {
    let options = PlanOptions {
        grids: vec![[2, 1], [1, 2]],
        cuts: vec![2, 4],
        command: "cargo xtask plan --model branches.cfg --grid 2x1,1x2 --cuts 2,4".into(),
        ..PlanOptions::of(3, &Board::new(Target::Portable))
    };
    insta::assert_snapshot!(plan(&model(BRANCHES, "branches"), &options));
}

#[test]
fn report_of_the_papers_plan() {
    let options = PlanOptions {
        grids: vec![[5, 5]],
        offload: Some(16),
        split: Split::Equal,
        ..PlanOptions::of(6, &Board::new(Target::X86_64V3))
    };
    let m = yolov2();
    let plan = make::plan(&m, &options).unwrap();
    insta::assert_snapshot!(report::render(&plan, &m.graph));
}

#[test]
fn report_of_a_searched_plan() {
    let board = Board {
        memory_bytes: Some(64 << 20),
        ..Board::new(Target::Armv7)
    };
    let options = PlanOptions::of(6, &board);
    let m = yolov2();
    let plan = make::plan(&m, &options).unwrap();
    insta::assert_snapshot!(report::render(&plan, &m.graph));
}

#[test]
fn report_without_stages() {
    let options = PlanOptions {
        offload: Some(0),
        ..PlanOptions::default()
    };
    let m = model(CHAIN, "chain");
    let plan = make::plan(&m, &options).unwrap();
    insta::assert_snapshot!(report::render(&plan, &m.graph));
}

#[test]
fn inspect_of_branches() {
    let table = inspect::table(&graph(BRANCHES, "branches"));
    insta::assert_snapshot!(inspect::render(&table));
}

#[test]
fn diagnostics_of_many_mistakes() {
    let text = "[net]\nwidth=416\nheight=416\nchannels=3\nbatch=64\n\n\
        [convolutional]\nbatch_normalize=1\nfilters=sixteen\nsize=3\nfilters=16\npad=1\nactivation=leeky\n\n\
        [maxpool] # halves\nsize=2\nstride=0\n\n\
        [convolutional]\nfilters=32\nsize=3\nstride=2\npad=1\nactivation=leaky\ndilations=2\n\n\
        [upsampel]\nstride=2\n\n\
        [route]\nlayers=-1,9\n\n\
        [gru]\noutput=10\n\n\
        [shortcut]\nactivation\n\n\
        [convolutional]\nfilters=255\nsize=\n\n\
        [yolo]\nmask=0,1,3\nanchors=10,13, 16,30, 33,23\nclasses=80\nnum=3\n";
    let (graph, diagnostics) = cfg::read(text.as_bytes(), "net", Darknet::Alexey);
    assert!(graph.is_none());
    let shown: String = diagnostics.iter().map(|d| d.to_string() + "\n").collect();
    insta::assert_snapshot!(shown);
}

#[test]
fn diagnostics_of_maps_that_do_not_fit() {
    let text = "[net]\nwidth=33\nheight=32\nchannels=3\n\
        [convolutional]\nfilters=4\nsize=3\npad=1\n\
        [maxpool]\nsize=2\nstride=2\n\
        [upsample]\n\
        [route]\nlayers=-1,0\n\
        [convolutional]\nfilters=18\n\
        [yolo]\nclasses=2\nnum=2\nanchors=1,2,3,4\n";
    let (_, diagnostics) = cfg::read(text.as_bytes(), "net", Darknet::Alexey);
    let shown: String = diagnostics.iter().map(|d| d.to_string() + "\n").collect();
    insta::assert_snapshot!(shown);
}
