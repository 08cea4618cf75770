//! The page around the drawings.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use tessera_plan::plan::Plan;
use tessera_planner::text::{bytes, plural};
use tessera_simulate::{Outcome, Settings, SimulatedCluster, outcome::kind_names, timeline};

use crate::{beside::Beside, boards, network, tiles};

/// Stages whose tiles are drawn.
const STAGES_MAX: usize = 24;

const STYLE: &str = include_str!("page.css");

/// A plan and its simulation on `cluster` as one HTML page, with what is there `beside`.
pub fn render(
    plan: &Plan,
    cluster: &SimulatedCluster,
    settings: &Settings,
    o: &Outcome,
    beside: &Beside,
) -> String {
    let title = format!(
        "{} on {}",
        plan.network.name,
        plural(cluster.boards.len(), "board")
    );
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (title) }
                p.faint { "Plan " code { (plan.name) } ", hash " code { (plan.hash.get(..16).unwrap_or(&plan.hash)) } }
                (figures(plan, o))
                h2 { "What binds, and what else was weighed" }
                (why(plan))
                h2 { "The network" }
                p { "Every box is a layer: as high as its map, as wide as its channels (by their roots). A colour is a stage, which runs from end to end without communication; the last colour is the tail on the gateway." }
                div.wide { (PreEscaped(network::draw(plan))) }
                h2 { "Tiles" }
                p { "Left what a tile in the middle reads, with its halo; right what all tiles make, with the boards that compute them." }
                (stages(plan, cluster))
                h2 { "A frame's course, in virtual time" }
                div.wide { (PreEscaped(timeline::draw(plan, cluster, settings, o))) }
                h2 { "Boards" }
                (boards::table(plan, cluster, o))
                h2 { "Memory, at most" }
                (boards::memory(plan))
                h2 { "Bytes between boards" }
                (traffic(plan, o))
                (beside.sections(&plan.name))
            }
        }
    };
    page.into_string()
}

/// The figures that people look for first.
fn figures(plan: &Plan, o: &Outcome) -> Markup {
    let planned = |key: &str| plan.estimates.seconds.get(key).copied();
    let seconds = |s: Option<f64>| s.map_or_else(|| "-".to_owned(), |s| format!("{s:.3} s"));
    let latency = o.summary.latency_s.map(|l| l.first);
    let alone = planned("one_thread");
    let frames = o.summary.frames.max(1) as u64;
    let shown = [
        ("a frame, planned", seconds(planned("frame"))),
        ("a frame, simulated", seconds(latency)),
        ("one thread of the first board", seconds(alone)),
        (
            "bytes between boards, a frame",
            bytes(o.summary.values_bytes() / frames),
        ),
        (
            "multiply-adds, relative to an uncut network",
            format!("{:.2}", plan.estimates.redundancy),
        ),
    ];
    html! { dl { @for (name, value) in shown { div { dt { (name) } dd { (value) } } } } }
}

/// The planner's reasons, that which binds first.
fn why(plan: &Plan) -> Markup {
    let (binds, rest): (Vec<&String>, Vec<&String>) = plan
        .estimates
        .why
        .iter()
        .partition(|w| w.contains(" binds"));
    html! {
        @for w in binds { p.binds { (w) } }
        ul { @for w in rest { li { (w) } } }
    }
}

fn stages(plan: &Plan, cluster: &SimulatedCluster) -> Markup {
    let names: Vec<String> = cluster
        .boards
        .iter()
        .map(|(name, _)| name.clone())
        .collect();
    let all = plan.dataflow.stages.iter().enumerate().take(STAGES_MAX);
    let more = plan.dataflow.stages.len().saturating_sub(STAGES_MAX);
    html! {
        div.tiles { @for (k, s) in all {
            figure {
                figcaption {
                    "Stage " (k) ": layers " (s.first_layer) " to " (s.end_layer - 1) ", grid " (s.grid[0]) " x " (s.grid[1])
                    ", " (format!("{:?}", s.border).to_lowercase())
                }
                @match tiles::draw(plan, k, &names) {
                    Some(svg) => (PreEscaped(svg)),
                    None => p.faint { "Cut by output channels: every tile has all rows and columns." },
                }
            }
        } }
        @if more > 0 { p.faint { "and " (more) " more stages" } }
    }
}

fn traffic(plan: &Plan, o: &Outcome) -> Markup {
    let frames = o.summary.frames.max(1) as u64;
    let names = kind_names(&plan.dataflow.stages);
    let rows = names.iter().zip(&o.summary.kinds);
    let most = o.summary.kinds.iter().copied().max().unwrap_or(1).max(1);
    html! {
        div.wide { table {
            thead { tr { th { "what" } th.n { "a frame" } th { } } }
            tbody { @for (name, n) in rows { tr {
                td { (name) }
                td.n { (bytes(n / frames)) }
                td { meter min="0" max=(most) value=(n) { } }
            } } }
        } }
    }
}
