//! The nets of `tests/nets` have everything in them, and are read without a complaint.

use std::collections::BTreeSet;

use tessera_plan::graph::Darknet;
use tessera_planner::cfg::{self, diag::Severity};

use crate::{cfgs, sections};

/// Sections that networks have at inference, by their long names (`docs/darknet.md#sections`).
const SECTIONS: &[&str] = &[
    "convolutional",
    "maxpool",
    "route",
    "shortcut",
    "upsample",
    "yolo",
    "softmax",
    "cost",
    "avgpool",
    "region",
    "connected",
    "dropout",
    "reorg",
    "crop",
    "sam",
    "scale_channels",
    "detection",
    "local",
    "Gaussian_yolo",
    "reorg3d",
    "local_avgpool",
    "batchnorm",
    "activation",
    "normalization",
];

/// Options that change what is computed (`docs/darknet.md#layers`, `#detection-layers`).
const OPTIONS: &[&str] = &[
    "filters",
    "size",
    "stride",
    "stride_x",
    "stride_y",
    "pad",
    "padding",
    "dilation",
    "groups",
    "batch_normalize",
    "activation",
    "antialiasing",
    "share_index",
    "maxpool_depth",
    "out_channels",
    "layers",
    "group_id",
    "scale",
    "reverse",
    "from",
    "weights_type",
    "weights_normalization",
    "alpha",
    "beta",
    "output",
    "crop_height",
    "crop_width",
    "noadjust",
    "temperature",
    "scale_wh",
    "kappa",
    "classes",
    "num",
    "mask",
    "anchors",
    "scale_x_y",
    "new_coords",
    "coords",
    "softmax",
    "side",
    "sqrt",
    "yolo_point",
];

const ACTIVATIONS: &[&str] = &[
    "linear",
    "logistic",
    "loggy",
    "relu",
    "relu6",
    "leaky",
    "revleaky",
    "relie",
    "ramp",
    "elu",
    "selu",
    "gelu",
    "tanh",
    "plse",
    "stair",
    "hardtan",
    "lhtan",
    "swish",
    "mish",
    "hard_mish",
    "normalize_channels",
    "normalize_channels_softmax",
    "normalize_channels_softmax_maxval",
];

#[test]
fn everything_occurs() {
    let (mut names, mut keys, mut functions) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (_, text) in cfgs("tests/nets").into_iter().chain(cfgs("models")) {
        for (name, entries) in sections(&text) {
            names.insert(name);
            for (k, v) in entries {
                if k == "activation" {
                    functions.insert(v);
                }
                keys.insert(k);
            }
        }
    }
    let missing = |all: &[&str], have: &BTreeSet<String>| -> Vec<String> {
        let gone = all.iter().filter(|x| !have.contains(**x));
        gone.map(ToString::to_string).collect()
    };
    assert_eq!(missing(SECTIONS, &names), [""; 0]);
    assert_eq!(missing(OPTIONS, &keys), [""; 0]);
    assert_eq!(missing(ACTIVATIONS, &functions), [""; 0]);
}

#[test]
fn all_are_read_without_a_complaint() {
    for (name, text) in cfgs("tests/nets").into_iter().chain(cfgs("models")) {
        let (graph, diagnostics) = cfg::read(text.as_bytes(), &name, Darknet::Alexey);
        for d in &diagnostics {
            // The one thing that is said of them: where Darknet itself computes zeros.
            assert!(
                d.severity == Severity::Warning && d.message.contains("computes zeros"),
                "{name}: {d}"
            );
        }
        assert!(graph.is_some(), "{name}");
    }
}

#[test]
fn names_have_their_short_forms() {
    let long = "[network]\nwidth=8\nheight=8\nchannels=3\n[convolutional]\nfilters=4\n[maxpool]\n\
        size=2\nstride=2\n[avgpool]\n[connected]\noutput=4\n[dropout]\n[softmax]\n";
    let short = "[net]\nwidth=8\nheight=8\nchannels=3\n[conv]\nfilters=4\n[max]\nsize=2\nstride=2\n\
        [avg]\n[conn]\noutput=4\n[dropout]\n[soft]\n";
    let read = |text: &str| {
        let (graph, said) = cfg::read(text.as_bytes(), "n", Darknet::Alexey);
        assert!(said.is_empty(), "{said:?}");
        let graph = graph.unwrap();
        let layers: Vec<_> = graph
            .layers
            .iter()
            .map(|l| (l.kind.clone(), l.shape))
            .collect();
        (layers, format!("{:?}", graph.nodes))
    };
    assert_eq!(read(long), read(short));
}

#[test]
fn refusals_are_by_name() {
    // What only training networks, recurrent ones or nobody uses.
    for section in [
        "rnn",
        "crnn",
        "gru",
        "lstm",
        "conv_lstm",
        "history",
        "implicit",
        "deconvolutional",
        "deconv",
        "logistic",
        "l2norm",
        "iseg",
    ] {
        let text = format!("[net]\nwidth=8\nheight=8\nchannels=3\n[{section}]\n");
        let (graph, said) = cfg::read(text.as_bytes(), "n", Darknet::Alexey);
        assert!(graph.is_none());
        assert!(
            said.iter().any(|d| d.severity == Severity::Unsupported
                && d.message.contains(&format!("[{section}]"))),
            "{said:?}"
        );
    }
}
