//! A convolution of one chain: the blocks of its direct kernel, and whether Winograd's is faster.

use tessera_plan::{
    graph::{Conv, Graph, Node, Op},
    kernel::{
        mr_max, takes_winograd, vector,
        winograd::{Sizes, transformed_floats},
    },
    plan::{Algorithm, Isa},
};

use super::{
    blocks,
    costs::Kernel,
    stored::Storage,
    wanted::{Family, Wanted},
    winograd,
    work::Work,
};

/// Channels on either side from which on formulas choose Winograd kernels: costs of fewer were not
/// measured.
const CHANNELS_MIN: usize = 16;

/// What a convolution makes in one chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Made {
    /// Rows and columns that the kernel writes.
    pub size: [usize; 2],
    /// True if the written values are maxima of 2x2 sums.
    pub pool: bool,
    /// True if the kernel computes all rows as one long row: see [`super::is_joined`].
    pub joined: bool,
}

/// A convolution and the map that it makes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layer<'a> {
    pub conv: &'a Conv,
    pub node: &'a Node,
    /// Channels of the layer's input.
    pub cin: usize,
    pub work: Work,
    /// Rows and columns of sums.
    pub sums: [usize; 2],
    pub pool: bool,
    pub joined: bool,
    pub isa: Isa,
}

/// A kernel for a layer: pixels and channels per block, and how sums are formed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    pub mr: usize,
    pub nr: usize,
    pub algorithm: Algorithm,
}

impl Choice {
    /// The kernel's name in tables of costs.
    pub fn kernel(&self) -> Option<Kernel> {
        match self.algorithm.tile() {
            None => Some(Kernel::Direct),
            Some(m) => Kernel::of_tile(m),
        }
    }
}

impl<'a> Layer<'a> {
    /// The layer of a convolution; `None` for other operations.
    pub fn new(graph: &Graph, node: &'a Node, made: Made, isa: Isa) -> Option<Self> {
        let Op::Conv(conv) = &node.op else {
            return None;
        };
        let cin = graph.shape(node.inputs[0]).c;
        let depthwise = conv.is_depthwise(cin, node.shape.c);
        let group_depth = if depthwise { 1 } else { cin / conv.groups };
        let filters = node.shape.c / conv.groups;
        let side = if made.pool { 2 } else { 1 };
        Some(Self {
            conv,
            node,
            cin,
            work: Work {
                filters: if depthwise { node.shape.c } else { filters },
                depth: conv.size * conv.size * group_depth,
                depthwise,
            },
            sums: made.size.map(|n| side * n),
            pool: made.pool,
            joined: made.joined,
            isa,
        })
    }

    /// Chooses the kernel.
    pub fn choose(&self, wanted: Wanted<'_>) -> Choice {
        let direct = self.direct();
        let chosen = match wanted.family {
            Family::Direct => None,
            Family::Winograd(m) => self.by_winograd(m, direct.nr, wanted.weights),
            Family::Auto => self.faster(direct, wanted),
        };
        chosen.unwrap_or(direct)
    }

    /// The direct kernel.
    fn direct(&self) -> Choice {
        let [h, w] = self.sums;
        // A row of pixels, and the most that a block may have: rows may come one by one.
        let row = if self.joined { [w * h, w] } else { [w; 2] };
        let whole = self.node.shape.w;
        let [nr, mr] = blocks::direct(self.work, self.isa, whole, row, self.pool);
        Choice {
            mr,
            nr,
            algorithm: Algorithm::Direct,
        }
    }

    /// Winograd's kernel of tiles of `m x m`, where it is possible.
    fn by_winograd(&self, m: usize, nr: usize, weights: Storage) -> Option<Choice> {
        let lanes = vector(self.isa);
        let size = [self.cin, self.sums[1]];
        let possible = winograd::is_possible(self.conv, self.node, size, m, lanes);
        if !possible || !takes_winograd(self.isa, nr) {
            return None;
        }
        let depth = winograd::depth(m, self.cin, nr, lanes);
        let floats = self.work.filters.div_ceil(nr) * transformed_floats(m, [self.cin, depth], nr);
        let stored = weights.transforms(floats);
        Some(Choice {
            mr: mr_max(self.isa, nr),
            nr,
            algorithm: Algorithm::Winograd { m, depth, stored },
        })
    }

    /// The fastest Winograd kernel, if it is worth it.
    fn faster(&self, direct: Choice, wanted: Wanted<'_>) -> Option<Choice> {
        let mut best = (None, self.price(&direct, wanted)?);
        let kernels = [2, 4, 6].into_iter();
        for k in kernels.filter_map(|m| self.by_winograd(m, direct.nr, wanted.weights)) {
            let Some(price) = self.price(&k, wanted) else {
                continue;
            };
            if f64::from(margin(&k)) * price < 10.0 * best.1 {
                best = (Some(k), price);
            }
        }
        best.0
    }

    /// What a kernel costs beside others for the same layer: seconds of a table, or half cycles; `None`
    /// where neither is known.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn price(&self, k: &Choice, wanted: Wanted<'_>) -> Option<f64> {
        if let Some(table) = wanted.costs {
            return table.seconds(k.kernel()?, self.cin, self.node.shape.c, self.sums);
        }
        let x86 = matches!(self.isa, Isa::X86_64V3 | Isa::X86_64V4);
        if !x86 || self.cin.min(self.work.filters) < CHANNELS_MIN {
            return None;
        }
        let [h, w] = self.sums;
        Some(match self.winograd(k) {
            None => blocks::x86(self.work, self.isa).row(k.nr, k.mr, w) * h,
            Some(s) => blocks::x86(self.work, self.isa).winograd(&s, k.mr, self.sums, wanted.tiles),
        } as f64)
    }

    /// The sizes of a Winograd kernel; `None` for a direct one.
    pub fn winograd(&self, k: &Choice) -> Option<Sizes> {
        match k.algorithm {
            Algorithm::Direct => None,
            Algorithm::Winograd { m, depth, stored } => Some(Sizes {
                m,
                cin: self.cin,
                depth,
                nr: k.nr,
                stored,
            }),
        }
    }
}

/// Tenths by which a kernel must be faster than one of smaller tiles. Larger tiles round more, the
/// largest ones ten times as much: they are for large gains.
fn margin(k: &Choice) -> u32 {
    if k.algorithm.tile() == Some(6) {
        12
    } else {
        11
    }
}
