//! Advice on the size of the network's input, for maps that do not fit together.
//!
//! Joined maps have equal sizes when every layer before the join divides sides without a remainder: when the
//! input's sides are multiples of the factor by which the network shrinks maps. A trial finds that factor: the
//! planner lowers the network for an input whose side has many divisors, and compares the maps with the input.

use std::collections::BTreeSet;

use super::{Lowering, layers};
use crate::cfg::lex::Section;
use tessera_plan::{graph::Darknet, region::Shape};

/// Side of the trial's input, 2^7 * 3 * 5: networks shrink by up to 64, seldom 128. Larger maps would pass what is possible.
const TRIAL_SIDE: usize = 1920;

/// Advice for layers whose maps do not fit.
#[derive(Debug, Default)]
pub(crate) struct Advice {
    /// The input size that helps; empty if the trial found none.
    size: String,
    /// Layers that misfit in the trial too: their maps differ at any size.
    hopeless: BTreeSet<usize>,
}

impl Advice {
    /// The help for `layer`: the size of input that makes its maps fit, or `otherwise`.
    pub fn or(&self, layer: usize, otherwise: &str) -> String {
        if self.size.is_empty() || self.hopeless.contains(&layer) {
            otherwise.into()
        } else {
            self.size.clone()
        }
    }
}

/// Advice for a network whose input of `given` leaves maps that do not fit.
pub(super) fn advice(rest: &[Section], darknet: Darknet, given: Shape) -> Advice {
    let lowered = |h: usize, w: usize, read: &mut dyn FnMut(&Lowering<'_>)| -> BTreeSet<usize> {
        let mut unread = Vec::new();
        let mut l = Lowering::new(darknet, Some(Shape::new(h, w, given.c)), &mut unread);
        layers(&mut l, rest);
        read(&l);
        l.misfits.into_inner()
    };
    let (mut strides_y, mut strides_x) = (BTreeSet::new(), BTreeSet::new());
    let hopeless = lowered(TRIAL_SIDE, TRIAL_SIDE, &mut |l| {
        strides_y.extend(l.nodes.iter().filter_map(|n| stride(n.shape.h)));
        strides_x.extend(l.nodes.iter().filter_map(|n| stride(n.shape.w)));
    });
    let (down_y, down_x) = (common(&strides_y), common(&strides_x));
    let (h, w) = (
        given.h.next_multiple_of(down_y),
        given.w.next_multiple_of(down_x),
    );
    // The advice names a size only if the network fits at that size.
    let still = lowered(h, w, &mut |_| ());
    let size = if !still.is_subset(&hopeless) {
        String::new()
    } else if down_x == down_y {
        format!("make width and height of [net] multiples of {down_x}, as in {w} x {h}")
    } else {
        format!(
            "make the width of [net] a multiple of {down_x} and its height one of {down_y}, as in {w} x {h}"
        )
    };
    Advice { size, hopeless }
}

/// The factor by which a map of the trial is smaller than the input, if the factor is a whole number. `None`
/// for single values (global pools, connected layers), which come of any input.
fn stride(side: usize) -> Option<usize> {
    (side > 1 && TRIAL_SIDE.is_multiple_of(side)).then(|| TRIAL_SIDE / side)
}

/// The least common multiple of `strides`, all of which divide [`TRIAL_SIDE`].
fn common(strides: &BTreeSet<usize>) -> usize {
    let all_divide = |n: &usize| strides.iter().all(|s| n.is_multiple_of(*s));
    (1..=TRIAL_SIDE).find(all_divide).unwrap_or(TRIAL_SIDE)
}
