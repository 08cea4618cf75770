//! Detection layers: their maps become nodes, their parameters [`Head`]s
//! (`docs/darknet.md#detection-layers`).

use super::{Lowering, Made, Value};
use crate::cfg::{
    diag::{Diagnostic, Severity},
    keys::Keys,
};
use tessera_plan::{
    graph::{Darknet, Head, HeadKind, NmsKind, Op},
    region::Shape,
};

/// Largest number of classes that is accepted.
const CLASSES_MAX: usize = 1 << 20;
/// Largest number of boxes of a cell.
const BOXES_MAX: usize = 4096;
/// Largest number of cells in a row of a detection layer.
const SIDE_MAX: usize = 4096;

fn classes(keys: &Keys<'_>) -> Option<usize> {
    keys.size_up_to("classes", 20, 1, CLASSES_MAX)
}

/// `num` pairs of values of the `anchors` key. Missing values are 0.5, the initial value of Darknet's buffer
/// (`docs/darknet.md#yolo`).
fn pairs(keys: &Keys<'_>, mut anchors: Vec<f32>, num: usize, here: usize) -> Vec<(f32, f32)> {
    if let Some(text) = keys.text("anchors") {
        let written = text.split('#').next().unwrap_or_default();
        let written = written.split(',').filter(|t| !t.is_empty()).count();
        // Entries that are not numbers have their own diagnostics.
        if anchors.len() == written && written < 2 * num {
            keys.say(Diagnostic::new(
                Severity::Warning,
                keys.at("anchors"),
                format!(
                    "layer {here}: {written} anchor values for num={num} pairs; the missing ones are 0.5, as in Darknet"
                ),
                "too few",
                format!("give {} values, or correct num", 2 * num),
            ));
        }
    }
    anchors.resize(2 * num, 0.5);
    anchors.chunks_exact(2).map(|p| (p[0], p[1])).collect()
}

fn nms(keys: &Keys<'_>) -> NmsKind {
    let beta = keys.float("beta_nms", 0.6);
    keys.choice(
        "nms_kind",
        &[
            ("default", NmsKind::Default),
            ("greedynms", NmsKind::Greedy),
            ("diounms", NmsKind::Diou { beta }),
            ("cornersnms", NmsKind::Default),
        ],
    )
}

/// True if the layer before has `want` channels; otherwise reports `sum`, the formula of that number.
fn channels(l: &Lowering<'_>, keys: &Keys<'_>, v: Value, want: Option<usize>, sum: &str) -> bool {
    if want == Some(v.shape.c) {
        return true;
    }
    keys.error(
        "classes",
        format!(
            "layer {} [{}]: filters of the layer before is {}, must be {} = {sum}",
            l.here(),
            keys.name(),
            v.shape.c,
            want.map_or("too large".into(), |w| w.to_string())
        ),
        "correct filters, classes or mask: all three must agree",
    );
    false
}

struct Slots {
    classes: usize,
    anchors: Vec<(f32, f32)>,
}

/// Reads the keys that yolo and Gaussian_yolo share; `None` after an error.
fn masked(l: &Lowering<'_>, keys: &Keys<'_>) -> Option<Slots> {
    let here = l.here();
    let classes = classes(keys);
    let num = keys.size("num", 1, 1);
    let mask = keys.text("mask").map(|_| keys.ints("mask"));
    let anchors = keys.floats("anchors");
    let (classes, num) = (classes?, num?);
    if num > 4096 {
        keys.error(
            "num",
            format!("layer {here}: num={num} is too large"),
            "num counts the pairs in anchors",
        );
        return None;
    }
    let all = pairs(keys, anchors, num, here);
    let mask = mask.unwrap_or_else(|| (0..i64::try_from(num).unwrap_or(0)).collect());
    let mut picked = Vec::new();
    for m in mask {
        let Some(a) = usize::try_from(m)
            .ok()
            .filter(|m| *m < num)
            .and_then(|m| all.get(m))
        else {
            keys.error(
                "mask",
                format!("layer {here}: mask entry {m} is not below num={num}"),
                "mask picks pairs of anchors, counted from 0",
            );
            return None;
        };
        picked.push(*a);
    }
    if picked.is_empty() {
        keys.error(
            "mask",
            format!("layer {here}: mask picks no anchors"),
            "name at least one pair, as in mask=0,1,2",
        );
        return None;
    }
    Some(Slots {
        classes,
        anchors: picked,
    })
}

fn head(
    l: &mut Lowering<'_>,
    value: Option<Value>,
    classes: usize,
    anchors: Vec<(f32, f32)>,
    kind: HeadKind,
    nms: NmsKind,
) {
    if let Some(v) = value {
        let layer = l.here();
        l.heads.push(Head {
            layer,
            tensor: v.tensor,
            shape: v.shape,
            classes,
            anchors,
            kind,
            nms,
        });
    }
}

pub(super) fn yolo(l: &mut Lowering<'_>, keys: &Keys<'_>) -> Made {
    let slots = masked(l, keys);
    let scale_x_y = keys.float("scale_x_y", 1.0);
    let new_coords = keys.flag("new_coords");
    let nms = nms(keys);
    let (Some(s), Some(v)) = (slots, l.previous()) else {
        return Made::nothing();
    };
    let masks = s.anchors.len();
    let sum = format!("{masks} masks * ({} classes + 5)", s.classes);
    if !channels(l, keys, v, masks.checked_mul(s.classes + 5), &sum) {
        return Made::nothing();
    }
    let op = Op::Yolo {
        masks,
        classes: s.classes,
        scale_x_y,
        new_coords,
    };
    let value = l.add(keys, "yolo", op, vec![v.tensor], v.shape);
    head(
        l,
        value,
        s.classes,
        s.anchors,
        HeadKind::Yolo { new_coords },
        nms,
    );
    Made::value(value)
}

pub(super) fn gaussian(l: &mut Lowering<'_>, keys: &Keys<'_>) -> Made {
    let slots = masked(l, keys);
    let scale_x_y = keys.float("scale_x_y", 1.0);
    let nms = nms(keys);
    let point = keys.choice(
        "yolo_point",
        &[("center", 0), ("left_top", 1), ("right_bottom", -1)],
    );
    let (Some(s), Some(v)) = (slots, l.previous()) else {
        return Made::nothing();
    };
    let masks = s.anchors.len();
    let sum = format!("{masks} masks * ({} classes + 9)", s.classes);
    if !channels(l, keys, v, masks.checked_mul(s.classes + 9), &sum) {
        return Made::nothing();
    }
    let op = Op::GaussianYolo {
        masks,
        classes: s.classes,
        scale_x_y,
    };
    let value = l.add(keys, "gaussian_yolo", op, vec![v.tensor], v.shape);
    head(
        l,
        value,
        s.classes,
        s.anchors,
        HeadKind::Gaussian { point },
        nms,
    );
    Made::value(value)
}

pub(super) fn region(l: &mut Lowering<'_>, keys: &Keys<'_>) -> Made {
    let here = l.here();
    let classes = classes(keys);
    let num = keys.size_up_to("num", 1, 1, BOXES_MAX);
    let coords = keys.size("coords", 4, 1);
    let softmax = keys.flag("softmax");
    let nms = nms(keys);
    let anchors = keys.floats("anchors");
    if keys.text("tree").is_some() {
        keys.unsupported(
            "tree",
            "[region] with a softmax tree is not supported",
            "use a network with plain classes",
        );
        return Made::nothing();
    }
    let (Some(classes), Some(num), Some(coords), Some(v)) = (classes, num, coords, l.previous())
    else {
        return Made::nothing();
    };
    if coords != 4 {
        keys.unsupported(
            "coords",
            format!("layer {here} [region]: coords={coords}; boxes have 4"),
            "use coords=4",
        );
        return Made::nothing();
    }
    let anchors = pairs(keys, anchors, num, here);
    let sum = format!("{num} num * ({classes} classes + 4 coords + 1)");
    if !channels(l, keys, v, num.checked_mul(classes + 5), &sum) {
        return Made::nothing();
    }
    let logistic_classes = !softmax && l.darknet == Darknet::Pjreddie;
    let value = l.add(
        keys,
        "region",
        Op::Region {
            num,
            classes,
            softmax,
            logistic_classes,
        },
        vec![v.tensor],
        v.shape,
    );
    head(l, value, classes, anchors, HeadKind::Region, nms);
    Made::value(value)
}

pub(super) fn detection(l: &mut Lowering<'_>, keys: &Keys<'_>) -> Made {
    let classes = keys.size_up_to("classes", 1, 1, CLASSES_MAX);
    let coords = keys.size("coords", 1, 1);
    let num = keys.size_up_to("num", 1, 1, BOXES_MAX);
    let side = keys.size_up_to("side", 7, 1, SIDE_MAX);
    let softmax = keys.flag("softmax");
    let sqrt = keys.flag("sqrt");
    let (Some(classes), Some(coords), Some(num), Some(side), Some(v)) =
        (classes, coords, num, side, l.previous())
    else {
        return Made::nothing();
    };
    let here = l.here();
    if coords != 4 {
        keys.unsupported(
            "coords",
            format!("layer {here} [detection]: coords={coords}; boxes have 4"),
            "use coords=4",
        );
        return Made::nothing();
    }
    let want = side * side * (5 * num + classes);
    if v.shape.len() != want {
        keys.error(
            "classes",
            format!("layer {here} [detection]: the layer before gives {} values, must be {want} = {side} * {side} * (5 * {num} + {classes})", v.shape.len()),
            "correct output, side, num or classes",
        );
        return Made::nothing();
    }
    let op = Op::Detection {
        side,
        num,
        classes,
        softmax,
    };
    let value = l.add(
        keys,
        "detection",
        op,
        vec![v.tensor],
        Shape::new(1, 1, want),
    );
    head(
        l,
        value,
        classes,
        Vec::new(),
        HeadKind::Detection { side, num, sqrt },
        NmsKind::Default,
    );
    Made::value(value)
}
