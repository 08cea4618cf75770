//! Numbers and tables for people.

use bytesize::ByteSize;
use unicode_width::UnicodeWidthStr;

/// Formats a number with a comma per thousand: `12345678` as `12,345,678`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// Formats bytes in a unit that suits their number: `512 B`, `3.1 KiB`, `13.35 MiB`.
pub fn bytes(n: u64) -> String {
    let digits = if n < bytesize::MIB { 1 } else { 2 };
    format!("{:.digits$}", ByteSize(n).display().iec())
}

/// Formats bits per second: `38.4 Mbit/s`.
#[expect(clippy::cast_precision_loss, reason = "shown with a few digits")]
pub fn rate(bits_per_s: u64) -> String {
    let text = format!("{:.1}", bits_per_s as f64 / 1e6);
    format!("{} Mbit/s", text.strip_suffix(".0").unwrap_or(&text))
}

/// Formats a number and a noun, in the plural unless `n` is 1: `1 edge`, `6 edges`.
pub fn plural(n: usize, what: &str) -> String {
    format!(
        "{} {what}{}",
        count(n as u64),
        if n == 1 { "" } else { "s" }
    )
}

/// A table of text: columns are as wide as their widest cell. In `align`, `<` means left and `>` means right.
#[derive(Clone, Debug)]
pub struct Table {
    align: &'static str,
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
struct Row {
    cells: Vec<String>,
    /// Text in place of the missing cells; its width does not widen columns.
    note: String,
}

impl Table {
    /// A table with a header. `align` has one character per column.
    pub fn new(align: &'static str, header: &[&str]) -> Self {
        let mut table = Self::plain(align);
        table.row(header);
        table
    }

    /// A table without a header.
    pub fn plain(align: &'static str) -> Self {
        Self {
            align,
            rows: Vec::new(),
        }
    }

    /// Adds a row with a cell per column.
    pub fn row(&mut self, cells: &[&str]) {
        self.row_with_note(cells, "");
    }

    /// Adds a row with fewer cells than columns; `note` stands in place of the missing cells.
    pub fn row_with_note(&mut self, cells: &[&str], note: &str) {
        self.rows.push(Row {
            cells: cells.iter().map(ToString::to_string).collect(),
            note: note.into(),
        });
    }

    /// The table as text: every line begins with `indent` spaces, and two spaces stand between columns.
    pub fn render(&self, indent: usize) -> String {
        let width = |k: usize| {
            let cells = self.rows.iter().filter_map(|r| r.cells.get(k));
            cells.map(|c| c.width()).max().unwrap_or(0)
        };
        let columns: Vec<(char, usize)> = self.align.chars().zip((0..).map(width)).collect();
        let mut out = String::new();
        for row in &self.rows {
            let mut line = " ".repeat(indent);
            for (text, (align, width)) in row.cells.iter().zip(&columns) {
                // The padding of `format!` counts characters, some of which take two columns.
                let fill = " ".repeat(width - text.width());
                line += &match align {
                    '<' => format!("{text}{fill}  "),
                    _ => format!("{fill}{text}  "),
                };
            }
            line += &row.note;
            out += line.trim_end();
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(7), "7");
        assert_eq!(count(1000), "1,000");
        assert_eq!(count(12_345_678), "12,345,678");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(2048), "2.0 KiB");
        assert_eq!(bytes(13_996_800), "13.35 MiB");
        assert_eq!(bytes(5 << 29), "2.50 GiB");
        assert_eq!(plural(1, "edge"), "1 edge");
        assert_eq!(plural(2, "edge"), "2 edges");
    }

    #[test]
    fn tables_align() {
        let mut t = Table::new("<>", &["what", "bytes"]);
        t.row(&["a", "12"]);
        t.row(&["longer", "1,234"]);
        assert_eq!(
            t.render(2),
            "  what    bytes\n  a          12\n  longer  1,234\n"
        );
    }

    #[test]
    fn tables_hold_wide_characters_and_notes() {
        let mut t = Table::plain("<>>");
        t.row(&["\u{732b}", "1", "2"]);
        t.row_with_note(&["dog", "10"], "none of them");
        assert_eq!(t.render(0), "\u{732b}    1  2\ndog  10  none of them\n");
    }
}
