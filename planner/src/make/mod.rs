//! Makes plans: obeys what was asked for, searches the rest.

mod asked;
mod build;
mod refusals;
mod stages;
mod target;

use asked::Asked;

pub(crate) use self::build::stage_data;
pub use self::{
    build::build,
    refusals::{PlanError, TILES_MAX},
    stages::{Parts, check_grid, grid_parts, parts, stages, wanted},
};
use crate::{memory, model::Model, options::PlanOptions, plan::Plan, search};

/// The structure of a plan before kernels and buffers.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Ends of the stages.
    pub cuts: Vec<usize>,
    /// A grid per stage.
    pub grids: Vec<[usize; 2]>,
}

/// Makes the plan of `options` for `model`.
///
/// # Errors
/// When what is asked for is impossible; the error says what would work.
pub fn plan(model: &Model, options: &PlanOptions) -> Result<Plan, PlanError> {
    let graph = &model.graph;
    let (shape, why) = match asked::asked(graph, options)? {
        Asked::Exactly(shape) => (shape, None),
        Asked::Search { grids, cuts } => {
            let all = search::all_grids();
            let given = search::Given {
                grids: grids.as_deref().unwrap_or(&all),
                cuts: cuts.as_deref(),
                more_stages: grids.is_none(),
            };
            let (shape, why) = search::search(graph, options, given)?;
            (shape, Some(why))
        }
    };
    let mut plan = build(model, options, &shape)?;
    let needed = memory::source_bytes(&plan.estimates.memory);
    if let Some(limit) = options.memory.filter(|limit| needed > *limit) {
        return Err(PlanError::OverLimit { limit, needed });
    }
    plan.estimates.why = why.unwrap_or_else(|| search::asked(&plan.estimates, options.memory));
    crate::check::check(&plan)?;
    Ok(plan)
}
