//! Forms: the runs of layers that a stage cut by output channels can have, where weights outnumber the values that come and
//! go. Elsewhere tiles are better.

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
        (2..=self.most).contains(&ranges)
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
