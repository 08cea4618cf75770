//! `[[source]]`: where frames come from. Plans know nothing of it; its mistakes are found where all others are.

use std::ops::Range;

use tessera_plan::files::sources::{
    Fps, Keep, Origin, SOURCES_MAX, SourceEntry, SourceName, Threshold, TimeoutS,
};
use toml::de::DeTable;

use super::table::{Fields, Placed, Reader};
use crate::cfg::suggest;

/// Most sources of a cluster.
pub(super) const ALL_MAX: usize = 64 * SOURCES_MAX;

/// A board that a source may name, and whether it may bring frames.
pub(super) type Reads<'a> = (&'a str, bool);

/// Reads the source; returns its name and its board.
pub(super) fn read<'t>(
    reader: &mut Reader<'t>,
    (table, span): (&DeTable<'t>, Range<usize>),
    boards: &[Reads<'_>],
) -> Option<(Placed<SourceName>, String)> {
    let fields = Fields {
        table,
        span: &span,
        what: "a source",
    };
    reader.only(fields, &SourceEntry::KEYS);
    for (key, example) in [("name", "front"), ("from", "rtsp://192.168.1.20/live")] {
        if !table.contains_key(key) {
            let help = format!("add for example {key} = {example:?}");
            reader.error(&span, format!("this source has no {key}"), "", help);
        }
    }
    let name = reader.parsed(fields, "name", str::parse::<SourceName>);
    reader.parsed(fields, "from", str::parse::<Origin>);
    reader.parsed(fields, "keep", str::parse::<Keep>);
    reader.truth(fields, "letterbox");
    reader.checked(fields, "fps", |n| Fps::try_from(n).map(|_| ()));
    reader.checked(fields, "thresh", |n| Threshold::try_from(n).map(|_| ()));
    reader.checked(fields, "timeout", |n| TimeoutS::try_from(n).map(|_| ()));
    let board = match reader.text(fields, "board") {
        Some(named) => board(reader, &named, boards)?,
        None => only_board(reader, fields, boards)?,
    };
    Some((name?, board))
}

/// The board that the source names.
fn board(reader: &mut Reader<'_>, named: &Placed<String>, boards: &[Reads<'_>]) -> Option<String> {
    let found = boards.iter().find(|(name, _)| *name == named.value);
    match found {
        Some((_, true)) => return Some(named.value.clone()),
        Some(_) => {
            let help = format!(
                "give {0} roles = [\"edge\", \"source\"], or name another board",
                named.value
            );
            let message = format!("{:?} brings no frames", named.value);
            reader.error(&named.span, message, "", help);
        }
        None => {
            let known: Vec<&str> = boards.iter().map(|(name, _)| *name).collect();
            let help = suggest::nearest(&named.value, &known).map_or_else(
                || format!("boards are {}", known.join(", ")),
                |near| format!("was {near:?} meant?"),
            );
            let message = format!("no board {:?}", named.value);
            reader.error(&named.span, message, "unknown", help);
        }
    }
    None
}

/// The only board that brings frames.
fn only_board(
    reader: &mut Reader<'_>,
    fields: Fields<'_, '_>,
    boards: &[Reads<'_>],
) -> Option<String> {
    if fields.table.contains_key("board") {
        return None;
    }
    let sources: Vec<&str> = boards.iter().filter(|b| b.1).map(|b| b.0).collect();
    match sources[..] {
        [only] => Some(only.to_owned()),
        [] => None,
        [first, ..] => {
            let help = format!("several boards bring frames; add for example board = {first:?}");
            reader.error(fields.span, "this source has no board", "", help);
            None
        }
    }
}
