//! References to other layers.

use super::layers;
use crate::rig::{CONV, inspect, net};

#[test]
fn references_must_lead_to_an_earlier_layer() {
    for section in ["route", "shortcut", "sam", "scale_channels"] {
        let key = if section == "route" { "layers" } else { "from" };
        for (to, words) in [
            ("1", "layer 1: that is itself"),
            ("7", "layer 7: that is a later layer"),
            ("-2", "layer -1: that is before the first layer"),
        ] {
            layers(&format!("{CONV}[{section}]\n{key}={to}\n")).says(
                1,
                &[
                    "net.cfg:11:",
                    &format!("layer 1 [{section}] refers to"),
                    words,
                ],
            );
        }
    }
    layers(&format!("{CONV}{CONV}share_index=5\n")).says(1, &["layer 5: that is a later layer"]);
}

#[test]
fn a_route_of_maps_with_different_sides_is_an_error() {
    layers(&format!(
        "{CONV}[maxpool]\nsize=2\nstride=2\n[route]\nlayers=-1,0\n"
    ))
    .says(
        1,
        &[
            "net.cfg:14:",
            "layer 1 is 16 x 16, layer 0 is 32 x 32",
            "::: net.cfg:10:",
            "::: net.cfg:5:",
        ],
    );
}

#[test]
fn a_missing_reference_is_an_error() {
    layers(&format!("{CONV}[route]\n"))
        .says(1, &["net.cfg:10:", "layer 1 [route] has no `layers`"]);
    for section in ["shortcut", "sam", "scale_channels"] {
        layers(&format!("{CONV}[{section}]\n")).says(
            1,
            &["net.cfg:10:", &format!("layer 1 [{section}] has no `from`")],
        );
    }
}

#[test]
fn a_shortcut_between_different_sides_needs_a_whole_ratio() {
    let pool = "[maxpool]\nsize=2\nstride=2\n";
    layers(&format!("{CONV}{pool}[shortcut]\nfrom=0\n")).is_fine();
    let text = net(&format!(
        "{CONV}[maxpool]\nsize=3\nstride=3\n[shortcut]\nfrom=0\n"
    ));
    inspect(&text).says(
        1,
        &[
            "net.cfg:14:",
            "32 x 32",
            "11 x 11",
            "multiples of 3, as in 33 x 33",
        ],
    );
    layers(&format!("{CONV}{}[sam]\nfrom=0\n", pool)).says(1, &["shape differs"]);
}
