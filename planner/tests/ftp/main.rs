//! Fused Tile Partitioning against a brute-force oracle: random DAGs, cuts, grids and splits.

mod exhaustive;
mod nets;
mod oracle;
mod plans;
mod refusals;
mod reorg;

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// A runner that draws the same `cases` cases every time.
fn runner(cases: u32) -> TestRunner {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}
