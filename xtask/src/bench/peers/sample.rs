//! What is measured of an engine, ours or another.

/// What one process of an engine took.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Shortest time of a frame.
    pub min_s: f64,
    /// Median.
    pub median_s: f64,
    /// Mean processor time of a frame, all threads together: what other processes cannot stretch
    /// much.
    pub processor_s: Option<f64>,
    /// Peak resident set.
    pub peak_bytes: f64,
}
