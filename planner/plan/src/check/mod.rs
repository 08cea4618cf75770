//! The rules that every plan obeys, whoever wrote it. Codegen and nodes rely on them: neither can be made to
//! panic, or to reach outside of a buffer, by a plan that passes [`check`].
//!
//! | file | rules of |
//! |---|---|
//! | `network` | the graph: nodes, shapes, what the weights file stores, heads |
//! | `dataflow` | tensors, stages and their tiles, the tail |
//! | `chain`, `order`, `place`, `scratch` | a chain's buffers, firings, memory |
//! | `reuse` | tiles of two colours, strips, and buffers that steps and strips fill together |
//! | `element` | objects that are computed with where they lie |
//! | `step` | what a step computes of its node |
//! | `kernel` | convolution kernels |
//! | `weights` | `weights.bin`: sections and packing |

mod chain;
mod dataflow;
mod element;
mod kernel;
mod network;
mod order;
mod place;
mod reuse;
mod scratch;
mod step;
mod weights;

use crate::{
    limits::LIST_MAX,
    plan::{Border, Plan, TargetPlan},
};

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {rule}")]
pub struct CheckError {
    /// The place in the plan.
    pub place: String,
    /// The rule that the plan breaks.
    pub rule: &'static str,
}

type Rule = Result<(), CheckError>;

fn rule(holds: bool, place: &dyn Fn() -> String, text: &'static str) -> Rule {
    if holds {
        Ok(())
    } else {
        Err(CheckError {
            place: place(),
            rule: text,
        })
    }
}

/// Checks a plan, but for its hash: `Plan::from_toml` compares that.
///
/// # Errors
/// With the first broken rule.
pub fn check(plan: &Plan) -> Rule {
    rule(
        is_crate_name(&plan.name),
        &|| "name".into(),
        "must be a crate name: a letter, then letters, digits, - or _",
    )?;
    rule(
        [&plan.hash, &plan.dataflow.digest]
            .into_iter()
            .all(|h| is_sha256(h)),
        &|| "hash, dataflow.digest".into(),
        "must be 64 hex digits",
    )?;
    network::network(&plan.network)?;
    dataflow::dataflow(plan)?;
    for (name, t) in &plan.target {
        target(plan, name, t)?;
    }
    element::elements(plan)
}

fn is_crate_name(name: &str) -> bool {
    name.len() <= 200
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn target(plan: &Plan, name: &str, t: &TargetPlan) -> Rule {
    let d = &plan.dataflow;
    rule(
        t.stages.len() == d.stages.len(),
        &|| format!("target {name}"),
        "must have the chains of every stage",
    )?;
    for (i, (chains, s)) in t.stages.iter().zip(&d.stages).enumerate() {
        let needed = s.tiles.iter().map(|t| t.class).max().unwrap_or(0);
        rule(
            needed < LIST_MAX && chains.len() == needed + 1,
            &|| format!("target {name}, stage {i}"),
            "classes and chains differ in number",
        )?;
        for c in chains {
            let place = format!("target {name}, stage {i}, chain {}", c.name);
            rule(
                s.border == Border::Reuse
                    || c.loads.len() == s.inputs.len() && c.stores.len() == s.outputs.len(),
                &|| place.clone(),
                "loads or stores do not match the stage",
            )?;
            chain::chain(c, t.kernels, false, &place)?;
            step::steps(&plan.network, c, &place)?;
        }
        for tile in &s.tiles {
            chain::fits(
                &chains[tile.class],
                &d.tensors,
                tile,
                &format!("target {name}, stage {i}, tile {}x{}", tile.row, tile.col),
            )?;
        }
    }
    let place = format!("target {name}, tail");
    rule(
        t.tail.loads.len() == d.tail.inputs.len() && t.tail.stores.len() == d.tail.outputs.len(),
        &|| place.clone(),
        "loads or stores do not match",
    )?;
    chain::chain(&t.tail, t.kernels, true, &place)?;
    step::steps(&plan.network, &t.tail, &place)?;
    weights::weights(&plan.network, t, name)
}
