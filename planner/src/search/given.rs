//! Limits of the search: the grids and stage ends that flags fix.

/// Largest number of parts per axis that the search tries.
const PARTS_MAX: usize = 6;

/// Limits of the search: the grids and stage ends that flags fix.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    /// Grids to try, each for all stages.
    pub grids: Vec<[usize; 2]>,
    /// The given stage ends (with one entry: the given offload point); `None` if the search chooses them.
    pub ends: Option<Vec<usize>>,
    /// Whether more stages than asked for may be planned.
    pub more_stages: bool,
}

impl Given {
    /// Limits from the grids and stage ends that flags fix; `None` where the search chooses.
    pub fn new(grids: Option<Vec<[usize; 2]>>, ends: Option<Vec<usize>>) -> Self {
        Self {
            more_stages: grids.is_none(),
            grids: grids.unwrap_or_else(all_grids),
            ends,
        }
    }

    /// Whether the search may cut a stage in two.
    pub fn may_cut(&self) -> bool {
        self.more_stages && self.ends.as_ref().is_none_or(|ends| ends.len() == 1)
    }

    /// Whether the gateway may compute everything: neither a grid nor a stage was asked for.
    pub fn gateway_alone(&self) -> bool {
        self.more_stages && self.ends.is_none()
    }
}

/// All grids that the search tries.
fn all_grids() -> Vec<[usize; 2]> {
    (1..=PARTS_MAX)
        .flat_map(|r| (1..=PARTS_MAX).map(move |c| [r, c]))
        .collect()
}
