//! What is emitted, kept as snapshots: a change is looked at (`cargo insta review`) before it is
//! taken. Every kind of module once, from a tiny network with the odd sizes of a real one.

use std::collections::BTreeSet;

use tessera_codegen::{EmitOptions, Files, SETTINGS, emit, emit_bundle, emit_kernels};
use tessera_plan::{
    graph::{Activation, Darknet},
    plan::{Algorithm, ConvKernel, Isa, Plan},
};
use tessera_planner::{
    cfg, make,
    model::Model,
    options::{PlanOptions, Rows, Target},
    weights,
    wire::Wire,
};

const CFG: &str = "[net]\nwidth=20\nheight=20\nchannels=3\n\
    [convolutional]\nbatch_normalize=1\nfilters=16\nsize=3\npad=1\nactivation=leaky\n\
    [maxpool]\nsize=2\nstride=2\n\
    [convolutional]\nfilters=24\nsize=1\nactivation=mish\n\
    [convolutional]\nfilters=24\ngroups=24\nsize=3\npad=1\nactivation=relu\n\
    [shortcut]\nfrom=-2\n\
    [convolutional]\nfilters=21\nsize=3\nstride=2\npad=1\nactivation=swish\n\
    [convolutional]\nfilters=21\nsize=1\nactivation=linear\n\
    [yolo]\nclasses=2\nmask=0,1,2\nanchors=1,2,3,4,5,6\nnum=3\n\
    [route]\nlayers=-3\n\
    [upsample]\nstride=2\n\
    [route]\nlayers=-1,4\n\
    [convolutional]\nfilters=21\nsize=1\nactivation=linear\n\
    [yolo]\nclasses=2\nmask=0,1,2\nanchors=1,2,3,4,5,6\nnum=3\n";

const FLAT: &str = "[net]\nwidth=6\nheight=4\nchannels=8\n\
    [avgpool]\n\
    [connected]\noutput=5\nactivation=logistic\n\
    [softmax]\n";

fn model(name: &str, cfg: &str) -> Model {
    let (graph, diagnostics) = cfg::read(cfg.as_bytes(), name, Darknet::Alexey);
    weights::without(graph.unwrap_or_else(|| panic!("{diagnostics:?}")))
}

fn plan(model: &Model, target: Target) -> Plan {
    let options = PlanOptions {
        grids: vec![[2, 2]],
        offload: Some(5),
        command: "cargo xtask plan --model tiny.cfg --grid 2x2 --offload 5".into(),
        ..PlanOptions::default().on(target)
    };
    make::plan(model, &options).expect("a plan")
}

fn files(target: Target) -> Files {
    let model = model("tiny", CFG);
    let plan = plan(&model, target);
    let emitted = emit(&plan, target.name(), &runtime()).expect("a crate");
    let again = emit(&plan, target.name(), &runtime()).expect("a crate");
    assert!(emitted == again, "two runs differ");
    emitted
}

fn runtime() -> EmitOptions {
    EmitOptions {
        runtime_path: "../../runtime".into(),
    }
}

fn text<'a>(files: &'a Files, path: &str) -> &'a str {
    let bytes = files
        .get(path)
        .unwrap_or_else(|| panic!("no {path} in {:?}", files.keys()));
    std::str::from_utf8(bytes).expect("text")
}

/// Paths, with lines.
fn list(files: &Files) -> String {
    files
        .iter()
        .map(|(path, bytes)| {
            let lines = bytes.iter().filter(|b| **b == b'\n').count();
            format!("{lines:>5} {path}\n")
        })
        .collect()
}

#[test]
fn files_of_a_crate() {
    insta::assert_snapshot!("files_x86_64_v3", list(&files(Target::X86_64V3)));
    insta::assert_snapshot!("files_portable", list(&files(Target::Portable)));
}

#[test]
fn modules_of_a_crate() {
    let x86 = files(Target::X86_64V3);
    for (name, path) in [
        ("manifest", "Cargo.toml"),
        ("main", "src/main.rs"),
        ("program", "src/program.rs"),
        ("layout", "src/layout.rs"),
        ("stage", "src/s0/mod.rs"),
        ("chain", "src/s0/r0_c0.rs"),
        ("tail", "src/tail.rs"),
        ("kernels", "src/kernels/mod.rs"),
        ("math", "src/math.rs"),
    ] {
        insta::assert_snapshot!(name, text(&x86, path));
    }
    let portable = files(Target::Portable);
    insta::assert_snapshot!("kernels_portable", text(&portable, "src/kernels/mod.rs"));
    let armv7 = files(Target::Armv7);
    insta::assert_snapshot!("kernels_armv7", text(&armv7, "src/kernels/mod.rs"));
    insta::assert_snapshot!("settings_armv7", text(&armv7, SETTINGS));
}

/// A pair of convolutions whose middle channels are cut, and a stage that reads the partial sums.
#[test]
fn modules_of_channels() {
    const PAIR: &str = "[net]\nwidth=6\nheight=4\nchannels=8\n\
        [convolutional]\nbatch_normalize=1\nfilters=48\nsize=3\npad=1\nactivation=leaky\n\
        [convolutional]\nfilters=24\nsize=1\nactivation=leaky\n\
        [convolutional]\nfilters=16\nsize=1\nactivation=linear\n";
    let options = PlanOptions {
        cuts: vec![2, 3],
        grids: vec![[1, 2], [1, 1]],
        channels: vec![true],
        exact: true,
        command: "cargo xtask plan --model pair.cfg --cuts 2,3 --grid 2c,1x1 --exact".into(),
        ..PlanOptions::default().on(Target::X86_64V3)
    };
    let plan = make::plan(&model("pair", PAIR), &options).expect("a plan");
    let files = emit(&plan, Target::X86_64V3.name(), &runtime()).expect("a crate");
    insta::assert_snapshot!("pair", text(&files, "src/s0/r0_c0_k1.rs"));
    insta::assert_snapshot!("pair_sums", text(&files, "src/s1/r0_c0.rs"));
}

/// Crates of different plans in folders that share a target folder are different packages, though
/// their names are equal.
#[test]
fn packages_of_different_plans_differ() {
    let model = model("tiny", CFG);
    let manifest = |rows| {
        let options = PlanOptions {
            offload: Some(0),
            rows,
            command: "the same".into(),
            ..PlanOptions::default()
        };
        let plan = make::plan(&model, &options).expect("a plan");
        let files = emit(&plan, "portable", &runtime()).expect("a crate");
        text(&files, "Cargo.toml").to_owned()
    };
    assert_eq!(manifest(Rows::Whole), manifest(Rows::Whole));
    assert_ne!(manifest(Rows::Whole), manifest(Rows::Blocks(1)));
}

#[test]
fn tail_of_flat_layers() {
    let model = model("flat", FLAT);
    let options = PlanOptions {
        offload: Some(0),
        // Only float32 is read and written where it lies.
        wire: Wire::floats(),
        command: "cargo xtask plan --model flat.cfg --offload 0 --frame-format f32".into(),
        ..PlanOptions::default()
    };
    let plan = make::plan(&model, &options).expect("a plan");
    let files = emit(&plan, "portable", &runtime()).expect("a crate");
    insta::assert_snapshot!("tail_flat", text(&files, "src/tail.rs"));
}

/// Only kernels may hold unsafe code.
#[test]
fn drivers_forbid_unsafe_code() {
    for target in Target::ALL {
        for (path, bytes) in &files(target) {
            let source = std::str::from_utf8(bytes).expect("text");
            let may = path.starts_with("src/kernels/");
            if path.ends_with(".rs") && !may {
                assert!(!source.contains("unsafe {"), "{}: {path}", target.name());
            }
            let driver = path.starts_with("src/s0/r") || path == "src/tail.rs";
            assert_eq!(
                driver || path == "src/program.rs",
                source.contains("#![forbid(unsafe_code)]"),
                "{path}"
            );
        }
    }
}

fn kernel(size: usize, cin: usize, more_in: usize, cout: usize) -> ConvKernel {
    ConvKernel {
        size,
        stride_x: 1,
        dilation: 1,
        cin,
        x_stride: cin + more_in,
        y_stride: cout,
        mr: 2,
        nr: 8,
        activation: Activation::Linear,
        depthwise: false,
        pool: false,
        algorithm: Algorithm::Direct,
    }
}

#[test]
fn kernels_of_every_kind() {
    let dense = ConvKernel {
        nr: 16,
        activation: Activation::Leaky,
        ..kernel(3, 32, 0, 64)
    };
    let grouped = ConvKernel {
        stride_x: 2,
        dilation: 2,
        activation: Activation::Relu6,
        ..kernel(3, 4, 4, 16)
    };
    let partial = (kernel(1, 16, 0, 21), 5);
    let depthwise = ConvKernel {
        x_stride: 13,
        y_stride: 13,
        cin: 1,
        activation: Activation::Ramp,
        depthwise: true,
        ..kernel(5, 1, 0, 13)
    };
    for (name, (k, lanes)) in [
        ("dense", (dense, 16)),
        ("grouped", (grouped, 8)),
        ("partial", partial),
        ("depthwise", (depthwise, 5)),
    ] {
        for (isa, target) in [
            (Isa::Portable, "portable"),
            (Isa::X86_64V3, "x86-64-v3"),
            (Isa::Aarch64, "aarch64"),
            (Isa::Armv7, "armv7"),
        ] {
            let nr = if isa == Isa::Armv7 { 8 } else { k.nr };
            let k = ConvKernel { nr, ..k.clone() };
            let set = BTreeSet::from([(k, lanes.min(nr))]);
            let files = emit_kernels(&set, isa, target, "src/kernels")
                .expect("a kernel")
                .files;
            for (path, _) in files.iter().filter(|(path, _)| path.contains("f32_")) {
                let part = if path.ends_with(".S") { "_asm" } else { "" };
                insta::assert_snapshot!(
                    format!("kernel_{name}_{target}{part}"),
                    text(&files, path)
                );
            }
        }
    }
}

#[test]
fn bundles_share_kernels() {
    let model = model("tiny", CFG);
    let plan = plan(&model, Target::X86_64V3);
    let programs = [("one", &plan), ("two", &plan)];
    let bundle = emit_bundle("bundle", &programs, "x86-64-v3", &runtime()).expect("a bundle");
    insta::assert_snapshot!("files_bundle", list(&bundle));
    insta::assert_snapshot!("main_bundle", text(&bundle, "src/main.rs"));
    let kernels = |files: &Files| files.keys().filter(|p| p.contains("f32_")).count();
    assert_eq!(kernels(&bundle), kernels(&files(Target::X86_64V3)));
    let twice = [("one", &plan), ("one", &plan)];
    assert!(emit_bundle("bundle", &twice, "x86-64-v3", &runtime()).is_err());
    assert!(emit(&plan, "armv7", &runtime()).is_err());
}

/// Two convolutions of one map side by side, and something beside them.
const SIDE_BY_SIDE: &str = "[net]\nwidth=16\nheight=12\nchannels=3\n\
    [convolutional]\nfilters=8\nsize=3\npad=1\nactivation=leaky\n\
    [convolutional]\nfilters=32\nsize=3\npad=1\nactivation=leaky\n\
    [route]\nlayers=-2\n\
    [convolutional]\nfilters=40\nsize=1\nactivation=relu\n\
    [route]\nlayers=-1,-3\n\
    [convolutional]\nfilters=8\nsize=3\npad=1\nactivation=linear\n";

#[test]
fn parts_of_a_route_are_written_where_they_belong() {
    let model = model("beside", SIDE_BY_SIDE);
    let options = PlanOptions {
        offload: Some(0),
        ..PlanOptions::default()
    };
    let plan = make::plan(&model, &options).expect("a plan");
    let files = emit(&plan, "portable", &runtime()).expect("a crate");
    let tail = text(&files, "src/tail.rs");
    assert!(!tail.contains("fn l04_route"), "nothing is left to copy");
    assert!(tail.contains("channels 40..72") && tail.contains("channels 0..40"));
    // Parts elsewhere would be read as each other.
    let mut swapped = plan;
    let chain = &mut swapped.target.get_mut("portable").expect("it").tail;
    let parts: Vec<usize> = (0..chain.steps.len())
        .filter(|i| chain.steps[*i].name.ends_with("_conv") && chain.steps[*i].macs > 0)
        .filter(|i| chain.buffers[chain.steps[*i].out.buffer].c == 72)
        .collect();
    let [a, b] = parts[..] else {
        panic!("{parts:?} write into the route")
    };
    (chain.steps[a].channel, chain.steps[b].channel) = (0, 32);
    let refused = emit(&swapped, "portable", &runtime()).expect_err("the wrong order");
    assert!(
        refused.to_string().contains("where they belong"),
        "{refused}"
    );
}
