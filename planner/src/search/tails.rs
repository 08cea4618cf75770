//! Tails, each evaluated once when a plan first has it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use super::stages::Partial;
use crate::{
    chain::How,
    estimate::TailTime,
    ftp::StageGraph,
    memory::VALUE_BYTES,
    options::PlanOptions,
    packing,
    stages::{read_sums, tail_chain, wanted},
};
use tessera_plan::graph::{Graph, TensorIx};

/// The layers behind an offload point.
#[derive(Debug)]
pub(super) struct Tail {
    graph: StageGraph,
    /// Its time on the gateway.
    pub time: TailTime,
    memory: OnceLock<u64>,
}

/// An offload point, and what its tail reads in partial sums.
type Key = (usize, Vec<Partial>);

/// All tails that plans have had so far.
#[derive(Default)]
pub(super) struct Tails(Mutex<BTreeMap<Key, Arc<Tail>>>);

impl Tails {
    /// The tail behind an offload point, where stages make `partial` sums.
    pub fn get(
        &self,
        graph: &Graph,
        o: &PlanOptions,
        offload: usize,
        mut partial: Vec<Partial>,
    ) -> Arc<Tail> {
        let reads = |p: &Partial| {
            let t = TensorIx::node(p.0);
            let mut nodes = graph.nodes.iter();
            nodes.any(|n| n.layer >= offload && n.inputs.contains(&t))
        };
        partial.retain(reads);
        let key = (offload, partial);
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tail) = lock().get(&key) {
            return tail.clone();
        }
        let wanted = wanted(graph, o.dump);
        let mut tail = StageGraph::new(graph, offload, graph.layers.len(), &wanted);
        for (made, parts) in &key.1 {
            read_sums(graph, &mut tail, *made, *parts);
        }
        let made = Arc::new(Tail {
            time: TailTime::new(graph, &tail, o),
            graph: tail,
            memory: OnceLock::new(),
        });
        lock().entry(key).or_insert(made).clone()
    }
}

impl Tail {
    /// Bytes of its arena and weights. Its chain is built for this number.
    pub fn memory(&self, graph: &Graph, o: &PlanOptions) -> u64 {
        *self.memory.get_or_init(|| {
            let how = How {
                network: graph,
                filters: None,
                sums: None,
                kernels: o.kernels_for(o.gateway.target),
                rows: o.rows,
                apart: &BTreeSet::new(),
                team: o.team().alone,
                streams: false,
                elements: o.stored(graph),
            };
            let chain = tail_chain(graph, &self.graph, how);
            let weights = packing::stage_floats(graph, &self.graph, &[&chain]);
            VALUE_BYTES * (chain.arena_floats + weights) as u64
        })
    }
}
