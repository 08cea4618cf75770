//! Lowers one section of a cfg to one layer: calls the function of the section's kind, and checks the rules of
//! all layers.

use super::{
    Done, Lowering, Made, VALUES_MAX, conv, dense, detect, elementwise, pool, reorg, route,
    shortcut,
};
use crate::cfg::{
    diag::bound,
    keys::Keys,
    lex::Section,
    suggest::{nearest, other_case},
};
use tessera_plan::graph::Stored;

/// Names of the sections that the planner reads.
const KNOWN: &[&str] = &[
    "convolutional",
    "conv",
    "maxpool",
    "max",
    "local_avgpool",
    "avgpool",
    "avg",
    "route",
    "upsample",
    "reorg",
    "reorg3d",
    "shortcut",
    "connected",
    "conn",
    "local",
    "dropout",
    "cost",
    "crop",
    "batchnorm",
    "activation",
    "empty",
    "silence",
    "contrastive",
    "softmax",
    "soft",
    "sam",
    "scale_channels",
    "normalization",
    "lrn",
    "yolo",
    "Gaussian_yolo",
    "region",
    "detection",
    "net",
    "network",
];
/// Names of Darknet's sections that the planner refuses.
const REFUSED: &[&str] = &[
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
];

/// Lowers a section and appends its layer.
pub(super) fn layer(l: &mut Lowering<'_>, section: &Section) {
    let keys = Keys::new(section, l.darknet);
    let made = made(l, &keys, &section.name);
    let made = with_weights(l, &keys, made);
    keys.finish(l.out);
    bound(l.out);
    l.layers.push(Done {
        kind: kind(&section.name).to_string(),
        span: section.span,
        value: made.value,
        stored: made.stored,
        macs: made.macs,
        conv: made.conv,
        antialiased: made.antialiased,
    });
}

/// Calls the function of the section's kind with the section's keys.
fn made(l: &mut Lowering<'_>, keys: &Keys<'_>, name: &str) -> Made {
    match name {
        "convolutional" | "conv" => conv::conv(l, keys),
        "maxpool" | "max" => pool::maxpool(l, keys),
        "local_avgpool" => pool::local_avgpool(l, keys),
        "avgpool" | "avg" => pool::avgpool(l, keys),
        "route" => route::route(l, keys),
        "upsample" => reorg::upsample(l, keys),
        "reorg" => reorg::reorg(l, keys),
        "reorg3d" => reorg::reorg3d(l, keys),
        "shortcut" => shortcut::shortcut(l, keys),
        "sam" => elementwise::sam(l, keys),
        "scale_channels" => elementwise::scale_channels(l, keys),
        "batchnorm" => elementwise::batchnorm(l, keys),
        "activation" => elementwise::activation(l, keys),
        "normalization" | "lrn" => elementwise::lrn(l, keys),
        "dropout" | "empty" | "silence" | "contrastive" | "cost" => {
            elementwise::ignore_all(keys);
            Made::value(l.previous())
        }
        "connected" | "conn" => dense::connected(l, keys),
        "local" => dense::local(l, keys),
        "crop" => dense::crop(l, keys),
        "softmax" | "soft" => dense::softmax(l, keys),
        "yolo" => detect::yolo(l, keys),
        "Gaussian_yolo" => detect::gaussian(l, keys),
        "region" => detect::region(l, keys),
        "detection" => detect::detection(l, keys),
        _ => {
            elementwise::ignore_all(keys);
            unknown(keys, name);
            Made::nothing()
        }
    }
}

/// Checks that the layer's weights lie in the file and can be counted; reports errors.
fn with_weights(l: &Lowering<'_>, keys: &Keys<'_>, mut made: Made) -> Made {
    let (here, name) = (l.here(), keys.name());
    if keys.flag("dontload") && made.stored != Stored::Nothing {
        made.stored = Stored::Nothing;
        keys.unsupported(
            "dontload",
            format!("layer {here} [{name}] has dontload=1: its weights are not in the file"),
            "delete the key if the weights file holds them",
        );
    }
    if made.stored.floats().is_none_or(|n| n > VALUES_MAX) {
        keys.error(
            "",
            format!("layer {here} [{name}]: its weights are too large"),
            format!("up to {VALUES_MAX} values are possible"),
        );
        return Made::nothing();
    }
    made
}

/// Darknet's own name of a section that has two names.
fn kind(name: &str) -> &str {
    match name {
        "conv" => "convolutional",
        "max" => "maxpool",
        "avg" => "avgpool",
        "conn" => "connected",
        "soft" => "softmax",
        "lrn" => "normalization",
        "silence" => "empty",
        other => other,
    }
}

/// Reports why the planner does not read a section of this name.
fn unknown(keys: &Keys<'_>, name: &str) {
    if REFUSED.contains(&name) {
        let why = match name {
            "rnn" | "crnn" | "gru" | "lstm" | "conv_lstm" | "history" => {
                "recurrent networks keep state between frames; Tessera runs feed-forward networks"
            }
            _ => "no published network uses it at inference",
        };
        keys.unsupported("", format!("section [{name}] is not supported"), why);
        return;
    }
    if matches!(name, "net" | "network") {
        keys.error(
            "",
            format!("a second [{name}]: only the first section may be one"),
            "one file describes one network; delete this section",
        );
        return;
    }
    let help = match (other_case(name, KNOWN), nearest(name, KNOWN)) {
        (Some(n), _) => format!("did you mean [{n}]? Upper and lower case count"),
        (None, Some(n)) => format!("did you mean [{n}]?"),
        (None, None) => format!("known sections: {}", KNOWN.join(", ")),
    };
    keys.error("", format!("unknown section [{name}]"), help);
}
