//! `[[link]]`: what boards are joined by.

use std::ops::Range;

use toml::de::DeTable;

use super::table::{Fields, Reader};
use crate::{
    boards::{Link, Medium},
    units,
};

const KEYS: [&str; 4] = ["delay", "name", "rate", "shared"];

/// A link with its name.
pub(super) struct Named {
    pub name: String,
    pub link: Link,
}

/// Reads the link at `index`, which numbers its medium.
pub(super) fn read<'t>(
    reader: &mut Reader<'t>,
    (table, span): (&DeTable<'t>, Range<usize>),
    index: usize,
) -> Option<Named> {
    let fields = Fields {
        table,
        span: &span,
        what: "a link",
    };
    reader.only(fields, &KEYS);
    let name = reader.text(fields, "name");
    if name.is_none() && !table.contains_key("name") {
        let help = "boards say by it what they are joined by: link = \"wifi\"";
        reader.error(&span, "this link has no name", "", help);
    }
    let default = Link::default();
    let rate = reader.parsed(fields, "rate", units::rate_bits_per_s);
    let delay = reader.parsed(fields, "delay", units::delay_s);
    let shared = reader.truth(fields, "shared").is_none_or(|s| s.value);
    Some(Named {
        name: name?.value,
        link: Link {
            bytes_per_s: rate.map_or(default.bytes_per_s, |r| r.value / 8.0),
            delay_s: delay.map_or(default.delay_s, |d| d.value),
            medium: if shared {
                Medium::Shared(index)
            } else {
                Medium::Switched
            },
        },
    })
}
