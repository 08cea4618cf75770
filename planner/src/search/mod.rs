//! Chooses cuts, grids and offload point: the plan that the goal wants by the cost model, under the memory limits.
//!
//! 1. `points` finds stage ends worth trying: layers behind which few values live on.
//! 2. `first` lists plans of one grid: for every grid and offload point the one-stage plan, and for coarse grids the cut
//!    lists that are cheapest by rough costs (`paths`). `stages` evaluates every stage once, when a plan first has it.
//! 3. [`crate::cost::schedule`] times all of these plans (`evaluate`), and the plan without stages if flags ask for
//!    neither a grid nor a stage: the gateway can always compute everything.
//! 4. `channels` makes plans of these whose late layers are cut by output channels.
//! 5. `climb` improves the best of several sorts of plans step by step: stages get other ends and grids of their own,
//!    stages cut by channels come and go, and, where boards differ, tiles and ranges by speed.
//! 6. `borders` adds the best plans with halos that are exchanged.
//! 7. The best plans get homes that are looked for at length.
//! 8. `choice` takes the best plan whose built form keeps the memory limit, or a plan with fewer stages that is at
//!    most 1 % slower: the model is too inexact for so small a gain to pay for a boundary. The one-stage plans are always
//!    among the timed plans, so the choice is at most 1 % slower than the best one-stage plan.
//! 9. `bound` says what no plan can beat, `what_if` what other boards and links would bring; `why` puts it into words.
//!
//! The result does not depend on the number of threads: every list has a fixed order.

mod borders;
mod bound;
mod candidate;
mod channels;
mod choice;
mod climb;
mod evaluate;
mod first;
mod forms;
mod found;
mod given;
mod paths;
mod points;
mod stages;
mod tails;
mod what_if;
mod why;

use rayon::prelude::*;

use self::{
    candidate::Candidate,
    climb::{Least, Moves, Tried, climb},
    evaluate::Evaluator,
    stages::Stages,
    tails::Tails,
};
pub(crate) use self::{choice::Choice, found::Found, given::Given, why::asked};
use crate::{
    cost,
    error::PlanError,
    options::{Goal, PlanOptions},
    stages::StageCuts,
};
use tessera_plan::{
    graph::Graph,
    plan::{Placement, Split},
};

/// Most steps of a climb.
const STEPS_MAX: usize = 12;
/// Plans whose homes are looked for at length.
const POLISHED: usize = 8;
/// So many times the price of another way to use boards' cores, a plan is not improved step by step.
const RIVAL_MAX: f64 = 1.3;
/// Largest number of parts per axis that a climb reaches.
const PARTS_MAX: usize = 12;

/// Times the plans of the search, and sorts them, the best first. `rival` is the price of a plan that uses the boards in
/// another way: where all are far above it, they stay as they are.
///
/// # Errors
/// When no plan is possible.
pub(crate) fn candidates<'a>(
    graph: &'a Graph,
    o: &'a PlanOptions,
    given: &Given,
    rival: Option<f64>,
) -> Result<Found<'a>, PlanError> {
    let (lists, points) = first::cut_lists(graph, given);
    let mut found = Found {
        graph,
        o,
        list: Vec::new(),
        stages: Stages::new(graph, o),
        tails: Tails::default(),
        ends: points::offloads(graph, &points),
        points,
        forms: Vec::new(),
        rates: cost::rates(graph, o),
    };
    let mut plans = first::plans(o, given, &found.stages, &lists, &found.points);
    match o.split {
        Split::Speed => plans
            .iter_mut()
            .for_each(|cuts| cuts.by_speed(&found.rates)),
        _ => plans.extend(first::by_speed(&plans, found.rates_of_tiles())),
    }
    // Of boards whose other use is far better, the best plan is enough.
    let limited =
        o.memory_bytes().is_some() || o.gateway.memory_bytes.is_some() || o.goal != Goal::Latency;
    if let Some(price) = rival.filter(|_| !limited)
        && let Some(best) = best_of(&found.evaluator(), &plans)
        && best.price > RIVAL_MAX * price
    {
        found.add([best]);
        return Ok(found);
    }
    let (of_tiles, refusal) = timed(&found.evaluator(), &plans);
    found.add(of_tiles);
    if found.list.is_empty() {
        return Err(found.nothing(refusal));
    }
    if rival.is_some_and(|price| found.list[0].price > RIVAL_MAX * price) {
        return Ok(found);
    }
    if given.more_stages {
        found.forms = forms::forms(graph, o);
    }
    if given.may_cut() {
        let plans = found.with_channels();
        let by_channels = timed(&found.evaluator(), &plans).0;
        found.add(by_channels);
    }
    let leaner = found.leaner(given);
    found.add(leaner);
    let climbed = found.climbed(given);
    found.add(climbed);
    found.with_borders();
    if o.placement == Placement::Home {
        let polished = found.at_best_homes();
        found.add(polished);
    }
    Ok(found)
}

/// The best of some plans, the others only as far as they may be better.
fn best_of(evaluator: &Evaluator<'_>, plans: &[StageCuts]) -> Option<Candidate> {
    let least = Least::new(f64::MAX);
    let timed = plans.par_iter().filter_map(|cuts| {
        let found = evaluator.candidate_below(cuts, least.get())?;
        least.lower(found.price);
        Some(found)
    });
    timed.min_by(Candidate::order)
}

/// Times plans; the second value says why one of them is impossible.
fn timed(evaluator: &Evaluator<'_>, plans: &[StageCuts]) -> (Vec<Candidate>, Option<PlanError>) {
    let results: Vec<Option<Result<Candidate, PlanError>>> = plans
        .par_iter()
        .map(|cuts| evaluator.candidate(cuts))
        .collect();
    let (mut list, mut refusal) = (Vec::new(), None);
    for result in results.into_iter().flatten() {
        match result {
            Ok(c) => list.push(c),
            Err(e) => refusal = refusal.or(Some(e)),
        }
    }
    (list, refusal)
}

impl Found<'_> {
    /// Where no plan fits into the boards' memory, nor everything into the gateway's: what those that need least become, of those with stages cut by
    /// channels and of the others.
    fn leaner(&self, given: &Given) -> Vec<Candidate> {
        if self.list.iter().any(Candidate::fits) {
            return Vec::new();
        }
        let staged = || self.list.iter().filter(|c| !c.cuts.ends.is_empty());
        let (evaluator, moves) = (self.evaluator(), self.moves(given));
        let least = |by_channels: bool| {
            let list = staged().filter(|c| channels::has_channels(c) == by_channels);
            list.min_by_key(|c| c.needed())
        };
        let from = [false, true].into_iter().filter_map(least);
        from.map(|c| climb::to_less_memory(&evaluator, &moves, c, STEPS_MAX))
            .collect()
    }

    /// What the best plans of several sorts become by climbing: of all plans, of those with one stage, with several,
    /// with few tiles, with tiles by speed, with strips of rows or columns, and with stages cut by channels.
    fn climbed(&self, given: &Given) -> Vec<Candidate> {
        let moves = self.moves(given);
        let few = self.o.cores().div_ceil(2);
        let by_speed = |c: &Candidate| c.cuts.shares.iter().any(Option::is_some);
        let stages = |c: &Candidate| c.cuts.ends.len();
        let largest = |c: &Candidate| c.cuts.grids.iter().map(|g| g[0] * g[1]).max().unwrap_or(0);
        let of_strips = |c: &Candidate, axis: usize| c.cuts.grids.iter().all(|g| g[axis] == 1);
        let staged = |c: &&Candidate| c.fits() && stages(c) > 0;
        let mut starts: Vec<&StageCuts> = [
            self.list.iter().find(staged),
            self.list.iter().find(|c| staged(c) && stages(c) == 1),
            self.list.iter().find(|c| staged(c) && stages(c) > 1),
            self.list.iter().find(|c| staged(c) && largest(c) <= few),
            self.list.iter().find(|c| staged(c) && by_speed(c)),
            self.list.iter().find(|c| staged(c) && of_strips(c, 0)),
            self.list.iter().find(|c| staged(c) && of_strips(c, 1)),
            self.list
                .iter()
                .find(|c| staged(c) && channels::has_channels(c)),
        ]
        .into_iter()
        .flatten()
        .map(|c| &c.cuts)
        .collect();
        starts.sort_unstable();
        starts.dedup();
        let evaluator = self.evaluator();
        let from = |cuts: &StageCuts| evaluator.candidate(cuts)?.ok();
        let climbed = starts.into_iter().filter_map(from);
        let tried = Tried::default();
        climbed
            .map(|c| climb(&evaluator, &moves, c, STEPS_MAX, &tried))
            .collect()
    }

    /// The best plans with homes that are looked for at length.
    fn at_best_homes(&self) -> Vec<Candidate> {
        let evaluator = self.evaluator();
        let staged = self
            .list
            .iter()
            .filter(|c| !c.cuts.ends.is_empty() && c.fits());
        let best: Vec<&StageCuts> = staged.take(POLISHED).map(|c| &c.cuts).collect();
        let best = best.into_par_iter();
        best.filter_map(|cuts| evaluator.at_best_homes(cuts))
            .collect()
    }

    /// Speeds by which tiles are cut: only homes give a tile to the core that it is cut for.
    fn rates_of_tiles(&self) -> &[f64] {
        match (self.o.placement, self.o.split) {
            (Placement::Home, _) | (_, Split::Speed) => &self.rates,
            _ => &[],
        }
    }

    fn moves<'b>(&'b self, given: &'b Given) -> Moves<'b> {
        Moves {
            points: &self.points,
            ends: &self.ends,
            forms: &self.forms,
            cores: self.o.cores(),
            given,
            rates: self.rates_of_tiles(),
            parts_max: PARTS_MAX,
        }
    }
}
