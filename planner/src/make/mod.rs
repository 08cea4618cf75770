//! Makes plans: obeys what was asked for, searches the rest.

mod asked;
mod build;
mod refusals;
mod stages;
mod target;

use asked::Asked;

pub use self::{
    build::build,
    refusals::PlanError,
    stages::{Parts, check_grid, grid_parts, parts, stages, wanted},
};
pub(crate) use self::{
    build::stage_data,
    target::{team, tile_chain},
};
use tessera_plan::limits::{PIECES_MAX, TASKS_MAX, TENSOR_VALUES_MAX};

use crate::{
    cost,
    kernel::{Family, Storage},
    memory,
    model::Model,
    options::PlanOptions,
    search,
};
use tessera_plan::plan::Plan;

/// The structure of a plan before kernels and buffers.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Ends of the stages.
    pub cuts: Vec<usize>,
    /// A grid per stage.
    pub grids: Vec<[usize; 2]>,
}

/// Makes the plan of `options` for `model`. Where nothing fits the memory limit, kernels are made to
/// work in less: with weights as trained, Winograd's with fewer tiles a call, then direct ones.
///
/// # Errors
/// When what is asked for is impossible; the error says what would work.
pub fn plan(model: &Model, options: &PlanOptions) -> Result<Plan, PlanError> {
    let mut result = plan_as_asked(model, options);
    for (leaner, why) in leaner(options) {
        if !matches!(
            result,
            Err(PlanError::OverLimit { .. } | PlanError::Memory { .. })
        ) {
            break;
        }
        result = plan_as_asked(model, &leaner);
        if let Ok(plan) = &mut result {
            plan.estimates.why.push(why);
        }
    }
    result
}

/// The same with kernels that work in less memory, each in less than the one before, and what is said
/// of them.
fn leaner(options: &PlanOptions) -> Vec<(PlanOptions, String)> {
    if options.family() == Family::Direct {
        return Vec::new();
    }
    let mut list = Vec::new();
    let mut options = options.clone();
    if options.weights == Storage::Auto {
        options.weights = options.weights.plain();
        let why = "weights: none stored transformed, for the memory limit".into();
        list.push((options.clone(), why));
    }
    let tiles = TILES_LEAN
        .into_iter()
        .filter(|n| *n < options.tiles)
        .map(|tiles| {
            let why = format!(
                "kernels: Winograd's take about {tiles} tiles a call instead of {}, for the memory limit",
                options.tiles
            );
            let lean = PlanOptions {
                tiles,
                ..options.clone()
            };
            (lean, why)
        });
    list.extend(tiles);
    if options.kernels == Family::Auto {
        let lean = PlanOptions {
            kernels: Family::Direct,
            ..options
        };
        list.push((lean, "kernels: direct ones, for the memory limit".into()));
    }
    list
}

/// Tiles a call that a memory limit may bring Winograd kernels down to.
const TILES_LEAN: [usize; 3] = [32, 16, 8];

fn plan_as_asked(model: &Model, options: &PlanOptions) -> Result<Plan, PlanError> {
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
    travels(&plan)?;
    let needed = memory::source_bytes(&plan.estimates.memory);
    if let Some(limit) = options.memory.filter(|limit| needed > *limit) {
        return Err(PlanError::OverLimit { limit, needed });
    }
    plan.estimates.why = why.unwrap_or_else(|| search::asked(&plan.estimates, options.memory));
    if options.family() == Family::Auto {
        let tables = options.targets.iter().filter_map(|t| options.costs.of(*t));
        plan.estimates
            .why
            .extend(tables.map(|t| format!("kernels for {} by the table of {}", t.target, t.core)));
    }
    tessera_plan::check::check(&plan)?;
    Ok(plan)
}

/// Checks what the runtime's tables bound: tasks, pieces, tensors.
fn travels(plan: &Plan) -> Result<(), PlanError> {
    let d = &plan.dataflow;
    let jobs = cost::jobs(&d.stages, &d.tail.inputs);
    if jobs.len() > TASKS_MAX {
        return Err(PlanError::Tasks { tasks: jobs.len() });
    }
    let mut first = 0;
    for (stage, s) in d.stages.iter().enumerate() {
        let of_stage = &jobs[first..first + s.tiles.len()];
        first += s.tiles.len();
        let pieces = of_stage.iter().map(|j| j.needs.len()).max().unwrap_or(0);
        if pieces > PIECES_MAX {
            return Err(PlanError::Pieces { stage, pieces });
        }
    }
    for t in &d.tensors {
        let values = t.shape.len();
        if values > TENSOR_VALUES_MAX {
            let what = match t.layer {
                -1 => "the network's input".to_string(),
                layer => format!("the output of layer {layer}"),
            };
            return Err(PlanError::Tensor { what, values });
        }
    }
    Ok(())
}
