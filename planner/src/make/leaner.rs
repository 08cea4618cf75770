//! Kernels that work in less memory.

use crate::{
    kernel::{Family, Storage},
    options::PlanOptions,
};

/// Tiles a call that a memory limit may bring Winograd kernels down to.
const TILES_LEAN: [usize; 3] = [32, 16, 8];

/// The same with kernels that work in less memory, each in less than the one before, and what is said
/// of them.
pub(super) fn leaner(options: &PlanOptions) -> Vec<(PlanOptions, String)> {
    if options.family() == Family::Direct {
        return Vec::new();
    }
    let mut list = Vec::new();
    let mut options = options.clone();
    if options.weights == Storage::Auto {
        options.weights = options.weights.plain();
        let why = "weights: none stored transformed, for the memory limit".into();
        list.push((options.clone(), why));
    }
    let tiles = TILES_LEAN
        .into_iter()
        .filter(|n| *n < options.tiles)
        .map(|tiles| {
            let why = format!(
                "kernels: Winograd's take about {tiles} tiles a call instead of {}, for the memory limit",
                options.tiles
            );
            let lean = PlanOptions {
                tiles,
                ..options.clone()
            };
            (lean, why)
        });
    list.extend(tiles);
    if options.kernels == Family::Auto {
        let lean = PlanOptions {
            kernels: Family::Direct,
            ..options
        };
        list.push((lean, "kernels: direct ones, for the memory limit".into()));
    }
    list
}
