//! What kernels are chosen for.

use tessera_plan::plan::Isa;

use super::{costs::CostTable, stored::Storage};

/// Which kernels may be planned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// Direct ones: sums in one order, the same bits wherever tiles lie.
    Direct,
    /// What costs less.
    #[default]
    Auto,
    /// Winograd's F(m x m, 3 x 3) wherever it is possible.
    Winograd(usize),
}

/// What kernels are chosen for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Instruction set.
    pub isa: Isa,
    /// Kernels to choose from.
    pub family: Family,
    /// Tiles per call of a Winograd kernel, about: see [`super::winograd::TILES`].
    pub tiles: usize,
    /// How weights are stored.
    pub weights: Storage,
    /// How fast kernels are; without it formulas for x86-64 say it, and others are direct.
    pub costs: Option<&'a CostTable>,
}
