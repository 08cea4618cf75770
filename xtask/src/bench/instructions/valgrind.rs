//! Counts instructions under valgrind, which knows x86-64 up to AVX2 and FMA.

use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Run;
use crate::children;

/// Why this machine cannot count; `None` if it can.
pub fn missing() -> Option<String> {
    #[cfg(target_arch = "x86_64")]
    if !(std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma"))
    {
        return Some(
            "valgrind emulates only what the processor has, and this one lacks AVX2".into(),
        );
    }
    let there = Command::new("valgrind").arg("--version").output();
    let there = cfg!(target_arch = "x86_64") && there.is_ok_and(|o| o.status.success());
    (!there).then(|| "valgrind is missing (Debian: apt install valgrind)".into())
}

/// Number of instructions that the node executes, from its start to its end.
///
/// # Errors
/// When valgrind or the node fails.
pub fn count(run: &Run) -> Result<u64> {
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(&run.node)
        .args(&run.args);
    let out = children::output(&mut valgrind).context("cannot start valgrind")?;
    let said = String::from_utf8_lossy(&out.stderr);
    if !out.status.success() {
        bail!("the node failed under valgrind:\n{}", said.trim_end());
    }
    read(&said).context("valgrind printed no count")
}

/// The count in callgrind's output at the program's end: `==123== Collected : 4567`.
fn read(said: &str) -> Option<u64> {
    said.lines()
        .find_map(|l| l.split_once("Collected :")?.1.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_count_is_read() {
        let said = "==7== Events    : Ir\n==7== Collected : 112443\n==7== \n==7== I   refs:      112,443\n";
        assert_eq!(super::read(said), Some(112_443));
        assert_eq!(super::read("==7== Collected : none"), None);
    }
}
