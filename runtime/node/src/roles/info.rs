//! Describes the compiled-in program.

use serde_json::{Value, json};

use tessera_runtime::program::Program;

/// The program as JSON, without its tasks.
pub fn info(p: &Program) -> Value {
    let hex = |b: &[u8]| b.iter().map(|b| format!("{b:02x}")).collect::<String>();
    json!({
        "program": p.name, "target": p.target, "plan_hash": hex(&p.plan_hash), "model_digest": hex(&p.model_digest),
        "tasks": p.tasks.len(), "stages": p.stage_starts.len().saturating_sub(1),
        "arena_bytes": p.tasks.iter().map(|t| 4 * t.arena_floats).max().unwrap_or(0),
        "tail_arena_bytes": 4 * p.tail.arena_floats,
    })
}
