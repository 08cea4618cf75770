//! Pools that kernels fuse compute what pools of their own do.

use anyhow::Result;
use tessera_plan::{graph::Darknet, plan::Chain};
use tessera_planner::options::{Rows, Target};
use tessera_tests::model;

use crate::agree::agree;

/// Convolutions of every kind with pools behind: full and partial blocks of channels, depthwise, strided.
const POOLED: &str = "[net]
width=88
height=72
channels=3
[convolutional]
filters=16
size=3
pad=1
activation=relu6
[maxpool]
size=2
stride=2
[convolutional]
filters=37
size=3
pad=1
activation=leaky
[maxpool]
size=2
stride=2
[convolutional]
filters=37
groups=37
size=3
pad=1
activation=ramp
[maxpool]
size=2
stride=2
[convolutional]
filters=24
size=1
activation=linear
[maxpool]
size=2
stride=2
";

fn pools_in_kernels_are_what_pools_are(target: Target) -> Result<()> {
    // The pool that nobody follows is the network's output all the same; nine rows have no pairs.
    let model = model::random("pooled", POOLED, Darknet::Alexey, 5)?;
    let pools = |chain: &Chain| {
        let kernels = chain.steps.iter().filter_map(|s| s.conv.as_ref());
        kernels.filter(|k| k.pool).count()
    };
    let ways = [
        ("kernels", &model, Rows::Rolling, 1, 3),
        ("kernels", &model, Rows::Rolling, 3, 3),
        ("pools", &model, Rows::Whole, 1, 0),
    ];
    agree("pools", target, &ways, pools)
}

on_every_processor!(pools_in_kernels_are_what_pools_are);
