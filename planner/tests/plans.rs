//! Plans of real networks.

use std::path::{Path, PathBuf};

use tessera_plan::{
    graph::{Darknet, Graph, TensorIx},
    plan::{ElementType, Plan, Split},
};
use tessera_plan_text::PlanText;
use tessera_planner::{
    boards::Board,
    cfg, make,
    model::Model,
    options::{PlanOptions, Target},
    weights,
    wire::Wire,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_path_buf()
}

fn model(name: &str) -> Model {
    let text = std::fs::read(root().join("models").join(name)).unwrap();
    let graph: Graph = cfg::read(&text, name.trim_end_matches(".cfg"), Darknet::Alexey)
        .0
        .unwrap();
    weights::without(graph)
}

fn options(grid: [usize; 2], offload: usize) -> PlanOptions {
    PlanOptions {
        grids: vec![grid],
        offload: Some(offload),
        command: "cargo xtask plan --model yolov2.cfg".into(),
        // The original sends float32.
        wire: Wire::floats(),
        ..PlanOptions::of(6, &Board::new(Target::X86_64V3))
    }
}

#[test]
fn yolov2_equal_split_has_the_papers_numbers() {
    let m = model("yolov2.cfg");
    // grid, multiply-adds relative to untiled, MiB of all tile inputs: what the geometry of DeepThings
    // (`src/ftp.c`) gives.
    for (grid, flop, inputs) in [
        ([1, 1], 1.000, 4.23),
        ([2, 2], 1.247, 6.03),
        ([3, 3], 1.529, 8.15),
        ([4, 4], 1.845, 10.59),
        ([5, 5], 2.196, 13.35),
        ([6, 6], 2.570, 16.12),
        ([2, 3], 1.380, 7.01),
        ([1, 6], 1.572, 8.26),
    ] {
        let plan = make::plan(
            &m,
            &PlanOptions {
                split: Split::Equal,
                ..options(grid, 16)
            },
        )
        .unwrap();
        assert!(
            (plan.estimates.redundancy - flop).abs() < 6e-4,
            "{grid:?}: {}",
            plan.estimates.redundancy
        );
        let mib = plan.estimates.traffic["stage0.inputs"] as f64 / f64::from(1 << 20);
        assert!((mib - inputs).abs() < 6e-3, "{grid:?}: {mib}");
        assert_eq!(plan.estimates.traffic["results"], 38 * 38 * 256 * 4);
    }
}

#[test]
fn balanced_cuts_are_cheaper_than_equal_ones_at_their_dearest() {
    let m = model("yolov2.cfg");
    let dearest = |p: &Plan| {
        p.dataflow.stages[0]
            .tiles
            .iter()
            .map(|t| t.macs)
            .max()
            .unwrap()
    };
    let equal = make::plan(
        &m,
        &PlanOptions {
            split: Split::Equal,
            ..options([5, 5], 16)
        },
    )
    .unwrap();
    let balanced = make::plan(&m, &options([5, 5], 16)).unwrap();
    assert!(
        dearest(&balanced) < dearest(&equal),
        "{} {}",
        dearest(&balanced),
        dearest(&equal)
    );
}

#[test]
fn plans_survive_toml_and_repeat() {
    let m = model("yolov3-tiny.cfg");
    let o = PlanOptions {
        cuts: vec![4, 8, 12],
        grids: vec![[2, 2]],
        ..PlanOptions::default()
    };
    let plan = make::plan(&m, &o).unwrap();
    let text = plan.to_toml();
    assert_eq!(Plan::from_toml(&text).unwrap(), plan);
    assert_eq!(make::plan(&m, &o).unwrap().to_toml(), text);
}

#[test]
fn refusals_say_what_would_work() {
    let m = model("yolov2.cfg");
    let refuse = |o: PlanOptions| make::plan(&m, &o).unwrap_err().to_string();
    let classifier = model("darknet19.cfg");
    let e = make::plan(&classifier, &options([5, 5], 25)).unwrap_err();
    let e = e.to_string();
    assert!(e.contains("whole maps") && e.contains("24"), "{e}");
    let e = refuse(options([50, 5], 16));
    assert!(e.contains("38x5"), "{e}");
    let e = refuse(PlanOptions {
        split: Split::Equal,
        ..options([12, 5], 16)
    });
    assert!(e.contains("balanced"), "{e}");
    let e = refuse(options([2, 2], 99));
    assert!(e.contains("behind"), "{e}");
    let channels = |cuts: &[usize], parts| PlanOptions {
        cuts: cuts.to_vec(),
        grids: [vec![[1, 1]; cuts.len() - 1], vec![[1, parts]]].concat(),
        channels: [vec![false; cuts.len() - 1], vec![true]].concat(),
        ..PlanOptions::default()
    };
    let e = refuse(channels(&[16, 25], 6));
    assert!(e.contains("layers 16 to 24"), "{e}");
    let e = refuse(channels(&[23, 24], 129));
    assert!(e.contains("128c"), "{e}");
    let e = refuse(PlanOptions {
        cuts: Vec::new(),
        ..channels(&[24], 6)
    });
    assert!(e.contains("--cuts"), "{e}");
    let e = refuse(PlanOptions {
        cuts: vec![4, 16],
        ..options([2, 2], 16)
    });
    assert!(e.contains("contradict"), "{e}");
    let e = refuse(PlanOptions {
        cuts: vec![8, 4],
        offload: None,
        ..options([2, 2], 16)
    });
    assert!(e.contains("rise"), "{e}");
    let formats = |n: usize| Wire {
        objects: vec![ElementType::F16; n],
        ..Wire::default()
    };
    for n in [0, 3] {
        let e = refuse(PlanOptions {
            cuts: vec![4, 8],
            offload: None,
            wire: formats(n),
            ..options([2, 2], 16)
        });
        assert!(e.contains("--wire") && e.contains("has 2"), "{e}");
    }
    let e = refuse(PlanOptions {
        wire: formats(2),
        ..options([2, 2], 16)
    });
    assert!(e.contains("2 formats"), "{e}");
}

/// Every stage's outputs have the stage's own format, and the frame has its own.
#[test]
fn stages_have_their_formats() {
    let m = model("yolov2.cfg");
    let wire = Wire {
        frames: None,
        objects: vec![ElementType::F32, ElementType::F16],
    };
    for (exact, expected) in [
        (false, [ElementType::U8, ElementType::F32, ElementType::F16]),
        (true, [ElementType::F32; 3]),
    ] {
        let o = PlanOptions {
            cuts: vec![4, 8],
            offload: None,
            wire: wire.clone(),
            exact,
            ..options([2, 2], 16)
        };
        let d = make::plan(&m, &o).unwrap().dataflow;
        let element = |id| d.tensors.iter().find(|t| t.id == id).unwrap().element;
        let stages = d.stages.iter().map(|s| element(s.outputs[0]));
        let found: Vec<_> = std::iter::once(element(TensorIx::INPUT))
            .chain(stages)
            .collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn what_the_runtime_cannot_name_is_refused() {
    let net = |side: usize, layers: &str| {
        let text = format!("[net]\nwidth={side}\nheight={side}\nchannels=3\n{layers}");
        weights::without(
            cfg::read(text.as_bytes(), "net", Darknet::Alexey)
                .0
                .unwrap(),
        )
    };
    let conv = "[convolutional]\nfilters=1\nsize=3\npad=1\n";
    let m = net(64, &conv.repeat(2));
    let plan = |first: [usize; 2], second: [usize; 2]| {
        let o = PlanOptions {
            grids: vec![first, second],
            cuts: vec![1, 2],
            ..PlanOptions::default()
        };
        make::plan(&m, &o).map(|_| ()).map_err(|e| e.to_string())
    };
    let e = plan([30, 30], [1, 1]).unwrap_err();
    assert!(e.contains("stage 1 would read from 900 tiles"), "{e}");
    assert!(plan([30, 30], [2, 2]).is_ok());
    let m = net(64, &conv.repeat(17));
    let o = PlanOptions {
        grids: vec![[64, 64]],
        cuts: (1..=17).collect(),
        ..PlanOptions::default()
    };
    let e = make::plan(&m, &o).unwrap_err().to_string();
    assert!(e.contains("69632 tiles"), "{e}");
    let m = net(6000, conv);
    let o = options([2, 2], 1);
    let e = make::plan(&m, &o).unwrap_err().to_string();
    assert!(
        e.contains("the network's input has 108000000 values"),
        "{e}"
    );
}
