//! Plans whose halos are exchanged, made of the plans that the search has found.

use rayon::prelude::*;

use super::{candidate::Candidate, choice::Choice, found::Found};
use crate::stages::{StageCuts, exchanged};
use tessera_plan::plan::Border;

/// Plans that are tried with halos exchanged.
const TRIED: usize = 24;
/// Plans that these are made of, at most: many of them become the same.
const SEEN: usize = 240;

impl Found<'_> {
    /// Adds the best plans with halos exchanged, unless flags want them computed again. Where flags name policies, only
    /// plans of these policies stay.
    pub(super) fn with_borders(&mut self) {
        let o = self.o;
        let tried = match o.borders.as_slice() {
            [] => &[Border::Exchange],
            asked => asked,
        };
        if !tried.contains(&Border::Exchange) {
            return;
        }
        let mut plans: Vec<StageCuts> = Vec::new();
        for c in self.list.iter().filter(|c| has_stages(c)).take(SEEN) {
            let made = exchanged(self.graph, (o.dump, o.split), &c.cuts, tried);
            match made {
                Ok(cuts) if !plans.contains(&cuts) => plans.push(cuts),
                _ => {}
            }
            if plans.len() == TRIED {
                break;
            }
        }
        let evaluator = self.evaluator();
        let timed: Vec<Candidate> = (plans.par_iter())
            .filter_map(|cuts| evaluator.candidate(cuts)?.ok())
            .collect();
        if !o.borders.is_empty() && !timed.is_empty() {
            self.list.retain(|c| !has_stages(c));
        }
        self.add(timed);
    }

    /// Names the best plan with the other policy for halos.
    pub(super) fn other_border(&self, choice: Choice) -> Option<String> {
        let exchanges = |c: &Candidate| c.cuts.borders.contains(&Border::Exchange);
        let taken = exchanges(&self.list[choice.best]);
        let mut others = self.list.iter().skip(choice.first_fit);
        let other = others.find(|c| has_stages(c) && c.fits() && exchanges(c) != taken)?;
        let what = if taken { "computed again" } else { "exchanged" };
        Some(format!("best with halos {what}: {}", self.shown(other)))
    }
}

fn has_stages(c: &Candidate) -> bool {
    !c.cuts.ends.is_empty()
}
