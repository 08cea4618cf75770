//! The sentence that says when, where and by what the evaluation was made.
//!
//! Results are the same on every machine. So the sentence stays as it is while everything else does: a run that gives
//! the same files changes nothing, and the sentence names the run that changed them last.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::workspace;

/// How the sentence begins.
const BEGINNING: &str = "Made on ";

/// The sentence in the page at `path`, if there is one.
pub fn recorded(path: &Path) -> Option<String> {
    let page = fs::read_to_string(path).ok()?;
    let line = page.lines().find(|l| l.starts_with(BEGINNING))?;
    Some(line.to_owned())
}

/// The sentence of this run, which took so many seconds, of which results were kept from an earlier run or not.
pub fn now(seconds: f64, kept: usize, cases: usize) -> String {
    let took = match kept {
        0 => format!("in {seconds:.0} s"),
        n => format!("in {seconds:.0} s, with {n} of {cases} results of an interrupted run"),
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!(
        "{BEGINNING}{} by Tessera {}{}, {took}, on {} ({cores} {}), {}. A run that gives the same results leaves this line as it is.",
        today(),
        env!("CARGO_PKG_VERSION"),
        commit(),
        processor(),
        if cores == 1 { "core" } else { "cores" },
        std::env::consts::OS,
    )
}

/// The date of today (UTC).
fn today() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    date(since.map_or(0, |d| d.as_secs() / 86_400))
}

/// The date so many days after 1970-01-01, by the Gregorian calendar.
fn date(days: u64) -> String {
    // Years of March to February, so that leap days are the last ones.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}

/// The commit that the tree is at, and whether sources differ from it; empty outside of a repository.
fn commit() -> String {
    let git = |args: &[&str]| {
        let done = Command::new("git")
            .args(args)
            .current_dir(workspace::root())
            .output();
        let done = done.ok().filter(|d| d.status.success())?;
        Some(String::from_utf8_lossy(&done.stdout).trim().to_owned())
    };
    let Some(head) = git(&["rev-parse", "--short", "HEAD"]) else {
        return String::new();
    };
    let changed = git(&["status", "--porcelain", "--", ".", ":!docs"]);
    let changed = changed.is_none_or(|c| !c.is_empty());
    format!(
        ", commit {head}{}",
        if changed { " and changes" } else { "" }
    )
}

/// The processor's name, as Linux has it.
fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|l| {
        let (key, value) = l.split_once(':')?;
        (key.trim() == "model name").then(|| value.trim().to_owned())
    });
    name.unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn days_become_dates() {
        for (days, expected) in [
            (0, "1970-01-01"),
            (59, "1970-03-01"),
            (11_016, "2000-02-29"),
            (20_787, "2026-11-30"),
        ] {
            assert_eq!(date(days), expected);
        }
    }
}
