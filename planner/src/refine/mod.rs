//! Refines boards by what a run of a plan measured: how much longer than by its costs a board computes each stage, and how
//! fast links carry bytes and messages.
//!
//! 1. `tasks` computes again what every task of that plan takes on every board by its costs.
//! 2. `scales` compares these seconds with those that workers measured: a factor per board and stage, and one for the tail.
//!    What was not measured of a board has the board's mean; a board without any measurement has the mean of those with
//!    the same kernels.
//! 3. `links` schedules the plan with these factors and with faster and slower links, and takes the links with which the
//!    schedule ends its stages when the run did.

mod links;
mod scales;
mod tasks;

pub use tasks::times as task_times;

use tessera_plan::{
    dataflow::{DataflowError, TaskGraph},
    files::{counters::FrameRun, statistics::TaskWork},
    graph::Graph,
    plan::Plan,
};

use crate::options::PlanOptions;

/// What a run measured.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// What each edge computed, with the edge's id.
    pub edges: Vec<(u16, Vec<TaskWork>)>,
    /// Seconds of the tail on the gateway, on average.
    pub tail_s: Option<f64>,
    /// The frames of each source, with the source's id.
    pub frames: Vec<(u16, FrameRun)>,
}

/// Why a run cannot refine a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefineError {
    /// The run's network is another one.
    #[error("the run was of another network; give the model that it ran")]
    Network,
    /// None of the run's boards is among those to plan for.
    #[error(
        "none of the run's boards ({run}) is among those to plan for ({wanted}); boards are compared by name"
    )]
    Boards {
        /// Names of the run's boards.
        run: String,
        /// Names of the boards to plan for.
        wanted: String,
    },
    /// Nothing was computed, or the run does not say how long it took.
    #[error("the run says of no task how long it took")]
    Nothing,
    /// The run's plan contradicts itself.
    #[error(transparent)]
    Dataflow(#[from] DataflowError),
}

/// Refines the boards of `options` by a run of `plan`; returns what has changed, in sentences.
///
/// # Errors
/// When the run does not fit the network or the boards, or measured nothing.
pub fn refine(
    graph: &Graph,
    options: &mut PlanOptions,
    plan: &Plan,
    measured: &Measured,
) -> Result<Vec<String>, RefineError> {
    if plan.network != *graph {
        return Err(RefineError::Network);
    }
    let tasks = TaskGraph::with_progress(plan)?;
    let places = places(options, plan)?;
    let mut used = options.as_planned(plan);
    let mut said = scales::refine(graph, &mut used, plan, &places, measured)?;
    said.extend(links::refine(
        graph, &mut used, plan, &tasks, &places, measured,
    ));
    // Another plan may use the cores in another way.
    let refined = used.boards.into_iter().chain([used.gateway]);
    let boards = options.boards.iter_mut().chain([&mut options.gateway]);
    for (board, refined) in boards.zip(refined) {
        (board.scale, board.link) = (refined.scale, refined.link);
    }
    Ok(said)
}

/// For each board to plan for: its id in the run, if it took part.
fn places(options: &PlanOptions, plan: &Plan) -> Result<Vec<Option<u16>>, RefineError> {
    let id = |name: &str| {
        let board = plan.boards.iter().find(|b| b.id > 0 && b.name == name)?;
        u16::try_from(board.id).ok()
    };
    let places: Vec<Option<u16>> = options.boards.iter().map(|b| id(&b.name)).collect();
    if places.iter().all(Option::is_none) {
        let names = |list: &mut dyn Iterator<Item = &str>| list.collect::<Vec<_>>().join(", ");
        return Err(RefineError::Boards {
            run: names(
                &mut plan
                    .boards
                    .iter()
                    .filter(|b| b.id > 0)
                    .map(|b| b.name.as_str()),
            ),
            wanted: names(&mut options.boards.iter().map(|b| b.name.as_str())),
        });
    }
    Ok(places)
}
