//! Parses a cfg as Darknet does: spaces do not count, the first of equal keys wins, and numbers end at the first
//! bad character.

use anyhow::{Context, Result, ensure};

/// A section with its keys.
#[derive(Clone, Debug)]
pub(super) struct Section {
    /// The section's name, without brackets.
    pub name: String,
    keys: Vec<(String, String)>,
}

pub(super) fn parse(text: &str) -> Result<Vec<Section>> {
    let mut sections: Vec<Section> = Vec::new();
    for line in text.lines() {
        let line: String = line.chars().filter(|c| !c.is_whitespace()).collect();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            let name = name.strip_suffix(']').context("a section without end")?;
            sections.push(Section {
                name: name.to_owned(),
                keys: Vec::new(),
            });
            continue;
        }
        let (key, value) = line.split_once('=').context("a line without =")?;
        let section = sections.last_mut().context("a key before any section")?;
        section.keys.push((key.to_owned(), value.to_owned()));
    }
    ensure!(!sections.is_empty(), "an empty cfg");
    Ok(sections)
}

impl Section {
    pub fn text(&self, key: &str) -> Option<&str> {
        let found = self.keys.iter().find(|(k, _)| k == key);
        found.map(|(_, v)| v.as_str())
    }

    pub fn int(&self, key: &str, default: i64) -> i64 {
        self.text(key).map_or(default, atoi)
    }

    /// A whole number that is not negative.
    pub fn size(&self, key: &str, default: usize) -> Result<usize> {
        let Some(text) = self.text(key) else {
            return Ok(default);
        };
        usize::try_from(atoi(text)).with_context(|| format!("{key} is negative"))
    }

    pub fn flag(&self, key: &str) -> bool {
        self.int(key, 0) != 0
    }

    pub fn float(&self, key: &str, default: f64) -> f64 {
        self.text(key).map_or(default, atof)
    }

    pub fn ints(&self, key: &str) -> Vec<i64> {
        self.list(key).map(atoi).collect()
    }

    pub fn floats(&self, key: &str) -> Vec<f64> {
        self.list(key).map(atof).collect()
    }

    fn list(&self, key: &str) -> impl Iterator<Item = &str> {
        let text = self.text(key).unwrap_or_default();
        let text = text.split('#').next().unwrap_or_default();
        text.split(',').filter(|t| !t.is_empty())
    }
}

/// Parses the longest prefix that is a number; 0 if no prefix is a number.
fn atoi(text: &str) -> i64 {
    let sign = usize::from(text.starts_with(['-', '+']));
    let digits = text[sign..].bytes().take_while(u8::is_ascii_digit).count();
    text[..sign + digits].parse().unwrap_or(0)
}

fn atof(text: &str) -> f64 {
    let number = |end: &usize| text.get(..*end)?.parse::<f64>().ok();
    let found = (1..=text.len()).rev().find_map(|end| number(&end));
    // cfg values are held in float32.
    f64::from(found.unwrap_or(0.0) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_at_the_first_bad_character() {
        assert_eq!(["12", "-3#x", "1e3", "x", ""].map(atoi), [12, -3, 1, 0, 0]);
        assert_eq!(
            ["0.5#x", "1e3", "x", "-.25"].map(atof),
            [0.5, 1000.0, 0.0, -0.25]
        );
    }

    #[test]
    fn spaces_vanish_and_the_first_key_wins() {
        let s = parse("[net]\n wid th = 4 16 \r\nwidth=1\n#x\n;y\n[max]\n").unwrap();
        assert_eq!((s[0].int("width", 0), s[1].name.as_str()), (416, "max"));
    }
}
