//! Possible plans, as the search found them.

use super::{candidate::Candidate, evaluate::Evaluator, forms::Form, stages::Stages, tails::Tails};
use crate::{error::PlanError, options::PlanOptions};
use tessera_plan::graph::Graph;

/// Possible plans, the best first.
pub(crate) struct Found<'a> {
    pub(super) graph: &'a Graph,
    pub(super) o: &'a PlanOptions,
    pub(super) list: Vec<Candidate>,
    pub(super) stages: Stages<'a>,
    pub(super) tails: Tails,
    /// Layers behind which stages may end.
    pub(super) points: Vec<usize>,
    /// Layers behind which a stage's end may move: more than those.
    pub(super) ends: Vec<usize>,
    /// Layers that stages cut by channels can have.
    pub(super) forms: Vec<Form>,
    /// Speeds of the edges' cores, in the order in which they get tiles.
    pub(super) rates: Vec<f64>,
}

impl<'a> Found<'a> {
    /// Times plans on the boards that the plan is for.
    pub(super) fn evaluator(&self) -> Evaluator<'_> {
        self.evaluator_for(self.o)
    }

    /// Times plans on other boards of the same kinds.
    pub(super) fn evaluator_for<'b>(&'b self, o: &'b PlanOptions) -> Evaluator<'b> {
        Evaluator {
            graph: self.graph,
            o,
            stages: &self.stages,
            tails: &self.tails,
        }
    }

    /// Adds plans, leaves out those that are there already, and sorts all by [`Candidate::order`].
    pub(super) fn add(&mut self, more: impl IntoIterator<Item = Candidate>) {
        self.list.extend(more);
        self.list.sort_by(Candidate::order);
        self.list.dedup_by(|a, b| a.cuts == b.cuts);
    }

    /// The error if there is no plan.
    pub(super) fn nothing(&self, refusal: Option<PlanError>) -> PlanError {
        let reason = self.stages.refused().1.or(refusal);
        reason.map_or(PlanError::NoEdgeLayers, |e| PlanError::NothingFound {
            reason: e.to_string(),
        })
    }
}
