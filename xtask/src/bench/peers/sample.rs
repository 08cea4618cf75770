//! Measurements of an engine: Tessera or a peer.

/// Times and memory of one process of an engine.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Shortest time of a frame, in seconds.
    pub min_s: f64,
    /// Median time of a frame, in seconds.
    pub median_s: f64,
    /// Mean processor time of a frame in seconds, summed over all threads. Other processes hardly affect this
    /// time.
    pub processor_s: Option<f64>,
    /// Peak resident set, in bytes.
    pub peak_bytes: f64,
}
