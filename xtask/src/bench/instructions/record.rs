//! The recorded counts: `xtask/instructions.toml`.

use std::{collections::BTreeMap, fmt::Write, fs, path::PathBuf, process::Command};

use anyhow::{Context, Result};
use serde::Deserialize;
use tessera_codegen::names::grouped;
use tessera_planner::text::Table;

use crate::out::note;
use crate::workspace;

/// Tolerated growth of a count above its record, as a fraction.
pub const TOLERANCE: f64 = 0.03;

/// Instructions of a frame, by case.
pub type Counts = BTreeMap<String, u64>;

/// Counts, and the compiler that made the counted programs: another compiler shifts counts.
#[derive(Debug, Default, Deserialize)]
pub struct Record {
    /// The compiler's version, as `rustc --version` prints it.
    pub compiler: String,
    /// Counts by target.
    #[serde(flatten)]
    pub targets: BTreeMap<String, Counts>,
}

fn path() -> PathBuf {
    workspace::root().join("xtask").join("instructions.toml")
}

#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
fn ratio(now: u64, old: u64) -> f64 {
    now as f64 / old.max(1) as f64
}

impl Record {
    /// Reads the committed record; empty if there is no record.
    ///
    /// # Errors
    /// When the record cannot be parsed.
    pub fn read() -> Result<Self> {
        let path = path();
        let Ok(text) = fs::read_to_string(&path) else {
            return Ok(Self::default());
        };
        toml::from_str(&text).with_context(|| format!("cannot read {}", workspace::show(&path)))
    }

    /// An empty record for this machine's compiler.
    ///
    /// # Errors
    /// When the compiler does not print its version.
    pub fn here() -> Result<Self> {
        // From inside the workspace, whose toolchain file picks the compiler.
        let out = Command::new("rustc")
            .arg("--version")
            .current_dir(workspace::root())
            .output()
            .context("cannot start rustc")?;
        Ok(Self {
            compiler: String::from_utf8_lossy(&out.stdout).trim().to_owned(),
            targets: BTreeMap::new(),
        })
    }

    /// Replaces the counts of the targets in `found`; other targets keep their counts.
    pub fn take(&mut self, found: Self) {
        self.compiler = found.compiler;
        self.targets.extend(found.targets);
    }

    /// Writes the record to its file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self) -> Result<()> {
        let path = path();
        fs::write(&path, self.text())
            .with_context(|| format!("cannot write {}", workspace::show(&path)))?;
        note!("wrote {}", workspace::show(&path));
        Ok(())
    }

    fn text(&self) -> String {
        let mut text = format!(
            "# Instructions that a frame takes, per case; see xtask/src/bench/instructions/cases.rs.\n\
             # Made by: cargo xtask bench --instructions --record\n\
             compiler = \"{}\"\n",
            self.compiler
        );
        for (target, counts) in &self.targets {
            let _ = write!(text, "\n[{target}]\n");
            for (case, n) in counts {
                let _ = writeln!(text, "{case} = {}", grouped(*n));
            }
        }
        text
    }

    /// A line that warns of a different compiler; empty for the same compiler.
    pub fn compiler_note(&self, here: &Self) -> String {
        if self.compiler == here.compiler {
            String::new()
        } else {
            format!(
                "  note: recorded with {}, this is {}\n",
                self.compiler, here.compiler
            )
        }
    }
}

/// A table for people: counts beside the record.
pub fn table(target: &str, counts: &Counts, old: Option<&Counts>) -> String {
    let mut rows = Table::plain("<>");
    for (case, n) in counts {
        let old = old.and_then(|o| o.get(case));
        let note = old.map(|old| format!("{:.3} of the record", ratio(*n, *old)));
        rows.row_with_note(&[case.as_str(), &grouped(*n)], &note.unwrap_or_default());
    }
    format!("{target}: instructions per frame\n{}", rows.render(2))
}

/// A line for each count that is above its record by more than [`TOLERANCE`]. A case without a record is not
/// slower.
pub fn slower(target: &str, counts: &Counts, old: Option<&Counts>) -> Vec<String> {
    let line = |(case, n): (&String, &u64)| match old.and_then(|o| o.get(case)) {
        Some(old) if ratio(*n, *old) > 1.0 + TOLERANCE => Some(format!(
            "  {target} {case}: {}, recorded {}: {:.3}",
            grouped(*n),
            grouped(*old),
            ratio(*n, *old)
        )),
        _ => None,
    };
    counts.iter().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::{Counts, Record, slower};

    fn counts(list: &[(&str, u64)]) -> Counts {
        list.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect()
    }

    #[test]
    fn a_record_is_read_as_written() {
        let mut record = Record {
            compiler: "rustc 1.2.3 (abc 2026-01-01)".into(),
            ..Record::default()
        };
        let list = counts(&[("conv1x1-128-64-38", 4_140_000), ("demo", 999)]);
        record.targets.insert("armv7".into(), list.clone());
        record
            .targets
            .insert("x86-64-v3".into(), counts(&[("demo", 1000)]));
        let back: Record = toml::from_str(&record.text()).unwrap();
        assert_eq!(back.compiler, record.compiler);
        assert_eq!(back.targets, record.targets);
        assert!(record.text().contains("conv1x1-128-64-38 = 4_140_000\n"));
    }

    #[test]
    fn only_more_than_the_tolerance_is_slower() {
        let old = counts(&[("a", 1000), ("b", 1000), ("c", 1000)]);
        let now = counts(&[("a", 1029), ("b", 1031), ("c", 10)]);
        let found = slower("t", &now, Some(&old));
        assert_eq!(found, ["  t b: 1_031, recorded 1_000: 1.031"]);
        assert!(slower("t", &now, None).is_empty());
    }
}
