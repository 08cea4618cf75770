//! The plans that the search begins with.

use rayon::prelude::*;

use super::{
    given::Given,
    paths::{self, PathCosts},
    points,
    stages::Stages,
};
use crate::{
    options::{Goal, PlanOptions},
    stages::StageCuts,
    whole,
};
use tessera_plan::graph::Graph;

/// Most tiles per core of grids for which cut lists are searched, unless memory is limited.
const TILES_PER_CORE_MAX: usize = 2;

/// The offload points (or the given cuts) and all points between which stages may lie.
pub(super) fn cut_lists(graph: &Graph, given: &Given) -> (Vec<Vec<usize>>, Vec<usize>) {
    let mut points = points::points(graph);
    match &given.ends {
        None => {
            let offloads = points::offloads(graph, &points);
            (offloads.into_iter().map(|p| vec![p]).collect(), points)
        }
        Some(cuts) => {
            let offload = cuts.last().copied().unwrap_or(0);
            points.retain(|p| *p < offload);
            points.push(offload);
            (vec![cuts.clone()], points)
        }
    }
}

/// The plans to schedule.
pub(super) fn plans(
    o: &PlanOptions,
    given: &Given,
    stages: &Stages<'_>,
    lists: &[Vec<usize>],
    points: &[usize],
) -> Vec<StageCuts> {
    let mut all = Vec::new();
    if given.gateway_alone() {
        all.push(StageCuts::default());
        if o.goal != Goal::Latency {
            all.push(whole::cuts(stages.graph()));
        }
    }
    let tiles_max = if o.memory_bytes().is_some() {
        usize::MAX
    } else {
        TILES_PER_CORE_MAX * o.cores().max(1)
    };
    let of_grids: Vec<Vec<StageCuts>> = (given.grids.par_iter())
        .map(|grid| {
            let several = given.more_stages && grid[0] * grid[1] <= tiles_max;
            of_grid(o, stages, lists, points, *grid, several)
        })
        .collect();
    all.extend(of_grids.into_iter().flatten());
    all
}

/// The plans with tiles by speed, of those that have no more tiles a stage than there are `rates`, if these differ.
pub(super) fn by_speed(plans: &[StageCuts], rates: &[f64]) -> Vec<StageCuts> {
    let with_shares = plans.iter().filter_map(|cuts| {
        let mut cuts = cuts.clone();
        cuts.by_speed(rates);
        cuts.shares.iter().any(Option::is_some).then_some(cuts)
    });
    with_shares.collect()
}

/// Plans of one grid: those of `lists`, and the cheapest ones of several stages if `several`.
fn of_grid(
    o: &PlanOptions,
    stages: &Stages<'_>,
    lists: &[Vec<usize>],
    points: &[usize],
    grid: [usize; 2],
    several: bool,
) -> Vec<StageCuts> {
    let mut all = Vec::new();
    for list in lists {
        let mut known = vec![list.clone()];
        let offload = list.last().copied().unwrap_or(0);
        let end = points.iter().position(|p| *p == offload);
        if let (Some(end), true, [_]) = (end, several, list.as_slice()) {
            for costs in PathCosts::tried(o) {
                if let Some(cuts) = paths::cheapest(stages, points, end, grid, costs)
                    && !known.contains(&cuts)
                {
                    known.push(cuts);
                }
            }
        }
        all.extend(known.into_iter().map(|ends| StageCuts::alike(ends, grid)));
    }
    all
}
