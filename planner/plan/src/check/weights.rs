//! Rules of `weights.bin`: sections on pages, one place per node, the format that steps read.

use std::collections::{BTreeMap, BTreeSet};

use super::{Rule, rule};
use crate::{
    graph::{Graph, NodeIx},
    kernel::packed_floats,
    limits::VALUES_MAX,
    plan::{TargetPlan, WeightFormat},
};

/// For targets whose chains and steps have passed their rules.
pub(super) fn weights(network: &Graph, t: &TargetPlan, name: &str) -> Rule {
    sections(t, name)?;
    formats(t, name)?;
    sizes(network, t, name)
}

/// Every node with weights has them packed, under its name, in as many values as its kernel reads.
fn sizes(network: &Graph, t: &TargetPlan, name: &str) -> Rule {
    let at = || format!("target {name}, weights");
    let packed: BTreeMap<NodeIx, usize> = t.packing.iter().map(|p| (p.node, p.nr)).collect();
    let chains = t.stages.iter().flatten().chain([&t.tail]);
    for s in chains.flat_map(|c| &c.steps) {
        let nr = s.conv.as_ref().map_or(0, |k| k.nr);
        let expected = network.nodes[s.node].op.has_weights().then_some(&nr);
        rule(
            packed.get(&s.node) == expected,
            &at,
            "a step's weights are not packed, or in blocks of another width",
        )?;
    }
    for p in &t.packing {
        let node = &network.nodes[p.node];
        rule(
            p.name == node.name && p.floats == packed_floats(network, node, p.nr, p.weights),
            &at,
            "packed weights have another name or size than their node's",
        )?;
    }
    Ok(())
}

/// Steps read weights as they are stored.
fn formats(t: &TargetPlan, name: &str) -> Rule {
    let stored: BTreeMap<NodeIx, WeightFormat> =
        t.packing.iter().map(|p| (p.node, p.weights)).collect();
    rule(
        stored.len() == t.packing.len(),
        &|| format!("target {name}, weights"),
        "weights that are stored twice",
    )?;
    let mut steps = t
        .stages
        .iter()
        .flatten()
        .chain([&t.tail])
        .flat_map(|c| &c.steps);
    rule(
        steps.all(|s| stored.get(&s.node).copied().unwrap_or_default() == s.weights),
        &|| format!("target {name}, weights"),
        "a step reads its weights in another format than they are stored in",
    )?;
    let chains = t.stages.iter().flatten().chain([&t.tail]);
    let read: BTreeSet<NodeIx> = chains.flat_map(|c| &c.steps).map(|s| s.node).collect();
    rule(
        t.packing.iter().all(|p| read.contains(&p.node)),
        &|| format!("target {name}, weights"),
        "weights that no step reads",
    )
}

fn sections(t: &TargetPlan, name: &str) -> Rule {
    let at = || format!("target {name}, weights");
    rule(
        t.sections.len() == t.stages.len() + 1,
        &at,
        "one section per stage and one for the tail",
    )?;
    let mut end = 0;
    for s in &t.sections {
        let ok = s.offset == end
            && s.offset.is_multiple_of(1024)
            && s.floats.is_multiple_of(1024)
            && s.floats < VALUES_MAX;
        rule(
            ok && s.name.len() <= 16,
            &at,
            "sections must follow each other on pages",
        )?;
        end = s.offset + s.floats;
    }
    for p in &t.packing {
        let Some(s) = t.sections.get(p.section) else {
            return rule(false, &at, "a tensor lies in no section");
        };
        let ok = p.offset >= s.offset
            && p.offset.is_multiple_of(16)
            && p.offset
                .checked_add(p.floats)
                .is_some_and(|e| e <= s.offset + s.floats);
        rule(ok, &at, "a tensor leaves its section")?;
    }
    Ok(())
}
