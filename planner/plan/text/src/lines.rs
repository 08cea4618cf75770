//! Lists with a line per item.

use serde::Serialize;

/// `name = [...]` with an inline table per line.
pub(super) fn list(name: &str, items: &[impl Serialize]) -> String {
    let mut text = format!("{name} = [\n");
    for item in items {
        let mut line = String::new();
        item.serialize(toml::ser::ValueSerializer::new(&mut line))
            .expect("plain data has a TOML form");
        text += &format!("    {line},\n");
    }
    text + "]\n"
}
