//! Makes plans: obeys what was asked for, searches the rest.

mod asked;
mod build;
mod refusals;
mod stages;
mod target;

use asked::Asked;

pub use self::{
    build::build,
    refusals::{PlanError, TILES_MAX},
    stages::{Parts, check_grid, grid_parts, parts, stages, wanted},
};
use crate::{model::Model, options::PlanOptions, plan::Plan, search};

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
    let asked = asked::asked(graph, options)?;
    let (shape, why) = match asked {
        Asked::Exactly(shape) => (
            shape,
            vec!["asked for: grid and offload point were given".to_string()],
        ),
        Asked::Search { grids, offloads } => search::search(graph, options, &grids, &offloads)?,
    };
    let mut plan = build(model, options, &shape)?;
    plan.estimates.why = why;
    crate::check::check(&plan)?;
    Ok(plan)
}
