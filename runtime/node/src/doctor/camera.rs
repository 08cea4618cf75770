//! Whether this board's sources bring frames.

use tessera_health::{Board, Finding, Kind};
use tessera_runtime::program::Program;

use crate::{
    args::Args,
    sources::{self, Trial},
};

/// Tries the sources, unless an edge runs on this board and has them: many cameras serve one reader alone.
pub fn check(program: &'static Program, a: &Args, now: &Board) -> Vec<Finding> {
    if now.udp.nodes.iter().any(|n| n.role == "edge") {
        return Vec::new();
    }
    match sources::trials(program, a) {
        Ok(trials) => trials.into_iter().filter_map(finding).collect(),
        Err(e) => vec![Finding::fault(
            Kind::Camera,
            "the sources of this board cannot be opened",
            e.to_string(),
            "correct --source or [[source]]; docs/sources.md has the grammar",
        )],
    }
}

fn finding(trial: Trial) -> Option<Finding> {
    let Trial {
        name,
        from,
        failure,
    } = trial;
    let failure = failure?;
    // ffmpeg's own words stand behind what they mean.
    let (means, said) = match failure.split_once(" (ffmpeg: ") {
        Some((means, said)) => (means, said.trim_end_matches(')')),
        None => ("see docs/sources.md", failure.as_str()),
    };
    Some(Finding::fault(
        Kind::Camera,
        format!("source {name} brings no frame"),
        format!("{from}: {said}"),
        means,
    ))
}
