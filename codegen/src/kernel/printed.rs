//! What every generator is handed.

use tessera_plan::plan::{ConvKernel, Isa};

use crate::uses::Uses;

/// A kernel to print, for blocks of `channels` existing output channels.
pub(super) struct Printed<'a> {
    pub k: &'a ConvKernel,
    pub isa: Isa,
    /// Name of the kernel's module and, of direct ones, its function.
    pub name: &'a str,
    /// Existing output channels of a block.
    pub channels: usize,
    /// Imports of the module.
    pub uses: &'a Uses,
}
