//! Bad cfgs (`docs/darknet.md#bad-input`), and good ones that look bad.

use crate::rig::{CONV, Folder, inspect, net};

/// `inspect` of `[net]` and `layers`.
fn layers(layers: &str) -> crate::rig::Ran {
    inspect(net(layers))
}

#[test]
fn a_cfg_without_sections_is_an_error() {
    inspect("").says(1, &["no sections", "net.cfg", "help:"]);
    inspect("# only a comment\n\n").says(1, &["no sections"]);
}

#[test]
fn the_first_section_must_be_net() {
    inspect(CONV).says(
        1,
        &["net.cfg:1:", "line 1: the first section must be [net]"],
    );
    inspect(net(CONV).replace("[net]", "\n[NET]")).says(1, &["net.cfg:2:", "lower case"]);
}

#[test]
fn a_key_before_any_section_is_an_error() {
    inspect(format!("width=3\n{}", net(CONV))).says(
        1,
        &["net.cfg:1:", "`width=3` stands before the first section"],
    );
}

#[test]
fn an_unknown_section_is_an_error_with_the_nearest_name() {
    layers(&format!("{CONV}[upsampel]\nstride=2\n")).says(
        1,
        &[
            "net.cfg:10:",
            "unknown section [upsampel]",
            "did you mean [upsample]",
        ],
    );
    layers(&format!("{CONV}[CONVOLUTIONAL]\n")).says(1, &["lower case"]);
    layers("[something]\n").says(1, &["known sections:"]);
    layers(&format!("{CONV}{}", net(CONV))).says(1, &["a second [net]"]);
}

#[test]
fn a_comment_behind_a_section_name_is_a_warning() {
    layers(&format!("{CONV}[maxpool]#x\nsize=2\nstride=2\n")).says(
        0,
        &[
            "warning:",
            "net.cfg:10:",
            "`#x` after the section name is ignored",
        ],
    );
    layers(&format!("{CONV}[maxpool \n")).says(1, &["does not end in ]"]);
}

#[test]
fn a_key_without_value_is_an_error() {
    inspect(net(CONV).replace("width=32", "width="))
        .says(1, &["net.cfg:2:", "key `width` has no value"]);
}

#[test]
fn a_line_without_equals_is_a_warning() {
    layers(&format!("{CONV}batch_normalize\n")).says(
        0,
        &["warning:", "net.cfg:10:", "`batch_normalize` has no `=`"],
    );
}

#[test]
fn of_duplicate_keys_the_first_counts() {
    let ran = layers(&format!("{CONV}filters=9\n"));
    ran.says(0, &["net.cfg:10:", "line 6 counts, line 10 is ignored"]);
    assert!(ran.out.contains("32 x 32 x 4"), "{}", ran.out);
}

#[test]
fn an_unknown_key_is_a_warning_and_a_training_key_is_none() {
    layers(&format!("{CONV}dilations=2\n")).says(
        0,
        &[
            "net.cfg:10:",
            "unknown key `dilations`",
            "did you mean `dilation`?",
        ],
    );
    layers(&format!(
        "{CONV}burnin_update=2\nlearning_rate=1\nstopbackward=1\n"
    ))
    .is_fine();
}

#[test]
fn lines_may_end_with_crlf() {
    inspect(net(CONV).replace('\n', "\r\n")).is_fine();
}

#[test]
fn lines_may_end_with_cr_alone() {
    inspect(net(CONV).replace('\n', "\r")).is_fine();
    inspect(net(&CONV.replace("filters=4", "filters=x")).replace('\n', "\r"))
        .says(1, &["net.cfg:6:", "`filters=x`"]);
}

#[test]
fn a_byte_order_mark_is_skipped() {
    inspect(format!("\u{feff}{}", net(CONV))).is_fine();
}

#[test]
fn binary_data_and_utf_16_are_errors() {
    let wide: Vec<u8> = net(CONV).bytes().flat_map(|b| [b, 0]).collect();
    inspect([&b"\xff\xfe"[..], &wide].concat()).says(1, &["UTF-16"]);
    inspect(&wide).says(1, &["binary data"]);
    inspect((0..=255u8).cycle().take(5000).collect::<Vec<u8>>()).says(1, &["binary data"]);
}

#[test]
fn the_final_newline_may_be_missing() {
    inspect(net(CONV).trim_end()).is_fine();
}

#[test]
fn a_value_ends_at_a_hash() {
    let ran = inspect(net(&CONV.replace("filters=4", "filters = 8 # not 4")));
    ran.is_fine();
    assert!(ran.out.contains("32 x 32 x 8"), "{}", ran.out);
    layers(&format!("{CONV}[route]\nlayers=0#9\n")).is_fine();
}

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
            "multiples of 32",
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
    inspect(&text).says(1, &["net.cfg:14:", "32 x 32", "11 x 11", "whole multiple"]);
    layers(&format!("{CONV}{}[sam]\nfrom=0\n", pool)).says(1, &["shape differs"]);
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
fn filters_must_fit_classes_and_masks() {
    let conv = "[convolutional]\nfilters=20\n";
    layers(&format!(
        "{conv}[yolo]\nclasses=3\nnum=2\nanchors=1,2,3,4\n"
    ))
    .says(
        1,
        &["filters of the layer before is 20, must be 16 = 2 masks * (3 classes + 5)"],
    );
    layers(&format!("{conv}[region]\nclasses=3\nnum=2\n")).says(1, &["must be 16 = 2 num"]);
    layers(&format!("{conv}[Gaussian_yolo]\nclasses=3\nnum=2\n")).says(1, &["must be 24"]);
    layers(&format!("{conv}[detection]\nclasses=3\ncoords=4\n")).says(1, &["must be 392"]);
}

#[test]
fn masks_must_pick_anchors_that_exist() {
    let conv = "[convolutional]\nfilters=8\n";
    for (mask, entry) in [("0,2", "2"), ("-1", "-1")] {
        layers(&format!(
            "{conv}[yolo]\nclasses=3\nnum=2\nmask={mask}\nanchors=1,2,3,4\n"
        ))
        .says(
            1,
            &[
                "net.cfg:10:",
                &format!("mask entry {entry} is not below num=2"),
            ],
        );
    }
    layers(&format!(
        "{conv}[yolo]\nclasses=3\nnum=3\nmask=0\nanchors=1,2,3,4\n"
    ))
    .says(1, &["net.cfg:11:", "4 anchor values for num=3 pairs"]);
    layers(&format!("{conv}[yolo]\nclasses=3\nmask=,\n")).says(1, &["mask picks no anchors"]);
    layers(&format!("{conv}[yolo]\nclasses=3\nanchors=1,x\n"))
        .says(1, &["net.cfg:9:", "not a number"]);
}

#[test]
fn an_unknown_activation_is_an_error_with_the_nearest_name() {
    layers(&CONV.replace("leaky", "leeky")).says(
        1,
        &[
            "net.cfg:9:",
            "unknown activation `leeky`",
            "relu",
            "did you mean leaky?",
        ],
    );
    let mish = net(&CONV.replace("leaky", "mish"));
    inspect(&mish).is_fine();
    Folder::new()
        .with("net.cfg", mish)
        .run(&["inspect", "net.cfg", "--darknet", "pjreddie"])
        .says(1, &["net.cfg:9:", "does not know activation `mish`"]);
}

#[test]
fn unsupported_sections_and_options_are_refused_by_name() {
    for section in ["rnn", "crnn", "gru", "lstm", "conv_lstm"] {
        layers(&format!("{CONV}[{section}]\noutput=9\n")).says(
            3,
            &[
                "unsupported:",
                "net.cfg:10:",
                &format!("[{section}]"),
                "recurrent",
            ],
        );
    }
    for (text, line, words) in [
        (format!("{CONV}xnor=1\n"), 10, "binary (xnor)"),
        (format!("{CONV}bin_output=1\n"), 10, "binary (xnor)"),
        (format!("{CONV}[softmax]\ntree=a.tree\n"), 11, "`tree`"),
        (format!("{CONV}[softmax]\nspatial=1\n"), 11, "`spatial`"),
        (format!("{CONV}[region]\ntree=a.tree\n"), 11, "tree"),
        (format!("{CONV}[reorg]\nextra=1\n"), 11, "`extra`"),
        (format!("{CONV}[reorg]\nflatten=1\n"), 11, "`flatten`"),
        (format!("{CONV}dontload=1\n"), 10, "dontload=1"),
        (
            format!("{CONV}batch_normalize=1\ndontloadscales=1\n"),
            11,
            "no statistics",
        ),
        (
            format!("{CONV}[deconvolutional]\n"),
            10,
            "[deconvolutional]",
        ),
    ] {
        layers(&text).says(
            3,
            &["unsupported:", &format!("net.cfg:{line}:"), words, "help:"],
        );
    }
    // An error beside it: the file is wrong whatever Tessera supports.
    layers(&format!("{CONV}xnor=1\nfilters=\n")).says(1, &["unsupported:", "error:"]);
}

#[test]
fn a_training_cfg_is_read_without_a_word() {
    let keys = "batch=64\nsubdivisions=16\nmomentum=0.9\ndecay=0.0005\nangle=0\nsaturation=1.5\n\
        exposure=1.5\nhue=.1\nlearning_rate=0.001\nburn_in=1000\nmax_batches=500200\npolicy=steps\n\
        steps=400000,450000\nscales=.1,.1\nmosaic=1\nmixup=0\n";
    inspect(format!(
        "[net]\nwidth=32\nheight=32\nchannels=3\n{keys}{CONV}[cost]\ntype=sse\n"
    ))
    .is_fine();
}

#[test]
fn batch_and_subdivisions_of_zero_are_fine() {
    inspect(format!(
        "[net]\nwidth=32\nheight=32\nchannels=3\nbatch=0\nsubdivisions=0\n{CONV}"
    ))
    .is_fine();
}

#[test]
fn endless_lines_sections_keys_and_lists_end_at_limits() {
    layers(&format!(
        "{CONV}[route]\nlayers={}\n",
        "-1,".repeat(400_000)
    ))
    .says(1, &["net.cfg:11:", "a line of 1200007 bytes"]);
    layers(&"[convolutional]\n".repeat(1_000_000)).says(1, &["more than 10000 sections"]);
    layers(&"[a]\n".repeat(1_000_000)).says(1, &["[a]", "there are more errors"]);
    // The same for keys, mistakes and lists.
    let keys: String = (0..300_000).map(|i| format!("k{i}=1\n")).collect();
    layers(&format!("{CONV}{keys}")).says(1, &["more than 1000 keys", "there are more warnings"]);
    layers(&"x\n".repeat(2_000_000)).says(1, &["there are more warnings"]);
    layers(&format!(
        "{CONV}[route]\nlayers={}\n",
        "-1,".repeat(300_000)
    ))
    .says(1, &["more than 4096 entries"]);
    layers(&format!("{CONV}filters={}\n", "9".repeat(1_000_000))).says(0, &["given twice"]);
    let ran = layers(&format!("[{}]\n", "9".repeat(1_000_000)));
    ran.says(1, &["unknown section"]);
    assert!(ran.err.len() < 5000, "{} bytes", ran.err.len());
    let huge = Folder::new().with("net.cfg", vec![b'#'; (16 << 20) + 1]);
    huge.run(&["inspect", "net.cfg"])
        .says(1, &["no cfg is that large"]);
}

#[test]
fn heads_may_stand_anywhere_or_be_absent() {
    let head = "[convolutional]\nfilters=6\n[yolo]\nclasses=1\n";
    // Not last.
    layers(&format!("{CONV}{head}[route]\nlayers=0\n{CONV}")).is_fine();
    // Several.
    layers(&format!(
        "{CONV}{head}[route]\nlayers=0\n[maxpool]\nsize=2\nstride=2\n{head}"
    ))
    .is_fine();
    // None; cost does not count.
    layers(&format!("{CONV}[avgpool]\n[softmax]\n[cost]\n")).is_fine();
    layers(CONV).is_fine();
    layers("").says(1, &["the network has no layers"]);
}

#[test]
fn all_mistakes_are_reported_in_one_run() {
    let ran =
        layers("[convolutional]\nfilters=x\n[maxpool]\nstride=0\n[upsampel]\n[route]\nlayers=9\n");
    ran.says(
        1,
        &[
            "net.cfg:6:",
            "net.cfg:8:",
            "net.cfg:9:",
            "net.cfg:11:",
            "4 problem(s)",
        ],
    );
    assert_eq!(ran.err.matches("help:").count(), 4, "{}", ran.err);
}
