//! Speeds of boards, for tiles by speed.

use tessera_plan::graph::Graph;

use super::tasks::net_s;
use crate::{
    boards::{Board, Kinds},
    options::PlanOptions,
};

/// Networks per second of the edges' cores: of the source's, then of the other edges', the fastest first.
pub fn rates(graph: &Graph, o: &PlanOptions) -> Vec<f64> {
    let kinds = Kinds::new(&o.boards);
    let of_kind: Vec<f64> = (kinds.boards.iter())
        .map(|b| {
            let seconds = b.shared_s(net_s(graph, o, b), b.threads(false));
            1.0 / seconds.max(1e-12)
        })
        .collect();
    let cores = |(b, kind): (&Board, &usize)| {
        let cores = b.cores.max(1);
        std::iter::repeat_n(of_kind[*kind], cores)
    };
    let mut boards = o.boards.iter().zip(&kinds.of);
    let mut rates: Vec<f64> = boards.next().into_iter().flat_map(cores).collect();
    let mut others: Vec<f64> = boards.flat_map(cores).collect();
    others.sort_by(|a, b| b.total_cmp(a));
    rates.extend(others);
    rates
}
