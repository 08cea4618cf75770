//! Rules of `weights.bin`: sections on pages, one place per node, the format that steps read.

use std::collections::{BTreeMap, BTreeSet};

use super::{Rule, rule};
use crate::{
    graph::{Graph, NodeIx, Op},
    kernel::packing_floats,
    limits::{STAGE_TILES_MAX, VALUES_MAX},
    plan::{Step, TargetPlan, WeightFormat},
    region::Span,
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
    for s in chains.flat_map(|c| &c.steps).filter(|s| s.sums == 0) {
        let nr = s.conv.as_ref().map_or(0, |k| k.nr);
        let expected = network.nodes[s.node].op.has_weights().then_some(&nr);
        rule(
            packed.get(&s.node) == expected,
            &at,
            "a step's weights are not packed, or in blocks of another width",
        )?;
        let cout = network.nodes[s.node].shape.c;
        let whole_blocks = |f: Span| {
            let ends = [f.lo, if f.hi == cout { 0 } else { f.hi }];
            ends.iter().all(|end| end.is_multiple_of(nr.max(1)))
        };
        rule(
            s.conv.is_none() || s.filters.is_none_or(whole_blocks),
            &at,
            "a step makes channels of parts of packed blocks",
        )?;
    }
    for p in &t.packing {
        let node = &network.nodes[p.node];
        let parts: Vec<Span> = p.spans().collect();
        let cin = node.inputs.first().map(|t| network.shape(*t).c);
        let plain = !matches!(p.weights, WeightFormat::Transformed { .. });
        let ascend = parts.iter().all(|p| !p.is_empty()) && p.parts.last().copied() == cin;
        let of_conv = matches!(&node.op, Op::Conv(c) if c.groups == 1);
        rule(
            parts.is_empty() || (plain && ascend && of_conv && parts.len() <= STAGE_TILES_MAX),
            &at,
            "parts of weights divide a convolution's input channels",
        )?;
        let whole = |s: &Step| match s.depth {
            None => parts.is_empty(),
            Some(depth) => parts.contains(&depth),
        };
        let chains = t.stages.iter().flatten().chain([&t.tail]);
        let mut steps = chains.flat_map(|c| &c.steps);
        rule(
            steps.all(|s| s.node != p.node || s.sums > 0 || whole(s)),
            &at,
            "a step sums a part of its weights, or all of them",
        )?;
        rule(
            p.name == node.name
                && p.floats == packing_floats(network, node, p.nr, p.weights, &parts),
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
        steps.all(|s| s.sums > 0 || stored.get(&s.node).copied().unwrap_or_default() == s.weights),
        &|| format!("target {name}, weights"),
        "a step reads its weights in another format than they are stored in",
    )?;
    let chains = t.stages.iter().flatten().chain([&t.tail]);
    let read: BTreeSet<NodeIx> = chains
        .flat_map(|c| &c.steps)
        .filter(|s| s.sums == 0)
        .map(|s| s.node)
        .collect();
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
