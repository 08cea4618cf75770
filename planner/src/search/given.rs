//! What is not to be searched.

/// Largest number of parts per axis that is searched.
const PARTS_MAX: usize = 6;

/// What is not to be searched.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    /// Grids to try, each for all stages.
    pub grids: Vec<[usize; 2]>,
    /// The only stage ends (with one entry: the only offload point), if they were given.
    pub ends: Option<Vec<usize>>,
    /// Whether more stages than asked for may be planned.
    pub more_stages: bool,
}

impl Given {
    /// Grids and stage ends, where flags fix them.
    pub fn new(grids: Option<Vec<[usize; 2]>>, ends: Option<Vec<usize>>) -> Self {
        Self {
            more_stages: grids.is_none(),
            grids: grids.unwrap_or_else(all_grids),
            ends,
        }
    }

    /// Whether the gateway may compute everything: neither a grid nor a stage was asked for.
    pub fn gateway_alone(&self) -> bool {
        self.more_stages && self.ends.is_none()
    }
}

/// All grids that are searched.
fn all_grids() -> Vec<[usize; 2]> {
    (1..=PARTS_MAX)
        .flat_map(|r| (1..=PARTS_MAX).map(move |c| [r, c]))
        .collect()
}
