//! The reasons for a choice, for people.

use super::{Candidate, Choice, Given};
use crate::{
    cost, estimate, memory,
    options::PlanOptions,
    text::{bytes, count, plural},
};
use tessera_plan::{graph::Graph, plan::Estimates};

/// `3x2 in 4 stages (cuts 4,8,12,16)`, `5x5 up to layer 15`.
fn name(c: &Candidate) -> String {
    let grid = c.shape.grids.first().map_or([1, 1], |g| *g);
    let cuts = &c.shape.cuts;
    let last = cuts.last().map_or(0, |l| l.saturating_sub(1));
    if cuts.len() == 1 {
        return format!("{}x{}, one stage, layers 0 to {last}", grid[0], grid[1]);
    }
    let list: Vec<String> = cuts.iter().map(ToString::to_string).collect();
    format!(
        "{}x{}, {} stages with cuts {}, layers 0 to {last}",
        grid[0],
        grid[1],
        cuts.len(),
        list.join(",")
    )
}

fn price(c: &Candidate) -> String {
    format!(
        "{:.3} s a frame, {:.2}x multiply-adds, {} on a source edge",
        c.seconds.frame(),
        c.redundancy,
        bytes(c.bytes)
    )
}

/// One line per reason. `found` is sorted by time.
pub(super) fn lines(
    graph: &Graph,
    o: &PlanOptions,
    given: Given<'_>,
    found: &[Candidate],
    choice: Choice,
    refused: usize,
) -> Vec<String> {
    let Choice {
        limit,
        first_fit,
        best,
    } = choice;
    let choice = &found[best];
    let over = found.iter().filter(|c| c.bytes > limit).count();
    let mut why = vec![format!(
        "searched {} for {} of {}{}{}",
        plural(found.len(), "plan"),
        plural(o.edges, "edge"),
        plural(o.workers, "worker"),
        if refused > 0 {
            format!("; {} cannot be cut so finely", plural(refused, "stage"))
        } else {
            String::new()
        },
        if o.memory.is_some() {
            format!("; {over} above the memory limit of {}", bytes(limit))
        } else {
            String::new()
        },
    )];
    why.push(format!("chosen: {}: {}", name(choice), price(choice)));
    why.push(binds(o, choice));
    let fastest = &found[0];
    if first_fit > 0 {
        why.push(format!(
            "faster, but above the memory limit: {}: {}",
            name(fastest),
            price(fastest)
        ));
    }
    if best != first_fit {
        let fastest = &found[first_fit];
        why.push(format!(
            "at most 1 % faster, with more stages: {}: {}",
            name(fastest),
            price(fastest)
        ));
    }
    let others = |many: bool| {
        found
            .iter()
            .enumerate()
            .filter(move |(i, c)| {
                *i != best && *i > first_fit && c.bytes <= limit && (c.shape.cuts.len() > 1) == many
            })
            .map(|(_, c)| c)
            .next()
    };
    let many = choice.shape.cuts.len() > 1;
    if let Some(c) = others(!many) {
        let what = if many { "one stage" } else { "several stages" };
        why.push(format!("best with {what}: {}: {}", name(c), price(c)));
    }
    if let Some(c) = others(many) {
        why.push(format!("next best: {}: {}", name(c), price(c)));
    }
    // One task on all cores of a board, or one task per core.
    let team = o.team.min(o.workers);
    if team > 1 {
        let shared = |c: &Candidate| c.tiles() == c.shape.cuts.len();
        let of = |team: bool| {
            if team {
                "one tile a stage"
            } else {
                "a tile per core"
            }
        };
        let other = found
            .iter()
            .skip(first_fit)
            .find(|c| c.bytes <= limit && shared(c) != shared(choice));
        why.push(match other {
            Some(c) => format!(
                "a board's cores: {}, best with {}: {}: {}",
                of(shared(choice)),
                of(shared(c)),
                name(c),
                price(c)
            ),
            None => format!("a board's cores: {}", of(shared(choice))),
        });
    }
    if given.cuts.is_none() {
        let frame = 4 * graph.input.len() as u64;
        let all = estimate::untiled_macs(graph, 0, graph.layers.len());
        why.push(format!(
            "without edges, everything on the gateway: {:.3} s",
            cost::link_s(frame) + cost::compute_s(all, cost::GATEWAY_CORES)
        ));
    }
    why
}

/// What takes the time.
fn binds(o: &PlanOptions, c: &Candidate) -> String {
    let out = &c.seconds.outcome;
    let cores = cost::Cluster::of(o).cores();
    let total = out.seconds.max(1e-9);
    #[expect(clippy::cast_precision_loss, reason = "few cores")]
    let busy = 100.0 * out.busy_s / (total * cores as f64);
    let channel = 100.0 * out.channel_s / total;
    let what = if channel > 85.0 {
        "the channel binds"
    } else if busy > 85.0 {
        "arithmetic on the edges binds"
    } else if c.tiles() < cores {
        "fewer tiles than cores: some edges idle"
    } else {
        "waiting binds: tiles differ in cost, or do not divide evenly among the edges"
    };
    format!(
        "{what}: edges compute {busy:.0} % of {:.3} s, the channel is busy {channel:.0} %; the tail then takes {:.3} s",
        out.seconds, c.seconds.tail
    )
}

/// The line for a plan that was asked for.
pub(crate) fn asked(e: &Estimates, limit: Option<u64>) -> Vec<String> {
    let mut why = vec!["asked for: nothing was left to choose".to_string()];
    if let Some(limit) = limit {
        why.push(format!(
            "memory: {} of {} bytes on a source edge",
            count(memory::source_bytes(&e.memory)),
            count(limit)
        ));
    }
    why
}
