//! Plans with stages that are cut by output channels, for layers with small maps and many weights. They are made of plans
//! without: by putting a form into a plan ([`with_form`]), or one after the other from some layer on.

use super::{
    candidate::Candidate,
    choice::Choice,
    forms::{Form, with_form},
    found::Found,
    given::Given,
};
use crate::stages::{Shares, StageCuts};

impl Found<'_> {
    /// Plans whose late layers are cut by channels, made of the best plans of several sorts: from every form's first layer
    /// on, with pairs and without.
    pub(super) fn with_channels(&self) -> Vec<StageCuts> {
        let (rates, cores) = (self.rates_of_tiles(), self.o.cores());
        let farthest = self.list.iter().map(|c| c.cuts.offload()).max();
        let mut plans: Vec<StageCuts> = Vec::new();
        for base in self.bases(farthest.unwrap_or(0)) {
            for (k, from) in self.forms.iter().enumerate() {
                let begins = k == 0 || self.forms[k - 1].first != from.first;
                for pairs in [false, true] {
                    for by_speed in [false, true] {
                        let rates = if by_speed { rates } else { &[] };
                        let begins = begins && from.end <= base.offload();
                        let made = begins.then(|| {
                            self.all_from(base, from.first, pairs, |form| {
                                form.cut(form.ranges(cores), rates).pop()
                            })
                        });
                        plans.extend(made.flatten());
                    }
                }
            }
        }
        plans.sort_unstable();
        plans.dedup();
        plans
    }

    /// The best plans of several sorts, whether or not they fit into memory.
    fn bases(&self, farthest: usize) -> Vec<&StageCuts> {
        let stages = |c: &Candidate| c.cuts.ends.len();
        let is_far = |c: &Candidate| c.cuts.offload() == farthest;
        let leanest = self.list.iter().filter(|c| is_far(c) && c.memory.is_some());
        let mut bases: Vec<&StageCuts> = [
            self.list.iter().find(|c| stages(c) == 1),
            self.list.iter().find(|c| stages(c) > 1),
            self.list.iter().find(|c| stages(c) == 1 && is_far(c)),
            self.list.iter().find(|c| stages(c) > 1 && is_far(c)),
            leanest.min_by_key(|c| c.needed()),
        ]
        .into_iter()
        .flatten()
        .map(|c| &c.cuts)
        .collect();
        bases.sort_unstable();
        bases.dedup();
        bases
    }

    /// The plan `base` with every form from layer `from` on, the longest one first, of pairs where wanted; `None` if there is
    /// none.
    fn all_from(
        &self,
        base: &StageCuts,
        from: usize,
        pairs: bool,
        cut: impl Fn(&Form) -> Option<([usize; 2], Option<Shares>)>,
    ) -> Option<StageCuts> {
        let (mut cuts, mut at, mut any) = (base.clone(), from, false);
        while at < base.offload() {
            let here = self
                .forms
                .iter()
                .filter(|f| f.first == at && f.end <= base.offload() && (pairs || !f.is_pair))
                .filter(|f| f.allows(f.ranges(self.o.cores())));
            match here.max_by_key(|f| (f.is_pair, f.end)) {
                Some(form) => {
                    cuts = with_form(&cuts, *form, &cut(form)?);
                    (at, any) = (form.end, true);
                }
                None => at += 1,
            }
        }
        any.then_some(cuts)
    }

    /// Says which layers are cut by channels, and what the best plan of the other kind takes.
    pub(super) fn by_channels(&self, given: &Given, choice: Choice) -> Option<String> {
        let best = &self.list[choice.best];
        let taken = has_channels(best);
        let mut others = self.list.iter().skip(choice.first_fit);
        let other =
            others.find(|c| c.fits() && !c.cuts.ends.is_empty() && has_channels(c) != taken);
        if !taken {
            if !given.may_cut() {
                return None;
            }
            return Some(match other {
                Some(c) => format!("best with stages cut by channels: {}", self.shown(c)),
                None if self.forms.is_empty() => return None,
                None if self.list.iter().any(has_channels) => {
                    "no plan with stages cut by channels fits into the boards' memory".into()
                }
                None => "no plan with stages cut by channels was possible".into(),
            });
        }
        let stages = best.cuts.spans().zip(&best.cuts.channels);
        let layers = stages.filter(|(_, by_channels)| **by_channels);
        let layers = layers.map(|((first, end), _)| match end - first {
            1 => first.to_string(),
            _ => format!("{first} to {}", end - 1),
        });
        let layers: Vec<String> = layers.collect();
        let without = other.map_or_else(
            || "no other plan fits into the boards' memory".into(),
            |c| format!("best without: {}", self.shown(c)),
        );
        Some(format!(
            "cut by channels, so that each board reads its part of the weights: layers {}; {without}",
            layers.join(", ")
        ))
    }
}

/// Whether a plan has stages that are cut by channels.
pub(super) fn has_channels(c: &Candidate) -> bool {
    c.cuts.channels.contains(&true)
}
