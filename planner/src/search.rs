//! Chooses grid and offload point: the cheapest frame by the cost model, under the memory limit.

use rayon::prelude::*;

use crate::{
    estimate,
    graph::Graph,
    make::{self, PlanError, Shape},
    model::Model,
    options::PlanOptions,
};

/// Largest number of parts per axis that is searched.
const PARTS_MAX: usize = 6;

struct Candidate {
    shape: Shape,
    seconds: f64,
    bytes: u64,
    redundancy: f64,
}

/// Offload points worth trying: behind a layer whose output is a local minimum of bytes, and the
/// last possible one.
fn offload_points(graph: &Graph) -> Vec<usize> {
    let end = crate::inspect::first_barrier(graph).unwrap_or(graph.layers.len());
    let bytes = |l: usize| graph.layers[l].shape.len();
    let mut points: Vec<usize> = (1..end)
        .filter(|&l| bytes(l - 1) < bytes(l) || (l + 1 == end))
        .filter(|&l| l >= 2)
        .collect();
    points.push(end);
    points.retain(|l| *l > 0);
    points.dedup();
    points
}

/// Searches; `grids` and `offloads` fix what is not to be searched.
///
/// # Errors
/// When nothing searched is possible or fits the memory limit.
pub fn search(
    graph: &Graph,
    options: &PlanOptions,
    grids: &Option<Vec<[usize; 2]>>,
    offloads: &Option<Vec<usize>>,
) -> Result<(Shape, Vec<String>), PlanError> {
    let all_grids: Vec<[usize; 2]> = (1..=PARTS_MAX)
        .flat_map(|r| (1..=PARTS_MAX).map(move |c| [r, c]))
        .collect();
    let cut_lists: Vec<Vec<usize>> = offloads.clone().map_or_else(
        || offload_points(graph).into_iter().map(|n| vec![n]).collect(),
        |c| vec![c],
    );
    let grid_list = grids.clone().unwrap_or(all_grids);
    let shapes: Vec<Shape> = cut_lists
        .iter()
        .flat_map(|cuts| {
            grid_list.iter().map(|g| Shape {
                cuts: cuts.clone(),
                grids: vec![*g; cuts.len()],
            })
        })
        .collect();
    // Geometry alone decides: no weights are touched.
    let model = Model {
        graph: graph.clone(),
        weights: None,
        digest: [0; 32],
    };
    let found: Vec<Result<Candidate, PlanError>> = shapes
        .par_iter()
        .map(|shape| {
            let plan = make::build(&model, options, shape)?;
            let e = &plan.estimates;
            Ok(Candidate {
                shape: shape.clone(),
                seconds: e.seconds.get("frame").copied().unwrap_or(f64::MAX),
                bytes: estimate::edge_bytes(e, options.workers),
                redundancy: e.redundancy,
            })
        })
        .collect();
    let tried = found.len();
    let refused = found
        .iter()
        .find_map(|r| r.as_ref().err().map(ToString::to_string));
    let mut possible: Vec<Candidate> = found.into_iter().flatten().collect();
    let refusals = tried - possible.len();
    let Some(smallest) = possible.iter().map(|c| c.bytes).min() else {
        return Err(PlanError::NothingFound {
            reason: refused.unwrap_or_else(|| "no layer can run on edges".into()),
        });
    };
    let limit = options.memory.unwrap_or(u64::MAX);
    let too_large = possible.iter().filter(|c| c.bytes > limit).count();
    possible.retain(|c| c.bytes <= limit);
    if possible.is_empty() {
        return Err(PlanError::Memory { limit, smallest });
    }
    // Order of equals: fewer tiles first, then as listed, so that the choice is deterministic.
    let tiles = |c: &Candidate| c.shape.grids.iter().map(|g| g[0] * g[1]).sum::<usize>();
    possible.sort_by(|a, b| {
        a.seconds
            .total_cmp(&b.seconds)
            .then(tiles(a).cmp(&tiles(b)))
    });
    let name = |c: &Candidate| {
        let g = c.shape.grids.first().copied().unwrap_or([1, 1]);
        format!(
            "{}x{} up to layer {}: {:.3} s, {:.2}x multiply-adds, {} bytes per edge",
            g[0],
            g[1],
            c.shape.cuts.last().map_or(0, |l| l - 1),
            c.seconds,
            c.redundancy,
            c.bytes
        )
    };
    let mut why = vec![format!(
        "searched {tried} plans for {} edges of {} worker(s): {refusals} impossible, {too_large} above the memory limit",
        options.edges, options.workers
    )];
    why.push(format!(
        "cheapest frame by the cost model: {}",
        name(&possible[0])
    ));
    why.extend(
        possible
            .iter()
            .skip(1)
            .take(3)
            .map(|c| format!("next best: {}", name(c))),
    );
    let best = possible.swap_remove(0);
    Ok((best.shape, why))
}
