//! Numbers that are none, or that do not fit.

use super::layers;
use crate::rig::{CONV, inspect, net};

#[test]
fn values_that_are_no_numbers_are_errors() {
    for bad in [
        "abc",
        "1e3",
        "99999999999",
        "99999999999999999999999",
        "0x10",
        "3.5",
        "--2",
    ] {
        layers(&CONV.replace("filters=4", &format!("filters={bad}")))
            .says(1, &["net.cfg:6:", &format!("`filters={bad}`"), "help:"]);
    }
    for bad in ["1,2", "nan", "inf", "x"] {
        layers(&format!("{CONV}[upsample]\nscale={bad}\n"))
            .says(1, &["net.cfg:11:", "is not a number"]);
    }
}

#[test]
fn the_input_size_must_be_given_and_positive() {
    for key in ["width", "height", "channels"] {
        let without = net(CONV).replace(&format!("{key}="), "momentum=");
        inspect(without).says(1, &["net.cfg:1:", &format!("[net] has no `{key}`")]);
        for bad in ["0", "-32"] {
            let text = net(CONV).replace(&format!("{key}=3"), &format!("{key}={bad} #"));
            inspect(text).says(1, &[&format!("`{key}={bad}#"), "at least 1"]);
        }
    }
    inspect(net(CONV).replace("width", "widht")).says(1, &["did you mean `width`"]);
}

#[test]
fn sides_that_are_no_multiple_of_32_are_fine_while_joined_maps_fit() {
    let text = net(&format!(
        "{CONV}[maxpool]\nsize=2\nstride=2\n[upsample]\n[route]\nlayers=-1,0\n"
    ));
    inspect(text.replace("width=32", "width=34")).is_fine();
    inspect(text.replace("width=32", "width=33")).says(
        1,
        &[
            "net.cfg:15:",
            "layer 2 is 34 x 32, layer 0 is 33 x 32",
            "multiples of 2, as in 34 x 32",
        ],
    );
}

#[test]
fn a_stride_below_1_is_an_error() {
    for (section, line) in [
        ("convolutional", 6),
        ("maxpool", 6),
        ("reorg", 6),
        ("reorg3d", 6),
    ] {
        for bad in ["0", "-2"] {
            layers(&format!("[{section}]\nstride={bad}\n"))
                .says(1, &[&format!("net.cfg:{line}:"), "stride", "at least 1"]);
        }
    }
    layers("[upsample]\nstride=0\n").says(1, &["layer 0", "stride 0"]);
}

#[test]
fn sizes_zero_negative_or_above_the_input_are_errors() {
    for key in ["filters", "size", "groups", "dilation"] {
        for bad in ["0", "-1"] {
            layers(&format!("[convolutional]\n{key}={bad}\n"))
                .says(1, &["net.cfg:6:", key, "at least 1"]);
        }
    }
    layers("[convolutional]\nsize=33\n").says(
        1,
        &[
            "layer 0",
            "size 33 is larger than its padded input of 32 x 32",
        ],
    );
    layers("[maxpool]\nsize=40\npadding=0\n").says(1, &["size 40 is larger"]);
    layers("[local]\nsize=40\n").says(1, &["size 40 is larger"]);
    layers("[crop]\ncrop_width=99\ncrop_height=2\n").says(1, &["does not fit"]);
}

#[test]
fn groups_must_divide_channels_and_filters() {
    layers(&format!("{CONV}groups=2\n"))
        .says(1, &["net.cfg:10:", "3 input channels and 4 filters"]);
    layers(&format!("{CONV}[route]\nlayers=-1\ngroups=3\n"))
        .says(1, &["net.cfg:12:", "no multiple of groups 3"]);
    layers(&format!("{CONV}[route]\nlayers=-1\ngroups=2\ngroup_id=2\n"))
        .says(1, &["group_id 2 must be below groups 2"]);
}

#[test]
fn huge_sizes_are_errors_before_memory_is_taken() {
    inspect(net(CONV).replace("width=32", "width=2000000")).says(1, &["net.cfg:2:", "too large"]);
    for filters in ["2147483647", "2147483648", "4294967296"] {
        layers(&CONV.replace("filters=4", &format!("filters={filters}"))).says(1, &["too large"]);
    }
    layers("[convolutional]\nsize=2147483647\npad=1\n").says(1, &["too large"]);
    layers("[connected]\noutput=2147483647\n").says(1, &["too large"]);
    layers("[local]\nfilters=2147483647\nsize=3\n").says(1, &["too large"]);
    layers("[upsample]\nstride=1024\n[upsample]\nstride=1024\n").says(1, &["too large"]);
    let wide = net("[convolutional]\nfilters=2000000000\nsize=9999\npad=1\n");
    inspect(wide.replace("=32", "=65536")).says(1, &["too large"]);
    layers("[maxpool]\nsize=7\npadding=99\n").says(3, &["outside"]);
}

#[test]
fn batch_and_subdivisions_of_zero_are_fine() {
    inspect(format!(
        "[net]\nwidth=32\nheight=32\nchannels=3\nbatch=0\nsubdivisions=0\n{CONV}"
    ))
    .is_fine();
}
