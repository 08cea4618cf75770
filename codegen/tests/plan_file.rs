//! A `plan.toml` alone is enough: what is read back emits and packs the bytes that the plan itself does, and a
//! plan that somebody edited is refused, never a panic.

use std::{collections::BTreeSet, path::Path};

use tessera_codegen::{EmitOptions, emit, pack};
use tessera_plan::{
    check::check,
    graph::{Darknet, Graph, NmsKind, Op, ShortcutKind, Stored, TensorIx, WeightSource},
    plan::Plan,
    region::Shape,
};
use tessera_plan_text::PlanText;
use tessera_planner::{
    cfg, make,
    model::Model,
    options::{PlanOptions, Target},
    weights,
};

/// Every kind of operation, with parameters that have no short binary form.
const EVERY_KIND: &str = include_str!("every_kind.cfg");

/// The names of all operations in `plan.toml`.
const OPS: [&str; 24] = [
    "activate",
    "avg_pool",
    "batch_norm",
    "concat",
    "connected",
    "conv",
    "crop",
    "detection",
    "downsample",
    "gaussian_yolo",
    "local",
    "local_avg_pool",
    "lrn",
    "max_pool",
    "max_pool_depth",
    "region",
    "reorg",
    "reorg3d",
    "sam",
    "scale_channels",
    "shortcut",
    "softmax",
    "upsample",
    "yolo",
];

fn graph(cfg: &[u8], name: &str) -> Graph {
    let (graph, diagnostics) = cfg::read(cfg, name, Darknet::Alexey);
    graph.unwrap_or_else(|| panic!("{diagnostics:?}"))
}

fn every_kind() -> Model {
    let graph = graph(EVERY_KIND.as_bytes(), "every-kind");
    let file = weights::random_file(&graph, 1);
    weights::from_bytes("random", &file, graph)
        .expect("weights")
        .0
}

fn plan(model: &Model, target: Target) -> Plan {
    let options = PlanOptions {
        grids: vec![[2, 2]],
        offload: Some(2),
        command: "cargo xtask plan".into(),
        ..PlanOptions::default().on(target)
    };
    make::plan(model, &options).expect("a plan")
}

fn packed(plan: &Plan, model: &Model, target: Target) -> Vec<u8> {
    let weights = model.weights.as_ref().expect("weights");
    let mut bytes = Vec::new();
    pack::write(plan, weights, target.name(), &mut bytes).expect("weights are packed");
    bytes
}

/// Emits and packs `plan`, and what its text says; `read` reads the weights of a network.
fn compare(model: &Model, target: Target, read: impl Fn(Graph) -> Model) {
    let plan = plan(model, target);
    let text = plan.to_toml();
    let again = Plan::from_toml(&text).expect("its own text");
    assert_eq!(again, plan);
    assert_eq!(again.to_toml(), text);
    let options = EmitOptions {
        runtime_path: "../../runtime".into(),
    };
    let emit = |plan: &Plan| emit(plan, target.name(), &options).expect("a crate");
    assert!(
        emit(&again) == emit(&plan),
        "{}: sources differ",
        target.name()
    );
    let from_text = read(again.network.clone());
    assert_eq!(from_text.digest, model.digest);
    assert!(
        packed(&again, &from_text, target) == packed(&plan, model, target),
        "{}: weights differ",
        target.name()
    );
}

#[test]
fn a_net_of_every_kind_is_emitted_from_its_plan_alone() {
    let model = every_kind();
    let ops = model.graph.nodes.iter().map(|n| {
        match toml::Value::try_from(&n.op).expect("an operation has a TOML form") {
            toml::Value::String(name) => name,
            toml::Value::Table(t) => t.keys().next().expect("its name").clone(),
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(ops.collect::<BTreeSet<_>>(), OPS.map(str::to_owned).into());
    for target in Target::ALL {
        compare(&model, target, |graph| {
            let file = weights::random_file(&graph, 1);
            weights::from_bytes("random", &file, graph)
                .expect("weights")
                .0
        });
    }
}

#[test]
fn the_demo_is_emitted_from_its_plan_alone() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/demo");
    let text = std::fs::read(dir.join("demo.cfg")).expect("the demo");
    let read = |graph| {
        weights::load(&dir.join("demo.weights"), graph)
            .expect("weights")
            .0
    };
    let model = read(graph(&text, "demo"));
    for target in [Target::Portable, Target::X86_64V3] {
        compare(&model, target, read);
    }
}

/// An edit of a plan's network.
type Edit = fn(&mut Graph);

fn op(g: &mut Graph, is: fn(&Op) -> bool) -> &mut Op {
    let node = g.nodes.iter_mut().find(|n| is(&n.op));
    &mut node.expect("a net of every kind").op
}

/// What a hostile plan may say of its network. None of them is emitted, and none stops the program.
const EDITS: [(&str, Edit); 25] = [
    ("a node reads itself", |g| {
        g.nodes[3].inputs[0] = TensorIx(3)
    }),
    ("a node reads no tensor", |g| {
        g.nodes[3].inputs[0] = TensorIx(-7)
    }),
    ("a node reads nothing", |g| g.nodes[3].inputs.clear()),
    ("a node of no layer", |g| g.nodes[0].layer = usize::MAX),
    ("a map of nothing", |g| {
        g.nodes[0].shape = Shape::new(0, 1, 1)
    }),
    ("a map without end", |g| {
        g.nodes[0].shape = Shape::new(usize::MAX, 2, 2)
    }),
    ("an input without end", |g| {
        g.input = Shape::new(1 << 40, 1 << 40, 3)
    }),
    ("a shape of its own", |g| g.nodes[0].shape.c += 1),
    ("names that are code", |g| g.nodes[0].name = "x() {}".into()),
    ("two of one name", |g| {
        g.nodes[1].name = g.nodes[0].name.clone()
    }),
    ("no nodes", |g| g.nodes.clear()),
    ("no layers", |g| g.layers.clear()),
    ("no outputs", |g| g.outputs.clear()),
    ("an output of nobody", |g| g.outputs[0] = TensorIx(i32::MAX)),
    ("weights without end", |g| {
        g.layers[0].weights = usize::MAX;
        g.layers[0].stored = Stored::BatchNorm { c: usize::MAX };
    }),
    ("weights of other sizes", |g| {
        g.layers[0].stored = Stored::Nothing
    }),
    ("weights of no layer", |g| {
        if let Op::Conv(c) = &mut g.nodes[0].op {
            c.source = WeightSource::Layer(usize::MAX);
        }
    }),
    ("groups of nothing", |g| {
        if let Op::Conv(c) = &mut g.nodes[0].op {
            c.groups = 0;
        }
    }),
    ("windows without end", |g| {
        if let Op::Conv(c) = &mut g.nodes[0].op {
            (c.size, c.dilation) = (usize::MAX, usize::MAX);
        }
    }),
    ("steps of nothing", |g| {
        if let Op::MaxPool(p) = op(g, |o| matches!(o, Op::MaxPool(_))) {
            p.stride_x = 0;
        }
    }),
    ("classes without end", |g| {
        if let Op::Yolo { classes, .. } = op(g, |o| matches!(o, Op::Yolo { .. })) {
            *classes = usize::MAX;
        }
    }),
    ("a part of nobody", |g| {
        if let Op::Concat(parts) = op(g, |o| matches!(o, Op::Concat(_))) {
            parts[0].input = usize::MAX;
        }
    }),
    ("a factor that is no number", |g| {
        let is = |o: &Op| {
            let Op::Shortcut { kind, .. } = o else {
                return false;
            };
            matches!(kind, ShortcutKind::Resized { .. })
        };
        if let Op::Shortcut {
            kind: ShortcutKind::Resized { alpha, .. },
            ..
        } = op(g, is)
        {
            *alpha = f32::NAN;
        }
    }),
    ("a head of another map", |g| g.heads[0].tensor = TensorIx(0)),
    ("an exponent that is no number", |g| {
        g.heads[0].nms = NmsKind::Diou {
            beta: f32::INFINITY,
        };
    }),
];

#[test]
fn edited_networks_are_refused() {
    let target = Target::Portable;
    let plan = plan(&every_kind(), target);
    let options = EmitOptions {
        runtime_path: "../../runtime".into(),
    };
    check(&plan).expect("a plan");
    for (what, edit) in EDITS {
        let mut edited = plan.clone();
        edit(&mut edited.network);
        assert_ne!(edited.network, plan.network, "{what}: nothing was edited");
        let refused = check(&edited).expect_err(what);
        assert!(!refused.to_string().is_empty());
        assert!(emit(&edited, target.name(), &options).is_err(), "{what}");
        assert!(pack::write(&edited, &[], target.name(), &mut Vec::new()).is_err());
    }
}

/// Nodes that compute other operations must not take each other's tiles.
#[test]
fn an_edited_operation_changes_the_hash() {
    let plan = plan(&every_kind(), Target::Portable);
    let mut other = plan.clone();
    if let Op::Upsample { scale, .. } = op(&mut other.network, |o| matches!(o, Op::Upsample { .. }))
    {
        *scale = 0.5;
    }
    assert_ne!(other.content_hash(), plan.hash);
    let error = Plan::from_toml(&other.to_toml()).expect_err("an old hash");
    assert!(error.to_string().contains("hash"), "{error}");
    let mut moved = plan.clone();
    moved.network.layers[0].line += 1;
    assert_eq!(moved.content_hash(), plan.hash, "a comment in the cfg");
}

/// Codegen knows plans, not the planner: only its tests make plans.
#[test]
fn codegen_does_not_depend_on_the_planner() {
    let manifest: toml::Table = include_str!("../Cargo.toml").parse().expect("a manifest");
    for part in ["dependencies", "build-dependencies"] {
        let list = manifest.get(part).and_then(toml::Value::as_table);
        let known = list.is_some_and(|l| l.contains_key("tessera-planner"));
        assert!(!known, "[{part}] names the planner");
    }
}
