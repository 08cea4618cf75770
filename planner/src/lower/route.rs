//! `[route]`: concatenation over channels (`docs/darknet.md#route`).

use super::{Lowering, Made, refs};
use crate::cfg::{
    diag::{Diagnostic, Severity},
    keys::Keys,
};
use tessera_plan::{
    graph::{Darknet, Op, Part},
    region::{Shape, Span},
};

pub(super) fn route(l: &mut Lowering<'_>, keys: &Keys<'_>) -> Made {
    let indices = keys.ints("layers");
    let groups = keys.size("groups", 1, 1).unwrap_or(1);
    let group = keys.size("group_id", 0, 0).unwrap_or(0);
    let here = l.here();
    if indices.is_empty() {
        keys.error(
            "layers",
            format!("layer {here} [route] has no `layers`"),
            "name the layers to concatenate, as in layers=-1,8",
        );
        return Made::nothing();
    }
    // The original fork ignores groups silently.
    let (groups, group) = if l.darknet == Darknet::Pjreddie {
        (1, 0)
    } else {
        (groups, group)
    };
    if group >= groups {
        keys.error(
            "group_id",
            format!("layer {here}: group_id {group} must be below groups {groups}"),
            "groups count from 0",
        );
        return Made::nothing();
    }
    let found: Vec<_> = indices
        .iter()
        .map(|i| refs::layer(l, keys, "layers", *i))
        .collect();
    let Some(found) = found.into_iter().collect::<Option<Vec<_>>>() else {
        return Made::nothing();
    };
    let (first, v0) = found[0];
    let mut parts = Vec::new();
    for (k, &(to, v)) in found.iter().enumerate() {
        if (v.shape.h, v.shape.w) != (v0.shape.h, v0.shape.w) {
            keys.say(
                Diagnostic::new(
                    Severity::Error,
                    keys.at("layers"),
                    format!(
                        "layer {here} [route] joins maps of different size: layer {first} is {} x {}, layer {to} is {} x {}",
                        v0.shape.w, v0.shape.h, v.shape.w, v.shape.h
                    ),
                    "joined here",
                    l.misfit("all joined maps need the same width and height; check `layers` and the strides before them"),
                )
                .with(l.layers[first].span, "this layer")
                .with(l.layers[to].span, "and this one"),
            );
            return Made::nothing();
        }
        if v.shape.c % groups != 0 {
            keys.error(
                "groups",
                format!(
                    "layer {here}: {} channels of layer {to} are no multiple of groups {groups}",
                    v.shape.c
                ),
                "choose a divisor",
            );
            return Made::nothing();
        }
        let n = v.shape.c / groups;
        parts.push(Part {
            input: k,
            c: Span::new(group * n, (group + 1) * n),
        });
    }
    if parts.len() == 1 && groups == 1 {
        return Made::value(Some(v0));
    }
    let c = parts.iter().map(|p| p.c.len()).sum();
    let inputs = found.iter().map(|(_, v)| v.tensor).collect();
    Made::value(l.add(
        keys,
        "route",
        Op::Concat(parts),
        inputs,
        Shape::new(v0.shape.h, v0.shape.w, c),
    ))
}
