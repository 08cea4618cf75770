//! Parts of a route that are written in place are what copies are.

use anyhow::Result;
use tessera_plan::{
    graph::Darknet,
    plan::{Chain, Step},
};
use tessera_planner::options::{Rows, Target};
use tessera_tests::model;

use crate::agree::agree;

/// Two convolutions side by side in a route, at odd channels, and a layer with a border behind it; half of its
/// channels to a convolution; what was upsampled beside what was not. With `COPIED` between, nothing of all
/// that is found where it is wanted.
fn side_by_side(between: &str) -> String {
    let conv = |filters: usize, size: usize, activation: &str| {
        format!("[convolutional]\nfilters={filters}\nsize={size}\npad=1\nactivation={activation}\n")
    };
    let copy = usize::from(!between.is_empty());
    [
        "[net]\nwidth=26\nheight=22\nchannels=3\n".to_owned(),
        conv(16, 3, "leaky"),
        conv(37, 3, "leaky"),
        between.to_owned(),
        format!("[route]\nlayers={}\n", 0),
        conv(50, 3, "mish"),
        between.to_owned(),
        format!("[route]\nlayers=-1,0,-{}\n", 3 + copy),
        conv(32, 3, "leaky"),
        "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n".to_owned(),
        between.to_owned(),
        conv(24, 3, "leaky"),
        "[maxpool]\nsize=2\nstride=2\n".to_owned(),
        conv(11, 1, "swish"),
        "[upsample]\nstride=2\n".to_owned(),
        between.to_owned(),
        format!("[route]\nlayers=-1,-{}\n", 4 + copy),
        conv(24, 3, "leaky"),
        conv(8, 1, "linear"),
    ]
    .concat()
}

/// A layer that changes nothing.
const COPIED: &str = "[local_avgpool]\nsize=1\nstride=1\n";

fn parts_are_what_copies_are(target: Target) -> Result<()> {
    let in_place = model::random("beside", &side_by_side(""), Darknet::Alexey, 3)?;
    let copied = model::random("beside", &side_by_side(COPIED), Darknet::Alexey, 3)?;
    let parts = |chain: &Chain| {
        let there = |s: &Step| s.inputs.len() - s.copied().count();
        let slices = |s: &Step| s.inputs.iter().filter(|v| v.channel > 0).count();
        chain.steps.iter().map(|s| there(s) + slices(s)).sum()
    };
    let ways = [
        ("parts", &in_place, Rows::Rolling, 1, 4),
        ("parts", &in_place, Rows::Rolling, 3, 4),
        ("copies", &copied, Rows::Rolling, 1, 0),
    ];
    agree("parts", target, &ways, parts)
}

on_every_processor!(parts_are_what_copies_are);
