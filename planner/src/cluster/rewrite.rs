//! Writes measured values into a cluster file, which keeps its comments and its order.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// Values of a board: its name, and keys with their values as TOML writes them.
pub type BoardValues<'a> = (&'a str, Vec<(&'static str, String)>);

/// The text with these values in its boards: in the place of those that are there, or behind the board's name. `None` if the
/// text has no such boards.
pub fn rewritten(text: &str, boards: &[BoardValues<'_>]) -> Option<String> {
    let top = DeTable::parse(text).ok()?;
    let (_, list) = top.get_ref().iter().find(|(k, _)| k.get_ref() == "board")?;
    let DeValue::Array(list) = list.get_ref() else {
        return None;
    };
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    for (name, values) in boards {
        let table = list.iter().find_map(|entry| {
            let DeValue::Table(table) = entry.get_ref() else {
                return None;
            };
            let at = find(table, "name")?;
            let is_it = matches!(&at.1, DeValue::String(s) if s == name);
            is_it.then(|| (table, entry.span(), at.0))
        });
        let (table, entry, named) = table?;
        let is_inline = text[entry.start..].starts_with('{');
        let line = text[named.end..]
            .find('\n')
            .map_or(text.len(), |n| named.end + n);
        for (key, value) in values {
            edits.push(match find(table, key) {
                Some((at, _)) => (at, value.clone()),
                None if is_inline => (named.end..named.end, format!(", {key} = {value}")),
                None => (line..line, format!("\n{key} = {value}")),
            });
        }
    }
    // From the end, so that places in front stay; stable, so that keys keep their order.
    edits.sort_by_key(|(at, _)| at.start);
    let mut out = text.to_owned();
    for (at, value) in edits.into_iter().rev() {
        out.replace_range(at, &value);
    }
    Some(out)
}

/// The place and the value of a key.
fn find<'a>(table: &'a DeTable<'_>, key: &str) -> Option<(Range<usize>, &'a DeValue<'a>)> {
    let (_, value) = table.iter().find(|(k, _)| k.get_ref() == key)?;
    Some((value.span(), value.get_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_replaced_or_added_and_the_rest_stays() {
        let text = "version = 1 # of the form\n[[board]]\nname = \"a\" # porch\nrate = \"1Mbit\"\n\n\
            [[board]]\ntarget = \"portable\"\nname = \"b\"";
        let values = [
            ("b", vec![("speed", "0.5".to_owned())]),
            (
                "a",
                vec![
                    ("rate", "\"2Mbit\"".to_owned()),
                    ("delay", "\"3us\"".to_owned()),
                ],
            ),
        ];
        let expected = "version = 1 # of the form\n[[board]]\nname = \"a\" # porch\ndelay = \"3us\"\nrate = \"2Mbit\"\n\n\
            [[board]]\ntarget = \"portable\"\nname = \"b\"\nspeed = 0.5";
        assert_eq!(rewritten(text, &values).as_deref(), Some(expected));
        let inline = "version = 1\nboard = [{ name = \"a\", target = \"portable\" }]\n";
        assert_eq!(
            rewritten(inline, &[("a", vec![("speed", "2.0".to_owned())])]).as_deref(),
            Some("version = 1\nboard = [{ name = \"a\", speed = 2.0, target = \"portable\" }]\n")
        );
        assert_eq!(rewritten(inline, &values), None);
        assert_eq!(rewritten("version = 1\n", &[]), None);
    }
}
