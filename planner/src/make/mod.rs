//! Makes plans: obeys what was asked for, searches the rest.

mod asked;
mod build;
mod leaner;

use asked::Asked;
use build::{Built, build};
use leaner::leaner;

use crate::{
    boards::Kinds,
    cost,
    estimate::Homes,
    kernel::Family,
    model::Model,
    options::PlanOptions,
    search::{self, Choice, Found, Given},
    stages::{StageCuts, exchanged},
};
pub use crate::{
    error::PlanError,
    stages::{check_grid, stages},
};
use tessera_plan::{
    placement::{ANYWHERE, Placement},
    plan::{Border, Plan, Split},
};

/// Makes the plan of `options` for `model`. Where nothing fits the memory limit, kernels are made to
/// work in less: with weights as trained, Winograd's with fewer tiles a call, then direct ones.
///
/// # Errors
/// When what is asked for is impossible; the error says what would work.
pub fn plan(model: &Model, options: &PlanOptions) -> Result<Plan, PlanError> {
    let mut result = plan_as_asked(model, options);
    for (leaner, why) in leaner(options) {
        if !short_of_memory(&result, options) {
            break;
        }
        let mut lean = plan_as_asked(model, &leaner);
        if let Ok(plan) = &mut lean {
            plan.estimates.why.push(why);
        }
        match &result {
            Ok(have) if !faster(&lean, have) => {}
            _ => result = lean,
        }
    }
    result
}

/// Whether kernels that work in less memory may help: nothing keeps the limit, or nothing but to leave the
/// edges idle.
fn short_of_memory(result: &Result<Plan, PlanError>, o: &PlanOptions) -> bool {
    match result {
        Err(e) => matches!(e, PlanError::OverLimit { .. } | PlanError::Memory { .. }),
        Ok(plan) => {
            let idle = plan.dataflow.stages.is_empty();
            idle && o.offload.is_none() && o.memory_bytes().is_some()
        }
    }
}

/// Whether `new` is a plan whose frames take less time.
fn faster(new: &Result<Plan, PlanError>, than: &Plan) -> bool {
    let frame = |p: &Plan| {
        p.estimates
            .seconds
            .get("frame")
            .copied()
            .unwrap_or(f64::MAX)
    };
    new.as_ref().is_ok_and(|new| frame(new) < frame(than))
}

/// What flags fix is built; what they leave open is searched, and the choice is built.
fn plan_as_asked(model: &Model, o: &PlanOptions) -> Result<Plan, PlanError> {
    let mut plan = match asked::asked(&model.graph, o)? {
        Asked::Exactly(cuts) => exactly(model, o, &cuts)?,
        Asked::Search { grids, ends } => searched(model, o, grids, ends)?,
    };
    if o.family() == Family::Auto {
        let tables = o
            .targets()
            .into_iter()
            .filter_map(|t| o.kernels_for(t).costs);
        let lines = tables.map(|t| format!("kernels for {} by the table of {}", t.target, t.core));
        plan.estimates.why.extend(lines);
    }
    plan.estimates.why.extend(o.notes.iter().cloned());
    tessera_plan::check::check(&plan)?;
    Ok(plan)
}

/// The plan of stages and grids that were asked for, in the faster way to use boards' cores.
fn exactly(model: &Model, o: &PlanOptions, cuts: &StageCuts) -> Result<Plan, PlanError> {
    let apart = exactly_on(model, o, cuts);
    let Some(teams) = o.with_teams() else {
        return apart;
    };
    let together = exactly_on(model, &teams, cuts);
    let mut plan = match apart {
        Ok(apart) if !faster(&together, &apart) => apart,
        Ok(_) => together?,
        Err(e) => together.map_err(|_| e)?,
    };
    let threads = plan.boards.iter().map(|b| b.threads).max().unwrap_or(1);
    if threads > 1 {
        let why = format!("a board's cores: up to {threads} threads share every task");
        plan.estimates.why.push(why);
    }
    Ok(plan)
}

/// The plan of stages and grids for boards that use their cores as `o` says.
fn exactly_on(model: &Model, o: &PlanOptions, cuts: &StageCuts) -> Result<Plan, PlanError> {
    let mut cuts = cuts.clone();
    if o.split == Split::Speed {
        cuts.by_speed(&cost::rates(&model.graph, o));
    }
    let cuts = exchanged(&model.graph, (o.dump, o.split), &cuts, &o.borders)?;
    asked::reusable(&cuts, o)?;
    // Among equal boards, the first few homes are good ones.
    let differ = Kinds::new(&o.boards).boards.len() > 1;
    let homes = if differ { Homes::Well } else { Homes::Quick };
    let mut built = build(model, o, &cuts, homes)?;
    let (needed, limit) = tightest(o, &built);
    if needed > limit {
        return Err(PlanError::OverLimit { limit, needed });
    }
    built.plan.estimates.why = search::asked(&built.plan.estimates, o.memory_bytes());
    Ok(built.plan)
}

/// The best plan of those that are searched.
fn searched(
    model: &Model,
    o: &PlanOptions,
    grids: Option<Vec<[usize; 2]>>,
    ends: Option<Vec<usize>>,
) -> Result<Plan, PlanError> {
    if o.borders.contains(&Border::Reuse) && o.placement == Placement::Share {
        return Err(PlanError::ReuseShared);
    }
    let given = Given::new(grids, ends);
    let teams = o.with_teams();
    let together = teams
        .as_ref()
        .map(|teams| chosen(model, teams, &given, None));
    let rival = together
        .as_ref()
        .and_then(|t| Some(t.as_ref().ok()?.price()));
    let apart = chosen(model, o, &given, rival);
    let (best, other) = match (apart, together) {
        (apart, None | Some(Err(_))) => (apart?, None),
        (Err(_), Some(Ok(together))) => (together, None),
        (Ok(apart), Some(Ok(together))) if together.price() < apart.price() => {
            (together, Some(apart))
        }
        (Ok(apart), Some(Ok(together))) => (apart, Some(together)),
    };
    let Chosen { found, choice, .. } = &best;
    let homes = Homes::Given(found.homes(*choice));
    let mut built = build(model, best.o, found.cuts(*choice), homes)?;
    let why = &mut built.plan.estimates.why;
    *why = found.why(&given, &built.tasks, *choice);
    if let Some(other) = other {
        why.push(other.found.other_use_of_cores(other.choice));
    }
    Ok(built.plan)
}

/// The best plan for boards that use their cores in one way.
struct Chosen<'a> {
    o: &'a PlanOptions,
    found: Found<'a>,
    choice: Choice,
}

impl Chosen<'_> {
    fn price(&self) -> f64 {
        self.found.price(self.choice)
    }
}

/// Searches for boards that use their cores as `o` says.
fn chosen<'a>(
    model: &'a Model,
    o: &'a PlanOptions,
    given: &Given,
    rival: Option<f64>,
) -> Result<Chosen<'a>, PlanError> {
    let found = search::candidates(&model.graph, o, given, rival)?;
    // Only what is built is known exactly.
    let exact = |cuts: &StageCuts, homes: &[usize]| {
        build(model, o, cuts, Homes::Given(homes)).map_or((u64::MAX, 0), |b| tightest(o, &b))
    };
    let choice = found.choose(&exact)?;
    Ok(Chosen { o, found, choice })
}

/// Bytes that a plan needs on the board that is nearest to its limit; and the limit.
fn tightest(o: &PlanOptions, built: &Built) -> (u64, u64) {
    let (plan, d) = (&built.plan, &built.plan.dataflow);
    let is_whole = d
        .stages
        .iter()
        .flat_map(|s| &s.tiles)
        .any(|t| t.home == ANYWHERE);
    build::tightest(o, &built.tasks, &plan.target, is_whole, d.frames_in_flight)
}
