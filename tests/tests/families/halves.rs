//! Weights in half precision are what they say: the same network with rounded weights.

use anyhow::{Context, Result, ensure};
use tessera_plan::graph::{Darknet, Op};
use tessera_planner::{
    kernel::{Family, Storage},
    options::{PlanOptions, Target},
    wire::Wire,
};
use tessera_tests::{
    bundle::{self, Entry},
    compare, model,
};

use crate::{WITHIN, folders::same};

/// Groups, strides, depthwise and narrow layers, channels that blocks do not divide.
const HALVES: &str = "[net]\nwidth=24\nheight=20\nchannels=3\n\
    [convolutional]\nfilters=16\nsize=3\npad=1\nactivation=leaky\n\
    [convolutional]\nfilters=40\nsize=3\nstride=2\npad=1\nactivation=leaky\n\
    [convolutional]\nfilters=40\nsize=3\npad=1\ngroups=40\nactivation=relu\n\
    [convolutional]\nfilters=48\nsize=1\nactivation=mish\n\
    [convolutional]\nfilters=36\nsize=3\npad=1\ngroups=2\nactivation=linear\n\
    [convolutional]\nfilters=16\nsize=1\nactivation=leaky\n\
    [convolutional]\nfilters=75\nsize=3\npad=1\nactivation=leaky\n";

/// The network with rounded weights as float32, and with its own as half precision: equal bits, and
/// fewer bytes.
fn give_the_bits_of_rounded_weights(target: Target) -> Result<()> {
    let whole = model::random("halves", HALVES, Darknet::Alexey, 7)?;
    let mut rounded = whole.clone();
    let (mut values, mut changed) = (0, 0);
    let weights = rounded.weights.as_mut().context("weights")?;
    for (node, w) in whole.graph.nodes.iter().zip(weights.iter_mut()) {
        let (Op::Conv(c), Some(w)) = (&node.op, w) else {
            continue;
        };
        // Depthwise weights are few and stay as they are.
        if c.groups == node.shape.c {
            continue;
        }
        for v in &mut w.weights {
            let half = half::f16::from_f32(*v).to_f32();
            values += 1;
            changed += usize::from(half.to_bits() != v.to_bits());
            *v = half;
        }
    }
    ensure!(10 * changed > 9 * values, "{changed} of {values} rounded");
    let dir = tempfile::tempdir()?;
    let input = dir.path().join("input.f32");
    let values = (0..whole.graph.input.len()).map(|i| ((i * 37) % 101) as f32 / 101.0);
    compare::write_f32(&input, &values.collect::<Vec<f32>>())?;
    let mut entries = Vec::new();
    for (family, kernels) in [
        ("direct", Family::Direct),
        ("winograd4", Family::Winograd(4)),
    ] {
        for (format, model, weights) in [
            ("f32", &rounded, Storage::Trained),
            ("f16", &whole, Storage::Halves),
        ] {
            let options = PlanOptions {
                grids: vec![[2, 1]],
                cuts: vec![4],
                kernels,
                weights,
                dump: true,
                wire: Wire::floats(),
                ..PlanOptions::default()
            };
            entries.push(Entry::new(format!("{family}-{format}"), model, options));
        }
    }
    let bundle = bundle::build("halves", target, &entries)?;
    for family in ["direct", "winograd4"] {
        let dumps = [tempfile::tempdir()?, tempfile::tempdir()?];
        for (dump, (format, threads)) in dumps.iter().zip([("f32", 1), ("f16", 3)]) {
            let node = bundle.node(&format!("{family}-{format}"))?;
            node.solo(
                std::slice::from_ref(&input),
                threads,
                Some(dump.path()),
                WITHIN,
            )?;
        }
        same(dumps[0].path(), dumps[1].path())
            .with_context(|| format!("{family} on {}", target.name()))?;
    }
    let size = |format: &str| -> Result<usize> {
        let plan = bundle.plan(&format!("direct-{format}"))?;
        let target = plan.target.values().next().context("a target")?;
        Ok(target.packing.iter().map(|p| p.floats).sum())
    };
    let (f32s, f16s) = (size("f32")?, size("f16")?);
    ensure!(
        10 * f16s < 6 * f32s,
        "{f16s} values instead of {f32s} on {}",
        target.name()
    );
    Ok(())
}

on_every_processor!(give_the_bits_of_rounded_weights);
