//! By what kernels are chosen.

use tessera_plan::plan::Isa;

use super::{costs::CostTable, stored::Storage};

/// Which kernels may be chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// Direct kernels: sums have one order, so bits do not depend on where tiles lie.
    Direct,
    /// The kernels that take the least time.
    #[default]
    Auto,
    /// Winograd's F(m x m, 3 x 3) wherever it can compute the layer.
    Winograd(usize),
}

/// By what kernels are chosen.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The instruction set.
    pub isa: Isa,
    /// Kernels to choose from.
    pub family: Family,
    /// About how many tiles a call of a Winograd kernel computes: see [`super::winograd::TILES`].
    pub tiles: usize,
    /// How weights are stored.
    pub weights: Storage,
    /// The speeds of kernels. Without a table, formulas are used on x86-64, and kernels of other instruction
    /// sets are direct.
    pub costs: Option<&'a CostTable>,
}

impl Wanted<'_> {
    /// The same with direct kernels alone.
    #[must_use]
    pub const fn direct(self) -> Self {
        Self {
            family: Family::Direct,
            ..self
        }
    }
}
