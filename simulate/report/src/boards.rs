//! What every board has to do and to hold.

use maud::{Markup, html};
use tessera_plan::plan::{Board, Plan};
use tessera_planner::{
    report::memory_of_nodes,
    text::{bytes, count, rate},
};
use tessera_simulate::{Outcome, SimulatedCluster};

/// Most boards that are listed.
const BOARDS_MAX: usize = 64;

/// The table of boards in a simulated frame.
pub fn table(plan: &Plan, cluster: &SimulatedCluster, o: &Outcome) -> Markup {
    let boards = cluster.boards.iter().zip(&o.boards).take(BOARDS_MAX);
    let more = cluster.boards.len().saturating_sub(BOARDS_MAX);
    html! {
        div.wide { table {
            thead { tr {
                th { "board" } th { "target" } th { "cores" } th { "link" } th.n { "tasks" } th.n { "busy" }
                th.n { "sent" } th.n { "received" }
            } }
            tbody { @for ((name, _), used) in boards {
                @let board = plan.boards.iter().find(|b| &b.name == name);
                tr {
                    td { (name) }
                    td { @if let Some(b) = board { (b.target) } }
                    td { @if let Some(b) = board { (cores(b)) } }
                    td { @if let Some(b) = board { (rate(b.link_bits_per_s)) } }
                    td.n { (count(used.tasks as u64)) }
                    td.n { (format!("{:.0} %", 100.0 * used.busy_share.max(0.0))) }
                    td.n { (bytes(used.sent_bytes)) }
                    td.n { (bytes(used.received_bytes)) }
                }
            } }
        } }
        @if more > 0 { p.faint { "and " (more) " more" } }
    }
}

/// What a node's processes hold, by role.
pub fn memory(plan: &Plan) -> Markup {
    html! {
        div.wide { table {
            thead { tr { th { "role" } th.n { "together" } th { "of it" } } }
            tbody { @for (role, n, parts) in memory_of_nodes(plan) {
                tr { td { (role) } td.n { (bytes(n)) } td { (parts) } }
            } }
        } }
    }
}

fn cores(b: &Board) -> String {
    let [workers, threads] = [b.workers, b.threads].map(|n| n.max(1));
    let share = if b.share < 1.0 {
        format!(" at {:.0} %", 100.0 * b.share)
    } else {
        String::new()
    };
    match (workers, threads) {
        (1, t) => format!("{t}{share}, one task at a time"),
        (w, 1) => format!("{w}{share}, a task each"),
        (w, t) => format!("{w} x {t}{share}"),
    }
}
