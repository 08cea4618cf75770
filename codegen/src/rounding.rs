//! What storing weights in half precision changes.

use tessera_plan::{
    graph::{NodeWeights, Op},
    plan::{Plan, WeightFormat},
};

/// The difference between a model's weights and what a plan stores.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rounding {
    /// Number of weights that are stored in half precision.
    pub weights: u64,
    /// Root mean square of the weights' changes, relative to that of the weights.
    pub relative: f64,
    /// Number of weights that become zero, since they are smaller than 2^-25.
    pub zeros: u64,
}

/// Compares a model's folded weights, one entry per node, with the half precision in which `plan` stores them
/// for `target`. `None` if the plan stores no weights in half precision.
pub fn rounding(plan: &Plan, target: &str, weights: &[Option<NodeWeights>]) -> Option<Rounding> {
    let (mut found, mut change, mut size) = (Rounding::default(), 0.0, 0.0);
    for p in &plan.target.get(target)?.packing {
        let node = plan.network.nodes.get(p.node.0)?;
        let halves = p.weights == WeightFormat::F16 && matches!(node.op, Op::Conv(_));
        let Some(w) = weights.get(p.node.0)?.as_ref().filter(|_| halves) else {
            continue;
        };
        for v in &w.weights {
            let (exact, stored) = (f64::from(*v), half::f16::from_f32(*v).to_f64());
            found.weights += 1;
            found.zeros += u64::from(stored == 0.0 && exact != 0.0);
            change += (stored - exact).powi(2);
            size += exact * exact;
        }
    }
    found.relative = if size > 0.0 {
        f64::sqrt(change / size)
    } else {
        0.0
    };
    (found.weights > 0).then_some(found)
}

#[cfg(test)]
mod tests {
    use tessera_plan::graph::Darknet;
    use tessera_planner::{
        cfg,
        kernel::Storage,
        make,
        model::Model,
        options::{PlanOptions, Target},
        weights,
    };

    use super::*;

    #[test]
    fn halves_change_a_little() {
        let text =
            b"[net]\nwidth=8\nheight=8\nchannels=3\n[convolutional]\nfilters=8\nsize=3\npad=1\n";
        let (graph, _) = cfg::read(text, "t", Darknet::Alexey);
        let graph = graph.expect("a graph");
        let bytes = weights::random_file(&graph, 1);
        let mut model = weights::from_bytes("t", &bytes, graph).expect("weights").0;
        let of = |model: &Model, weights| {
            let options = PlanOptions {
                offload: Some(0),
                weights,
                ..PlanOptions::default()
            };
            let plan = make::plan(model, &options).expect("a plan");
            let weights = model.weights.as_ref().expect("weights");
            rounding(&plan, Target::Portable.name(), weights)
        };
        assert_eq!(of(&model, Storage::Trained), None);
        let found = of(&model, Storage::Halves).expect("halves");
        assert_eq!((found.weights, found.zeros), (216, 0));
        // Steps of 2^-11 at most, evenly spread.
        assert!((5e-5..5e-4).contains(&found.relative), "{}", found.relative);
        let all = model.weights.as_mut().expect("weights");
        all[0].as_mut().expect("a convolution").weights[..2].copy_from_slice(&[1e-9, 0.0]);
        assert_eq!(of(&model, Storage::Halves).expect("halves").zeros, 1);
    }
}
