//! Plans whose halos are exchanged, or whose borders are reused, made of the plans that the search has found.

use rayon::prelude::*;

use super::{candidate::Candidate, choice::Choice, found::Found};
use crate::stages::{StageCuts, exchanged};
use tessera_plan::plan::{Border, Placement};

/// Plans that are tried with another policy.
const TRIED: usize = 24;
/// Plans that these are made of, at most: many of them become the same.
const SEEN: usize = 240;

impl Found<'_> {
    /// Adds the best plans with halos exchanged and with borders reused, unless flags want them computed again. Where flags
    /// name policies, only plans of these policies stay.
    pub(super) fn with_borders(&mut self) {
        let asked = self.o.borders.clone();
        let all = [[Border::Exchange].as_slice(), &[Border::Reuse]];
        let tried: Vec<&[Border]> = match asked.as_slice() {
            [] => all.into_iter().filter(|b| self.makes_sense(b)).collect(),
            asked => vec![asked],
        };
        let mut timed: Vec<Candidate> = Vec::new();
        for borders in tried {
            if borders.iter().any(|b| *b != Border::Recompute) {
                timed.extend(self.tried_with(borders));
            }
        }
        if asked.iter().any(|b| *b != Border::Recompute) && !timed.is_empty() {
            self.list.retain(|c| !has_stages(c));
        }
        self.add(timed);
    }

    /// With work sharing, strips would travel through the gateway.
    fn makes_sense(&self, borders: &[Border]) -> bool {
        !borders.contains(&Border::Reuse) || self.o.placement != Placement::Share
    }

    /// The best plans with these policies.
    fn tried_with(&self, borders: &[Border]) -> Vec<Candidate> {
        let o = self.o;
        let mut plans: Vec<StageCuts> = Vec::new();
        for c in self.list.iter().filter(|c| has_stages(c)).take(SEEN) {
            let made = exchanged(self.graph, (o.dump, o.split), &c.cuts, borders);
            match made {
                Ok(cuts) if !plans.contains(&cuts) && differs(&cuts) => plans.push(cuts),
                _ => {}
            }
            if plans.len() == TRIED {
                break;
            }
        }
        let evaluator = self.evaluator();
        let timed = plans.par_iter();
        timed
            .filter_map(|cuts| evaluator.candidate(cuts)?.ok())
            .collect()
    }

    /// Names the best plan of every other policy for halos.
    pub(super) fn other_borders(&self, choice: Choice) -> Vec<String> {
        let taken = policy(&self.list[choice.best]);
        let others = [Border::Recompute, Border::Exchange, Border::Reuse];
        let best_of = |border: Border| {
            let mut others = self.list.iter().skip(choice.first_fit);
            let other = others.find(|c| has_stages(c) && c.fits() && policy(c) == border)?;
            let what = match border {
                Border::Recompute => "halos computed again",
                Border::Exchange => "halos exchanged",
                Border::Reuse => "borders reused",
            };
            Some(format!("best with {what}: {}", self.shown(other)))
        };
        let others = others.into_iter().filter(|b| *b != taken);
        others.filter_map(best_of).collect()
    }
}

fn has_stages(c: &Candidate) -> bool {
    !c.cuts.ends.is_empty()
}

/// Whether some stage has another policy than to compute its halo again.
fn differs(cuts: &StageCuts) -> bool {
    cuts.borders.iter().any(|b| *b != Border::Recompute)
}

/// The policy of a plan's stages that tells it from others.
fn policy(c: &Candidate) -> Border {
    let other = c.cuts.borders.iter().find(|b| **b != Border::Recompute);
    other.copied().unwrap_or_default()
}
