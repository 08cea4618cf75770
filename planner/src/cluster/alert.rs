//! `[[alert]]`: what people want to hear of. Plans know nothing of it, and the gateway checks the values; misspelt keys are
//! found where all other mistakes are.

use std::ops::Range;

use tessera_plan::files::alerts::AlertEntry;
use toml::de::DeTable;

use super::table::{Fields, Placed, Reader};

/// Most alerts of a cluster.
pub(super) const ALL_MAX: usize = 64;

/// Checks the table; returns its name.
pub(super) fn read<'t>(
    reader: &mut Reader<'t>,
    (table, span): (&DeTable<'t>, Range<usize>),
) -> Option<Placed<String>> {
    let fields = Fields {
        table,
        span: &span,
        what: "an alert",
    };
    reader.only(fields, &AlertEntry::KEYS);
    if !table.contains_key("name") {
        let help = "add for example name = \"car at the gate\"";
        reader.error(&span, "this alert has no name", "", help);
    }
    reader.checked(fields, "score", |n| {
        let is_score = (0.0..=1.0).contains(&n);
        is_score.then_some(()).ok_or("a number from 0 to 1")
    });
    reader.whole(fields, "frames", [1, 10_000]);
    reader.checked(fields, "cooldown", |n| {
        (n >= 0.0)
            .then_some(())
            .ok_or("a number of seconds, 0 or more")
    });
    reader.parsed(fields, "webhook", |text| {
        let is_url = text.starts_with("http://") || text.starts_with("https://");
        is_url
            .then_some(())
            .ok_or("a URL that begins with http:// or https://")
    });
    reader.text(fields, "stills");
    for (key, most) in [
        ("stills_max", AlertEntry::STILLS_MAX),
        ("stills_mib", AlertEntry::STILLS_MIB_MAX),
    ] {
        reader.whole(fields, key, [1, most as usize]);
        if table.contains_key(key) && !table.contains_key("stills") {
            let help = "add stills = \"FOLDER\"";
            reader.error(&span, format!("`{key}` without `stills`"), "", help);
        }
    }
    reader.text(fields, "name")
}
