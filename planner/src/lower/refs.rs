//! References to other layers: relative when negative, else absolute (`docs/darknet.md#references`).

use super::{Lowering, Value};
use crate::cfg::{
    diag::{Diagnostic, Severity},
    keys::Keys,
};

/// Resolves one index of `key`. `None` after an error, or when the target layer has an error itself.
pub(super) fn layer(
    l: &Lowering<'_>,
    keys: &Keys<'_>,
    key: &str,
    index: i64,
) -> Option<(usize, Value)> {
    let here = l.here();
    let target = if index < 0 {
        i64::try_from(here).unwrap_or(i64::MAX) + index
    } else {
        index
    };
    let Some(to) = usize::try_from(target).ok().filter(|t| *t < here) else {
        let what = if target < 0 {
            "before the first layer"
        } else if usize::try_from(target) == Ok(here) {
            "itself"
        } else {
            "a later layer"
        };
        keys.error(
            key,
            format!("layer {here} [{}] refers to layer {target}: that is {what}", keys.name()),
            format!("`{key}` counts layers from 0, or back from this one when negative; possible: 0 to {} or -1 to -{here}", here.saturating_sub(1)),
        );
        return None;
    };
    let done = &l.layers[to];
    if done.antialiased {
        keys.say(
            Diagnostic::new(
                Severity::Unsupported,
                keys.at(key),
                format!("layer {here} [{}] refers to layer {to}, which is antialiased: Darknet keeps the wrong shape for it", keys.name()),
                "this reference",
                "such references are unreliable in Darknet itself",
            )
            .with(done.span, "points at this layer"),
        );
        return None;
    }
    done.value.map(|v| (to, v))
}

/// Resolves all indices of `key`, each with its own diagnostics. `None` when one index does not resolve.
pub(super) fn layers(
    l: &Lowering<'_>,
    keys: &Keys<'_>,
    key: &str,
    indices: &[i64],
) -> Option<Vec<(usize, Value)>> {
    let found: Vec<_> = indices.iter().map(|i| layer(l, keys, key, *i)).collect();
    found.into_iter().collect()
}
