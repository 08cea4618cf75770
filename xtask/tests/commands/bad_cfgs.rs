//! Bad cfgs (`docs/darknet.md#bad-input`), and good ones that look bad.

mod layers;
mod references;
mod sizes;
mod text;

use crate::rig::{Ran, inspect, net};

/// `inspect` of `[net]` and `layers`.
fn layers(layers: &str) -> Ran {
    inspect(net(layers))
}
