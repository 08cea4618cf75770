//! Fuzzes the front end with any bytes as a cfg, and any bytes as weights.

use tessera_plan::{
    check,
    graph::{Darknet, Graph},
};
use tessera_planner::{
    cfg::{self, diag::Severity},
    inspect, make,
    options::PlanOptions,
    report,
    weights::{self, WeightsError},
};

/// Number of diagnostics that the fuzz body renders; rendering more diagnostics finds nothing new.
const RENDERED: usize = 20;
/// Most float32 values, and most multiply-adds, of networks that the fuzz body plans too.
const SMALL: u64 = 50_000;

/// Checks that a cfg gives a graph or errors, that every diagnostic can be shown, and that every small graph
/// can be inspected, planned and reported on, or is refused with a reason.
pub fn cfg(bytes: &[u8]) {
    for darknet in [Darknet::Alexey, Darknet::Pjreddie] {
        let (graph, diagnostics) = cfg::read(bytes, "fuzz", darknet);
        let fatal = diagnostics.iter().any(|d| d.severity != Severity::Warning);
        assert_eq!(
            graph.is_none(),
            fatal,
            "a graph, or a reason why there is none"
        );
        for d in diagnostics.iter().take(RENDERED) {
            assert!(!d.to_string().is_empty());
        }
        if let Some(graph) = graph.filter(|_| darknet == Darknet::Alexey) {
            inspected(graph);
        }
    }
}

fn inspected(graph: Graph) {
    let table = inspect::table(&graph);
    assert!(!inspect::render(&table).is_empty());
    let weights = table.weights as u64;
    if table.macs > 20 * SMALL || table.activation_bytes > 4 * SMALL || weights > SMALL {
        return;
    }
    let model = weights::without(graph);
    for grids in [vec![[1, 1]], vec![[2, 2]], vec![[3, 1]]] {
        let options = PlanOptions {
            grids,
            ..PlanOptions::default()
        };
        if let Ok(plan) = make::plan(&model, &options) {
            check::check(&plan).expect("plans obey their rules");
            assert!(!report::render(&plan, &model.graph).is_empty());
        }
    }
}

/// A cfg with every kind of layer that holds weights.
pub const WEIGHTY: &str = "[net]\nwidth=3\nheight=3\nchannels=2\n\
    [convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\nstride=1\npad=1\nactivation=leaky\n\
    [convolutional]\nfilters=4\nsize=3\nstride=1\npad=1\ngroups=2\nactivation=linear\n\
    [shortcut]\nfrom=-2\nactivation=linear\nweights_type=per_channel\n\
    [local]\nfilters=1\nsize=3\nstride=1\npad=1\nactivation=leaky\n\
    [connected]\noutput=2\nactivation=relu\n";

/// Checks that bytes give finite weights for the network, or are refused with a reason.
///
/// # Panics
/// If a rule is broken.
pub fn weights(bytes: &[u8]) {
    let (graph, _) = cfg::read(WEIGHTY.as_bytes(), "weighty", Darknet::Alexey);
    let graph = graph.expect("a network");
    match weights::from_bytes("fuzz.weights", bytes, graph) {
        Ok((model, warnings)) => {
            let held = model.weights.expect("weights");
            assert_eq!(held.len(), model.graph.nodes.len());
            for w in warnings {
                assert!(!w.to_string().is_empty());
            }
        }
        Err(e) => assert!(!e.to_string().is_empty() && !matches!(e, WeightsError::Io(_))),
    }
}
