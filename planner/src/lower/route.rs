//! `[route]`: concatenation over channels (`docs/darknet.md#route`).

use super::{Lowering, Made, Value, refs};
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
    let group = Group::read(l, keys);
    if indices.is_empty() {
        keys.error(
            "layers",
            format!("layer {} [route] has no `layers`", l.here()),
            "name the layers to concatenate, as in layers=-1,8",
        );
        return Made::nothing();
    }
    let joined = || {
        let group = group.checked(l, keys)?;
        let found = refs::layers(l, keys, "layers", &indices)?;
        let parts = parts(l, keys, &group, &found)?;
        Some((group, found, parts))
    };
    let Some((group, found, parts)) = joined() else {
        return Made::nothing();
    };
    let (_, first) = found[0];
    if parts.len() == 1 && group.count == 1 {
        return Made::value(Some(first));
    }
    let c = parts.iter().map(|p| p.c.len()).sum();
    let inputs = found.iter().map(|(_, v)| v.tensor).collect();
    Made::value(l.add(
        keys,
        "route",
        Op::Concat(parts),
        inputs,
        Shape::new(first.shape.h, first.shape.w, c),
    ))
}

/// The group of channels that a route takes of every layer, among equal groups.
struct Group {
    index: usize,
    count: usize,
}

impl Group {
    fn read(l: &Lowering<'_>, keys: &Keys<'_>) -> Self {
        let count = keys.size("groups", 1, 1).unwrap_or(1);
        let index = keys.size("group_id", 0, 0).unwrap_or(0);
        // The original fork ignores groups silently.
        let (index, count) = match l.darknet {
            Darknet::Pjreddie => (0, 1),
            Darknet::Alexey => (index, count),
        };
        Self { index, count }
    }

    /// Checks that the group exists; `None` after an error.
    fn checked(self, l: &Lowering<'_>, keys: &Keys<'_>) -> Option<Self> {
        let Self { index, count } = self;
        if index >= count {
            keys.error(
                "group_id",
                format!(
                    "layer {}: group_id {index} must be below groups {count}",
                    l.here()
                ),
                "groups count from 0",
            );
            return None;
        }
        Some(self)
    }
}

/// The channels that a route takes of every layer. `None` after an error.
fn parts(
    l: &Lowering<'_>,
    keys: &Keys<'_>,
    group: &Group,
    found: &[(usize, Value)],
) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    for (input, &other) in found.iter().enumerate() {
        let (to, v) = other;
        if (v.shape.h, v.shape.w) != (found[0].1.shape.h, found[0].1.shape.w) {
            differ(l, keys, found[0], other);
            return None;
        }
        if v.shape.c % group.count != 0 {
            keys.error(
                "groups",
                format!(
                    "layer {}: {} channels of layer {to} are no multiple of groups {}",
                    l.here(),
                    v.shape.c,
                    group.count
                ),
                "choose a divisor",
            );
            return None;
        }
        let n = v.shape.c / group.count;
        parts.push(Part {
            input,
            c: Span::new(group.index * n, (group.index + 1) * n),
        });
    }
    Some(parts)
}

/// Reports that the maps of two layers have different sizes.
fn differ(l: &Lowering<'_>, keys: &Keys<'_>, (first, v0): (usize, Value), (to, v): (usize, Value)) {
    keys.say(
        Diagnostic::new(
            Severity::Error,
            keys.at("layers"),
            format!(
                "layer {} [route] joins maps of different size: layer {first} is {} x {}, layer {to} is {} x {}",
                l.here(), v0.shape.w, v0.shape.h, v.shape.w, v.shape.h
            ),
            "joined here",
            l.misfit("all joined maps need the same width and height; check `layers` and the strides before them"),
        )
        .with(l.layers[first].span, "this layer")
        .with(l.layers[to].span, "and this one"),
    );
}
