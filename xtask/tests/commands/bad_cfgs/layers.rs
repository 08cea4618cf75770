//! What layers ask for: heads, activations, options that are not supported.

use super::layers;
use crate::rig::{CONV, Folder, inspect, net};

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
    .says(
        0,
        &["net.cfg:11:", "4 anchor values for num=3 pairs", "0.5"],
    );
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
    // Darknet's recurrent cfgs give no sides either.
    inspect("[net]\ninputs=256\n[rnn]\noutput=9\n[connected]\noutput=9\n[softmax]\n[cost]\n").says(
        3,
        &["net.cfg:2:", "`inputs`", "net.cfg:3:", "[rnn]", "help:"],
    );
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
    layers(&format!("{CONV}xnor=1\nstride=x\n")).says(1, &["unsupported:", "error:"]);
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
