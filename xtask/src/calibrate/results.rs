//! Parses the output of `measure.sh`: the target, the core, the seconds of every layer's frames, and a line that
//! marks the end.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Most lines that the parser accepts.
const LINES_MAX: usize = 1 << 16;

/// Times by layer.
#[derive(Clone, Debug, Default)]
pub struct Results {
    target: Option<String>,
    core: Option<String>,
    /// True if the output contains the end mark.
    is_whole: bool,
    /// Seconds of frames, by layer.
    times: BTreeMap<String, Vec<f64>>,
}

impl Results {
    /// Parses the script's output.
    ///
    /// # Errors
    /// When a line is not from the script.
    pub fn read(text: &str) -> Result<Self> {
        let mut found = Self::default();
        let mut case = None;
        for (i, line) in text.lines().enumerate() {
            ensure!(
                i < LINES_MAX,
                "more than {LINES_MAX} lines: this is not measure.sh's output"
            );
            let at = || format!("line {}: give what measure.sh printed, as it is", i + 1);
            if let Some(core) = line.strip_prefix("core ") {
                found.core = Some(core.trim().to_owned()).filter(|c| !c.is_empty());
            } else if let Some(target) = line.strip_prefix("target ") {
                found.target = Some(target.trim().to_owned());
            } else if line == "end" {
                found.is_whole = true;
            } else if let Some(name) = line.strip_prefix("case ") {
                case = Some(name.trim().to_owned());
            } else if !line.trim().is_empty() {
                let event: Value = serde_json::from_str(line).with_context(at)?;
                let seconds = event["seconds"].as_array().with_context(at)?;
                let seconds: Vec<f64> = seconds
                    .iter()
                    .filter_map(Value::as_f64)
                    .filter(|s| *s > 0.0)
                    .collect();
                ensure!(!seconds.is_empty(), at());
                let case = case.take().with_context(at)?;
                found.times.entry(case).or_default().extend(seconds);
            }
        }
        Ok(found)
    }

    /// Checks that the results are complete, and of kernels for `target`.
    ///
    /// # Errors
    /// When the results are of another target, or end too early.
    pub fn are_all_of(&self, target: &str) -> Result<()> {
        let found = self
            .target
            .as_deref()
            .unwrap_or("a target it does not name");
        ensure!(
            found == target,
            "was measured for {found}, not for {target}\n  help: give --target as for --build-only"
        );
        ensure!(
            self.is_whole,
            "ends before the last layer\n  help: run measure.sh again, and let it come to its end"
        );
        Ok(())
    }

    /// Adds the times of another round.
    pub fn add(&mut self, other: Self) {
        self.core = other.core.or(self.core.take());
        for (case, seconds) in other.times {
            self.times.entry(case).or_default().extend(seconds);
        }
    }

    /// Name of the processor, if the script found the name.
    pub fn core(&self) -> Option<&str> {
        self.core.as_deref()
    }

    /// Least time of a layer's frame, in seconds; `None` without times of the layer.
    pub fn best(&self, case: &str) -> Option<f64> {
        self.times.get(case)?.iter().copied().min_by(f64::total_cmp)
    }

    /// Relative distance of a layer's median time from its least time: the median over all layers.
    pub fn spread(&self) -> f64 {
        let of = |times: &Vec<f64>| {
            let mut times = times.clone();
            times.sort_by(f64::total_cmp);
            times[times.len() / 2] / times[0] - 1.0
        };
        let mut all: Vec<f64> = self.times.values().map(of).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "core Some Core\ncase a\n{\"event\":\"timing\",\"seconds\":[2.0,1.0,1.1]}\n\
                        case b\n{\"event\":\"timing\",\"seconds\":[0.5]}\n";

    #[test]
    fn output_is_read_and_rounds_add_up() {
        let mut r = Results::read(TEXT).unwrap();
        assert_eq!(r.core(), Some("Some Core"));
        assert_eq!(
            (r.best("a"), r.best("b"), r.best("c")),
            (Some(1.0), Some(0.5), None)
        );
        r.add(Results::read("case b\n{\"seconds\":[0.4]}\n").unwrap());
        assert_eq!((r.best("b"), r.core()), (Some(0.4), Some("Some Core")));
        assert!(r.spread() > 0.0);
        assert!(Results::default().spread().abs() < 1e-12);
    }

    #[test]
    fn results_of_another_target_and_parts_of_results_are_refused() {
        let of = |text: &str| Results::read(text).unwrap().are_all_of("armv7");
        of(&format!("target armv7\n{TEXT}end\n")).unwrap();
        for (text, why) in [
            (format!("target armv7\n{TEXT}"), "ends before"),
            (
                format!("target aarch64\n{TEXT}end\n"),
                "for aarch64, not for armv7",
            ),
            (format!("{TEXT}end\n"), "does not name"),
        ] {
            let e = of(&text).unwrap_err().to_string();
            assert!(e.contains(why), "{e}");
        }
    }

    #[test]
    fn what_is_no_output_is_refused_by_line() {
        for (text, line) in [
            ("nonsense", "line 1"),
            ("case a\n{}", "line 2"),
            ("case a\n{\"seconds\":[]}", "line 2"),
            ("case a\n{\"seconds\":[0.0]}", "line 2"),
            ("{\"seconds\":[1.0]}", "line 1"),
        ] {
            let e = format!("{:#}", Results::read(text).unwrap_err());
            assert!(e.contains(line) && e.contains("measure.sh"), "{e}");
        }
    }
}
