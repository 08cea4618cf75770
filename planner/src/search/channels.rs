//! Stages that are cut by output channels, for layers with small maps and many weights.
//!
//! Forms are the runs of layers that such a stage can have, where weights outnumber the values that come and go: elsewhere
//! tiles are better. Plans with such stages are made of plans without: by putting one into a plan (`with_form`), or one after
//! the other from some layer on ([`Found::with_channels`]).

use super::{candidate::Candidate, choice::Choice, found::Found};
use crate::{
    ftp::{StageGraph, first_barrier, work::per_pixel},
    options::PlanOptions,
    stages::{Blocks, Shares, StageCuts, shares, wanted},
};
use tessera_plan::{
    graph::{Graph, NodeIx, Op, TensorIx},
    plan::Border,
};

/// Most layers of a form: two convolutions, and pools between.
const LAYERS_MAX: usize = 4;

/// Layers that a stage cut by channels can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    pub first: usize,
    pub end: usize,
    /// True for a pair of convolutions.
    pub is_pair: bool,
    /// The largest number of ranges.
    most: usize,
}

/// The forms of a network, by first layer and end. Pairs add partial sums, so they are left out where bits are to be those
/// of the uncut network, and where dumps show all layers.
pub(super) fn forms(graph: &Graph, o: &PlanOptions) -> Vec<Form> {
    let wanted = wanted(graph, o.dump);
    let last = first_barrier(graph).unwrap_or(graph.layers.len());
    let mut list = Vec::new();
    for first in 0..last {
        for end in first + 1..=last.min(first + LAYERS_MAX) {
            let stage = StageGraph::new(graph, first, end, &wanted);
            if stage.outputs.is_empty() || !is_heavy(graph, &stage) {
                continue;
            }
            let Ok(blocks) = Blocks::new(graph, &stage, o) else {
                continue;
            };
            let (is_pair, most) = (blocks.is_pair(), blocks.most());
            if most > 1 && !(is_pair && (o.exact || o.dump)) {
                list.push(Form {
                    first,
                    end,
                    is_pair,
                    most,
                });
            }
        }
    }
    list
}

/// Whether a stage's convolutions have more weights than the stage reads and makes values.
fn is_heavy(graph: &Graph, stage: &StageGraph) -> bool {
    let is_conv = |n: &&NodeIx| matches!(graph.nodes[**n].op, Op::Conv(_));
    let convs = stage.nodes.iter().filter(is_conv);
    let weights: u64 = convs.map(|n| per_pixel(graph, *n)).sum();
    let values = |list: &[TensorIx]| -> usize { list.iter().map(|t| graph.shape(*t).len()).sum() };
    weights > (values(&stage.inputs) + values(&stage.outputs)) as u64
}

impl Form {
    /// Ranges of this form for so many cores: one for each, as far as there are whole blocks.
    pub fn ranges(&self, cores: usize) -> usize {
        cores.min(self.most)
    }

    /// Whether the form can be cut into so many ranges.
    pub fn allows(&self, ranges: usize) -> bool {
        (1..=self.most).contains(&ranges)
    }

    /// The numbers of ranges, and their shares, that a plan may try: equal ranges, and ranges by the speed of cores.
    pub fn cut(&self, ranges: usize, rates: &[f64]) -> Vec<([usize; 2], Option<Shares>)> {
        let grid = [1, ranges];
        let mut list = vec![(grid, None)];
        list.extend(shares(rates, grid).map(|s| (grid, Some(s))));
        list
    }
}

/// The plan `cuts` with the layers of a form in a stage of their own, which is cut by channels. What else their stages had
/// stays in stages of the same grids. A form may begin where the plan's stages end.
pub(super) fn with_form(
    cuts: &StageCuts,
    form: Form,
    (grid, by_speed): &([usize; 2], Option<Shares>),
) -> StageCuts {
    let mut list = StageCuts::default();
    let mut is_in = false;
    for (i, (first, end)) in cuts.spans().enumerate() {
        let keep = |list: &mut StageCuts, end| {
            let (shares, border) = (cuts.shares[i].clone(), cuts.borders[i]);
            list.push(end, cuts.grids[i], shares, cuts.channels[i], border);
        };
        if first < form.first {
            keep(&mut list, end.min(form.first));
        }
        if end > form.first && !is_in {
            list.push(form.end, *grid, by_speed.clone(), true, Border::Recompute);
            is_in = true;
        }
        if end > form.end {
            keep(&mut list, end);
        }
    }
    if !is_in {
        list.push(form.end, *grid, by_speed.clone(), true, Border::Recompute);
    }
    list
}

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
        let mut bases: Vec<&StageCuts> = [
            self.list.iter().find(|c| stages(c) == 1),
            self.list.iter().find(|c| stages(c) > 1),
            self.list.iter().find(|c| stages(c) == 1 && is_far(c)),
            self.list.iter().find(|c| stages(c) > 1 && is_far(c)),
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
                .filter(|f| f.first == at && f.end <= base.offload() && (pairs || !f.is_pair));
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
    pub(super) fn by_channels(&self, choice: Choice) -> Option<String> {
        let best = &self.list[choice.best];
        let taken = has_channels(best);
        let mut others = self.list.iter().skip(choice.first_fit);
        let other =
            others.find(|c| c.fits() && !c.cuts.ends.is_empty() && has_channels(c) != taken);
        if !taken {
            return Some(match other {
                Some(c) => format!("best with stages cut by channels: {}", self.shown(c)),
                None if self.forms.is_empty() => return None,
                None if self.list.iter().any(has_channels) => {
                    "no plan with stages cut by channels fits into the boards' memory".into()
                }
                None => "no plan with stages cut by channels was worth timing".into(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_takes_its_layers_out_of_the_stages_around() {
        let base = StageCuts::equal(vec![4, 9], vec![[2, 2], [3, 1]]);
        let cut = ([1, 5], None);
        let at = |first, end| {
            let form = Form {
                first,
                end,
                is_pair: false,
                most: 8,
            };
            let made = with_form(&base, form, &cut);
            (made.ends.clone(), made.grid_names().join(","))
        };
        assert_eq!(at(5, 6), (vec![4, 5, 6, 9], "2x2,3x1,5c,3x1".into()));
        assert_eq!(at(3, 6), (vec![3, 6, 9], "2x2,5c,3x1".into()));
        assert_eq!(at(4, 9), (vec![4, 9], "2x2,5c".into()));
        assert_eq!(at(0, 4), (vec![4, 9], "5c,3x1".into()));
        assert_eq!(at(8, 10), (vec![4, 8, 10], "2x2,3x1,5c".into()));
        assert_eq!(at(9, 11), (vec![4, 9, 11], "2x2,3x1,5c".into()));
    }
}
