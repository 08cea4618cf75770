//! The boards of a described cluster.

use tessera_plan::plan::{Board, Plan};

use crate::text::{Table, bytes, rate};

/// The table of boards; empty for equal boards that flags ask for.
pub(super) fn render(plan: &Plan) -> String {
    let named = |b: &Board| b.id > 0 && b.name != format!("edge {}", b.id);
    if !plan.boards.iter().any(named) {
        return String::new();
    }
    let header = [
        "board", "node", "target", "core", "workers", "threads", "share", "memory", "link",
    ];
    let mut t = Table::new("<<<<>>>>>", &header);
    for b in &plan.boards {
        let on_gateway = plan.estimates.gateway_workers > 0 && b.id == plan.estimates.edges + 1;
        let node = match (b.id, b.source) {
            (0, _) => "gateway".into(),
            (id, _) if on_gateway => format!("edge of the gateway, --id {id}"),
            (id, true) => format!("edge --id {id}, source"),
            (id, false) => format!("edge --id {id}"),
        };
        let memory = match b.memory_bytes {
            0 => "-".into(),
            limit => bytes(limit),
        };
        t.row(&[
            &b.name,
            &node,
            &b.target,
            &b.core,
            &b.workers.to_string(),
            &b.threads.to_string(),
            &format!("{:.0} %", 100.0 * b.share),
            &memory,
            &rate(b.link_bits_per_s),
        ]);
    }
    format!("\nboards\n{}", t.render(2))
}
