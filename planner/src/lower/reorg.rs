//! `[upsample]`, `[reorg]`, `[reorg3d]` (`docs/darknet.md#upsample`, `#reorg`, `#reorg3d`).

use super::{Lowering, Made};
use crate::cfg::keys::Keys;
use tessera_plan::{graph::Op, region::Shape};

pub(super) fn upsample(l: &mut Lowering<'_>, keys: &Keys<'_>) -> Made {
    let stride = keys.int("stride", 2);
    let scale = keys.float("scale", 1.0);
    let Some(v) = l.previous() else {
        return Made::nothing();
    };
    let Some(s) = usize::try_from(stride.unsigned_abs())
        .ok()
        .filter(|s| (1..=1024).contains(s))
    else {
        keys.error(
            "stride",
            format!(
                "layer {} [upsample]: stride {stride} is zero or too large",
                l.here()
            ),
            "2 doubles the map, -2 halves it",
        );
        return Made::nothing();
    };
    let (op, shape) = if stride > 0 {
        (
            Op::Upsample { stride: s, scale },
            Shape::new(v.shape.h * s, v.shape.w * s, v.shape.c),
        )
    } else {
        (
            Op::Downsample { stride: s, scale },
            Shape::new(v.shape.h / s, v.shape.w / s, v.shape.c),
        )
    };
    Made::value(l.add(keys, "upsample", op, vec![v.tensor], shape))
}

/// The shape after pixels move to channels (or back); `None` after an error.
fn moved(
    l: &Lowering<'_>,
    keys: &Keys<'_>,
    s: usize,
    reverse: bool,
    any_channels: bool,
) -> Option<Shape> {
    const HELP: &str = "width and height must be multiples of the stride, channels of its square";
    let v = l.previous()?.shape;
    let channels_ok = (any_channels && !reverse) || v.c % (s * s) == 0;
    let sides_ok = reverse || (v.h % s == 0 && v.w % s == 0);
    if !(channels_ok && sides_ok) {
        keys.error(
            "stride",
            format!(
                "layer {} [{}]: a map of {} x {} x {} cannot be rearranged by {s}",
                l.here(),
                keys.name(),
                v.w,
                v.h,
                v.c
            ),
            if sides_ok {
                HELP.into()
            } else {
                l.misfit(HELP)
            },
        );
        return None;
    }
    Some(if reverse {
        Shape::new(v.h * s, v.w * s, v.c / (s * s))
    } else {
        Shape::new(v.h / s, v.w / s, v.c * s * s)
    })
}

pub(super) fn reorg(l: &mut Lowering<'_>, keys: &Keys<'_>) -> Made {
    let stride = keys.size("stride", 1, 1);
    let reverse = keys.flag("reverse");
    for (key, set) in ["flatten", "extra"].map(|key| (key, keys.flag(key))) {
        if set {
            keys.unsupported(
                key,
                format!("[reorg] with `{key}` is not supported"),
                "no detection network uses it",
            );
            return Made::nothing();
        }
    }
    let (Some(s), Some(v)) = (stride.filter(|s| *s <= 1024), l.previous()) else {
        return Made::nothing();
    };
    let Some(shape) = moved(l, keys, s, reverse, false) else {
        return Made::nothing();
    };
    Made::value(l.add(
        keys,
        "reorg",
        Op::Reorg { stride: s, reverse },
        vec![v.tensor],
        shape,
    ))
}

pub(super) fn reorg3d(l: &mut Lowering<'_>, keys: &Keys<'_>) -> Made {
    let stride = keys.size("stride", 1, 1);
    let reverse = keys.flag("reverse");
    let (Some(s), Some(v)) = (stride.filter(|s| *s <= 1024), l.previous()) else {
        return Made::nothing();
    };
    let Some(shape) = moved(l, keys, s, reverse, true) else {
        return Made::nothing();
    };
    Made::value(l.add(
        keys,
        "reorg3d",
        Op::Reorg3d { stride: s, reverse },
        vec![v.tensor],
        shape,
    ))
}
