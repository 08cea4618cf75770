//! `[net]`: the input's shape. Everything else in it is training.

use super::{SIDE_MAX, VALUES_MAX};
use crate::cfg::{
    diag::{Diagnostic, Severity},
    keys::Keys,
    lex::Section,
    suggest::nearest,
};
use tessera_plan::{graph::Darknet, region::Shape};

/// Keys of `[net]` that matter at inference.
pub(super) struct Net {
    pub shape: Shape,
    pub letterbox: bool,
}

pub(super) fn net(section: &Section, darknet: Darknet, out: &mut Vec<Diagnostic>) -> Option<Net> {
    if !matches!(section.name.as_str(), "net" | "network") {
        let help = if section.name.eq_ignore_ascii_case("net")
            || section.name.eq_ignore_ascii_case("network")
        {
            "section names are lower case: write [net]"
        } else {
            "begin the file with [net] and its width, height and channels"
        };
        out.push(Diagnostic::new(
            Severity::Error,
            section.span,
            format!(
                "line {}: the first section must be [net], not [{}]",
                section.span.line, section.name
            ),
            "this section",
            help,
        ));
        return None;
    }
    let keys = Keys::new(section, darknet);
    let sides = ["width", "height", "channels"];
    if section.get("inputs").is_some() && sides.iter().all(|key| section.get(key).is_none()) {
        keys.unsupported(
            "inputs",
            "[net] gives `inputs` alone: such networks read rows of numbers, no maps",
            "Tessera runs networks with width, height and channels",
        );
        keys.finish_training(out);
        return None;
    }
    let side = |key: &'static str| -> Option<usize> {
        if keys.text(key).is_none() {
            let written: Vec<&str> = section.entries.iter().map(|e| e.key.as_str()).collect();
            let help = nearest(key, &written).map_or_else(
                || "width, height and channels of the input must all be given".into(),
                |near| format!("it says `{near}`; did you mean `{key}`?"),
            );
            keys.error(key, format!("[net] has no `{key}`"), help);
            return None;
        }
        keys.size(key, 0, 1)
    };
    let (w, h, c) = (side("width"), side("height"), side("channels"));
    let letterbox = keys.flag("letter_box");
    keys.finish_training(out);
    let shape = Shape::new(h?, w?, c?);
    let values = shape
        .h
        .checked_mul(shape.w)
        .and_then(|n| n.checked_mul(shape.c));
    if shape.h > SIDE_MAX || shape.w > SIDE_MAX || values.is_none_or(|n| n > VALUES_MAX) {
        out.push(Diagnostic::new(
            Severity::Error,
            section.get("width").map_or(section.span, |e| e.span),
            format!(
                "an input of {} x {} x {} is too large",
                shape.w, shape.h, shape.c
            ),
            "here",
            format!("sides up to {SIDE_MAX} and up to {VALUES_MAX} values are possible"),
        ));
        return None;
    }
    Some(Net { shape, letterbox })
}
