//! What was found of one case. Cells are kept in files between runs, so fields are plain numbers.

use serde::{Deserialize, Serialize};

/// What was found of a [`Case`](crate::case::Case). Sizes are of all frames together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// The case's name.
    pub name: String,
    /// Name of the plan.
    pub plan: String,
    /// Seconds of the first frame until all results were at the gateway, as the paper counts them.
    pub latency_s: f64,
    /// The same of the frame that took longest.
    pub longest_s: f64,
    /// Seconds from a frame to its record, the mean of all frames.
    pub detected_s: f64,
    /// Frames per second, while all sources bring frames if there are enough of them to tell.
    pub frames_per_second: f64,
    /// MiB of values that travelled.
    pub values_mib: f64,
    /// MiB of datagrams' payloads, headers and messages of the protocol included.
    pub datagrams_mib: f64,
    /// Tasks that ran away from where they are at home.
    pub stolen: usize,
    /// Tasks that ran again.
    pub copies: usize,
    /// Chunks that were asked for again.
    pub rerequested: u64,
    /// The part of their time in which boards compute, 0 to 1, the mean of all boards.
    pub boards_busy: f64,
    /// The part of the time in which the gateway computes the tail: what remains of the network.
    pub tail_busy: f64,
    /// The part of the time that the gateway's link would need for all values, if they all took it.
    pub channel_busy: f64,
    /// Frames without a record.
    pub unfinished: usize,
    /// All frames, where boards died.
    pub frames: Vec<FrameTimes>,
}

/// When a frame came, and how long it took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameTimes {
    /// When the source brought it, in seconds since the sources started.
    pub entered_s: f64,
    /// Seconds until its record; `None` without one.
    pub took_s: Option<f64>,
}

/// All cells, by the names of their cases.
#[derive(Clone, Debug, Default)]
pub struct Results(std::collections::BTreeMap<String, Cell>);

impl Results {
    /// The cell of a case.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn of(&self, name: &str) -> Result<&Cell, crate::EvaluationError> {
        let missing = || crate::EvaluationError::Missing { name: name.into() };
        self.0.get(name).ok_or_else(missing)
    }
}

impl FromIterator<Cell> for Results {
    fn from_iter<T: IntoIterator<Item = Cell>>(cells: T) -> Self {
        let named = |c: Cell| (c.name.clone(), c);
        Self(cells.into_iter().map(named).collect())
    }
}
