//! What a run showed.

use serde::{Deserialize, Serialize};
use tessera_protocol::TransferStats;

use crate::cell::Cell;

/// What one node did.
#[derive(Clone, Debug, Default)]
pub struct NodeFound {
    /// Microseconds from the beginning to the end of each fetch that ended whole.
    pub took_us: Vec<u64>,
    /// CPU time of the node's thread while it fetched and served, in microseconds.
    pub cpu_us: u64,
    /// Bytes of datagrams that left, without headers of IP and UDP.
    pub sent_bytes: u64,
    /// What our machines counted.
    pub transfer: Option<TransferStats>,
}

/// What a run showed, as tables need it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Found {
    /// The network.
    pub cell: Cell,
    /// Who carried.
    pub carrier: String,
    /// Boxes that were to be fetched, and those that were.
    pub fetches: [usize; 2],
    /// Time from first to last, in seconds.
    pub seconds: f64,
    /// Completion of a box: median and 99th percentile in milliseconds; `None` if a box that counts did not come.
    pub p50_ms: Option<f64>,
    /// As `p50_ms`.
    pub p99_ms: Option<f64>,
    /// Payload bits per second, in Mbit/s.
    pub goodput: f64,
    /// Milliseconds of CPU of all nodes per megabyte of payload; `None` in virtual time.
    pub cpu_ms_per_mb: Option<f64>,
    /// Bytes beyond the payload, in percent of it; `None` if nothing came.
    pub beyond_percent: Option<f64>,
    /// Chunks that came twice, in percent of all.
    pub duplicate_percent: Option<f64>,
    /// Chunks requested again, in percent of all.
    pub again_percent: Option<f64>,
}

impl Found {
    /// Sums up what nodes did in `seconds`; `payload` bytes were fetched of `wanted` fetches.
    pub fn new(
        cell: &Cell,
        carrier: &str,
        wanted: usize,
        payload: usize,
        seconds: f64,
        nodes: &[NodeFound],
        is_live: bool,
    ) -> Self {
        let mut took: Vec<u64> = nodes.iter().flat_map(|n| n.took_us.clone()).collect();
        took.sort_unstable();
        let at = |share: f64| {
            let k = (share * wanted as f64).ceil() as usize;
            took.get(k.max(1) - 1).map(|us| *us as f64 / 1e3)
        };
        let sum = |f: &dyn Fn(&NodeFound) -> u64| nodes.iter().map(f).sum::<u64>() as f64;
        let transfer = |f: &dyn Fn(&TransferStats) -> u64| {
            let all: Vec<u64> = nodes
                .iter()
                .filter_map(|n| n.transfer.as_ref().map(f))
                .collect();
            (!all.is_empty()).then(|| all.iter().sum::<u64>() as f64)
        };
        let chunks = transfer(&|t| t.chunks_received);
        let percent = |n: Option<f64>| Some(100.0 * n? / chunks?.max(1.0));
        let payload = payload as f64;
        // Of nothing, there is no share.
        let per_byte = |n: f64| (payload > 0.0).then_some(n / payload);
        Self {
            cell: cell.clone(),
            carrier: carrier.into(),
            fetches: [wanted, took.len()],
            seconds,
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            goodput: 8e-6 * payload / seconds,
            cpu_ms_per_mb: per_byte(1e3 * sum(&|n| n.cpu_us)).filter(|_| is_live),
            beyond_percent: per_byte(sum(&|n| n.sent_bytes)).map(|r| 100.0 * (r - 1.0)),
            duplicate_percent: percent(transfer(&|t| t.chunks_duplicate + t.chunks_late)),
            again_percent: percent(transfer(&|t| t.chunks_rerequested)),
        }
    }

    /// The mean of at least one run of a cell. A figure that any run lacks is missing.
    pub fn mean(runs: &[Self]) -> Self {
        let mean = |f: &dyn Fn(&Self) -> f64| runs.iter().map(f).sum::<f64>() / runs.len() as f64;
        let some = |f: &dyn Fn(&Self) -> Option<f64>| {
            let all: Option<Vec<f64>> = runs.iter().map(f).collect();
            all.map(|v| v.iter().sum::<f64>() / v.len() as f64)
        };
        Self {
            fetches: [0, 1].map(|k| mean(&|r| r.fetches[k] as f64) as usize),
            seconds: mean(&|r| r.seconds),
            p50_ms: some(&|r| r.p50_ms),
            p99_ms: some(&|r| r.p99_ms),
            goodput: mean(&|r| r.goodput),
            cpu_ms_per_mb: some(&|r| r.cpu_ms_per_mb),
            beyond_percent: some(&|r| r.beyond_percent),
            duplicate_percent: some(&|r| r.duplicate_percent),
            again_percent: some(&|r| r.again_percent),
            ..runs[0].clone()
        }
    }
}
