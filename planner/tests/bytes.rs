//! Objects of bytes: which tensors are, what their scales are, and what is refused.

use std::sync::Arc;

use tessera_plan::{
    check::check,
    graph::{Darknet, TensorIx},
    plan::{ElementType, Plan},
};
use tessera_plan_text::PlanText;
use tessera_planner::{
    cfg,
    make::{self, PlanError},
    model::Model,
    options::PlanOptions,
    ranges::Ranges,
    weights,
    wire::Wire,
};

const TEXT: &str = "[net]\nwidth=16\nheight=12\nchannels=3\n\
    [convolutional]\nfilters=4\nsize=3\npad=1\nactivation=leaky\n\
    [maxpool]\nsize=2\nstride=2\n\
    [convolutional]\nfilters=6\nsize=3\npad=1\nactivation=relu\n\
    [convolutional]\nfilters=5\nactivation=linear\n";

fn model() -> Model {
    let graph = cfg::read(TEXT.as_bytes(), "bytes", Darknet::Alexey).0;
    weights::without(graph.unwrap())
}

/// Ranges of all tensors: every channel reaches from a value below 0 to one that rises with its number.
fn ranges(m: &Model) -> Ranges {
    let mut ranges = Ranges::default();
    for n in m.graph.node_ixs() {
        let t = TensorIx::node(n);
        for c in 0..m.graph.shape(t).c {
            ranges.add(t, c, [-0.05, 1.0 + c as f32]);
        }
    }
    ranges
}

fn options(objects: &[ElementType], ranges: Option<Ranges>) -> PlanOptions {
    PlanOptions {
        grids: vec![[2, 2]],
        cuts: vec![2, 3, 4],
        wire: Wire {
            objects: objects.to_vec(),
            ..Wire::default()
        },
        ranges: ranges.map(Arc::new),
        ..PlanOptions::default()
    }
}

fn formats(plan: &Plan) -> Vec<(ElementType, bool)> {
    let tensors = plan.dataflow.tensors.iter();
    tensors.map(|t| (t.element, t.scales.is_some())).collect()
}

#[test]
fn stages_make_bytes_with_scales_and_the_network_halves() {
    let m = model();
    let plan = make::plan(&m, &options(&[ElementType::U8], Some(ranges(&m)))).unwrap();
    let bytes = (ElementType::U8, true);
    let want = [
        (ElementType::U8, false),
        bytes,
        bytes,
        (ElementType::F16, false),
    ];
    assert_eq!(formats(&plan), want);
    let scales = plan.dataflow.tensors[1].scales.as_ref().unwrap();
    assert_eq!(scales.zeros, [12, 6, 4, 3]);
    for (c, (step, zero)) in scales.steps.iter().zip(&scales.zeros).enumerate() {
        let value = |byte: u8| (f32::from(byte) - f32::from(*zero)) * step;
        assert!(value(0) <= -0.05 && value(255) >= 1.0 + c as f32, "{c}");
    }
    // The text has all of it, and the hash covers it.
    let text = plan.to_toml();
    assert_eq!(Plan::from_toml(&text).unwrap(), plan);
    let step = format!("{:?}", scales.steps[0]);
    assert!(Plan::from_toml(&text.replacen(&step, "0.5", 1)).is_err());
    // Half of the bytes of halves.
    let halves = make::plan(&m, &options(&[ElementType::F16], None)).unwrap();
    let read = |p: &Plan, stage| p.estimates.traffic[&format!("stage{stage}.inputs")];
    for stage in [1, 2] {
        assert_eq!(2 * read(&plan, stage), read(&halves, stage));
    }
}

#[test]
fn formats_are_named_per_stage() {
    let m = model();
    let list = [ElementType::F16, ElementType::U8, ElementType::F32];
    let plan = make::plan(&m, &options(&list, Some(ranges(&m)))).unwrap();
    let want = [
        (ElementType::U8, false),
        (ElementType::F16, false),
        (ElementType::U8, true),
        (ElementType::F32, false),
    ];
    assert_eq!(formats(&plan), want);
}

#[test]
fn bytes_without_ranges_are_refused() {
    let m = model();
    let refused = make::plan(&m, &options(&[ElementType::U8], None)).unwrap_err();
    assert!(matches!(refused, PlanError::NoRanges), "{refused}");
    assert!(refused.to_string().contains("--calibrate-on"), "{refused}");
    // Ranges of another network.
    let unseen = make::plan(&m, &options(&[ElementType::U8], Some(Ranges::default())));
    assert!(
        matches!(unseen, Err(PlanError::NoRange { layer: 1 })),
        "{unseen:?}"
    );
    // Exact plans are of float32 whatever was asked for.
    let exact = PlanOptions {
        exact: true,
        ..options(&[ElementType::U8], None)
    };
    let plan = make::plan(&m, &exact).unwrap();
    assert!(
        formats(&plan)
            .iter()
            .all(|f| *f == (ElementType::F32, false))
    );
}

#[test]
fn plans_with_other_scales_break_a_rule() {
    let m = model();
    let good = make::plan(&m, &options(&[ElementType::U8], Some(ranges(&m)))).unwrap();
    let broken = |change: &dyn Fn(&mut Plan)| {
        let mut plan = good.clone();
        change(&mut plan);
        let said = check(&plan).unwrap_err();
        assert!(said.to_string().contains("have a step above 0"), "{said}");
    };
    broken(&|p| p.dataflow.tensors[1].scales = None);
    broken(&|p| p.dataflow.tensors[0].scales = p.dataflow.tensors[1].scales.clone());
    broken(&|p| p.dataflow.tensors[3].scales = p.dataflow.tensors[1].scales.clone());
    let scales = |p: &mut Plan, f: &dyn Fn(&mut tessera_plan::plan::Scales)| {
        p.dataflow.tensors[1].scales.iter_mut().for_each(f);
    };
    broken(&|p| scales(p, &|s| s.steps[0] = 0.0));
    broken(&|p| scales(p, &|s| s.steps[0] = f32::NAN));
    broken(&|p| scales(p, &|s| s.steps.truncate(3)));
    broken(&|p| scales(p, &|s| s.zeros.push(0)));
}
