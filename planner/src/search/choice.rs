//! Chooses one of the plans that the search found.

use rayon::prelude::*;

use super::{candidate::Candidate, found::Found};
use crate::{error::PlanError, stages::StageCuts};

/// The decision, as indices of plans in ascending order of price.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice {
    /// The fastest plan that keeps the memory limit.
    pub first_fit: usize,
    /// The chosen plan.
    pub best: usize,
}

/// Builds a plan with these homes; returns the bytes on the edge with the least memory to spare, and that edge's limit.
pub(crate) type Exact<'a> = &'a (dyn Fn(&StageCuts, &[usize]) -> (u64, u64) + Sync);

impl Found<'_> {
    /// Stages and grids of a choice.
    pub fn cuts(&self, choice: Choice) -> &StageCuts {
        &self.list[choice.best].cuts
    }

    /// What the goal minimises, of a choice.
    pub fn price(&self, choice: Choice) -> f64 {
        self.list[choice.best].price
    }

    /// Homes of a choice's tasks.
    pub fn homes(&self, choice: Choice) -> &[usize] {
        &self.list[choice.best].seconds.homes
    }

    /// Chooses a plan; `exact` builds a plan to know its exact memory.
    ///
    /// # Errors
    /// When no plan fits the memory limit.
    pub fn choose(&self, exact: Exact<'_>) -> Result<Choice, PlanError> {
        let fits = |c: &Candidate| {
            c.fits() && {
                let (needed, limit) = exact(&c.cuts, &c.seconds.homes);
                needed <= limit
            }
        };
        let first_fit = (0..self.list.len())
            .into_par_iter()
            .by_exponential_blocks()
            .find_first(|i| fits(&self.list[*i]));
        let Some(first_fit) = first_fit else {
            return Err(self.too_large(exact));
        };
        Ok(Choice {
            first_fit,
            best: self.fewest_stages(first_fit, &fits),
        })
    }

    /// Index of the plan with the fewest stages among the plans that are at most 1 % slower than `best`, the
    /// fastest possible plan. Of several such plans, the fastest.
    fn fewest_stages(&self, best: usize, fits: &dyn Fn(&Candidate) -> bool) -> usize {
        let list = &self.list;
        let stages = |i: usize| list[i].cuts.ends.len();
        let limit = list[best].price * 1.01;
        let mut near: Vec<usize> = (best..list.len())
            .take_while(|i| list[*i].price <= limit)
            .filter(|i| stages(*i) < stages(best))
            .collect();
        near.sort_by_key(|i| (stages(*i), *i));
        near.into_iter().find(|i| fits(&list[*i])).unwrap_or(best)
    }

    /// The error that names the bytes of the smallest plan.
    fn too_large(&self, exact: Exact<'_>) -> PlanError {
        let least = self.list.iter().min_by_key(|c| c.needed());
        let (smallest, limit) = least.map_or((0, 0), |c| exact(&c.cuts, &c.seconds.homes));
        PlanError::Memory { limit, smallest }
    }
}
