//! Numbers as people read them.

/// `12345678` as `12,345,678`.
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

/// Bytes in the unit that suits: `512 B`, `3.1 KiB`, `13.35 MiB`.
#[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
pub fn bytes(n: u64) -> String {
    match n {
        0..1024 => format!("{n} B"),
        1024..1_048_576 => format!("{:.1} KiB", n as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.2} MiB", n as f64 / 1_048_576.0),
        _ => format!("{:.2} GiB", n as f64 / 1_073_741_824.0),
    }
}

/// `1 edge`, `6 edges`.
pub fn plural(n: usize, what: &str) -> String {
    format!(
        "{} {what}{}",
        count(n as u64),
        if n == 1 { "" } else { "s" }
    )
}

/// Columns that are as wide as their widest cell. `<` in `align` means left, `>` right.
#[derive(Clone, Debug)]
pub struct Table {
    align: &'static str,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with a header; one character of `align` per column.
    pub fn new(align: &'static str, header: &[&str]) -> Self {
        Self {
            align,
            rows: vec![header.iter().map(ToString::to_string).collect()],
        }
    }

    /// A table without a header.
    pub fn plain(align: &'static str) -> Self {
        Self {
            align,
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: &[&str]) {
        self.rows
            .push(cells.iter().map(ToString::to_string).collect());
    }

    /// The table, every line behind `indent` spaces, two spaces between columns.
    pub fn render(&self, indent: usize) -> String {
        let cell = |row: &[String], k: usize| row.get(k).cloned().unwrap_or_default();
        let width = |k: usize| {
            let of = |r: &Vec<String>| cell(r, k).chars().count();
            self.rows.iter().map(of).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.align.len()).map(width).collect();
        let mut out = String::new();
        for row in &self.rows {
            let mut line = " ".repeat(indent);
            for (k, align) in self.align.chars().enumerate() {
                let text = cell(row, k);
                let fill = " ".repeat(widths[k] - text.chars().count());
                if k > 0 {
                    line += "  ";
                }
                line += &match align {
                    '<' => text + &fill,
                    _ => fill + &text,
                };
            }
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
}
