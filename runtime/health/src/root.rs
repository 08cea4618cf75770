//! The root of a board's files, and the programs below it.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Longest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Most entries of a folder that are looked at.
const ENTRIES_MAX: usize = 4096;
/// Longest output of a program, in bytes.
const OUTPUT_BYTES_MAX: u64 = 64 << 10;
/// Longest run of a program.
const WITHIN: Duration = Duration::from_secs(2);
/// Between two looks whether it has ended.
const LOOK: Duration = Duration::from_millis(5);

/// A folder that holds `proc`, `sys` and the rest of a board's files.
#[derive(Clone, Debug)]
pub struct Root(PathBuf);

impl Default for Root {
    fn default() -> Self {
        Self("/".into())
    }
}

impl Root {
    /// The board whose files lie in `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// Where a file of the board lies. `path` is relative.
    pub fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.0.join(path)
    }

    /// A file's text without blanks at its ends; `None` where it cannot be read.
    pub fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        let mut text = Vec::new();
        let file = fs::File::open(self.at(path)).ok()?;
        file.take(FILE_BYTES_MAX).read_to_end(&mut text).ok()?;
        // The text of a device tree ends with a zero.
        let text = String::from_utf8_lossy(&text);
        Some(text.trim_matches(['\0', ' ', '\t', '\n']).to_owned())
    }

    /// A file that holds one number.
    pub fn number(&self, path: impl AsRef<Path>) -> Option<i64> {
        self.text(path)?.parse().ok()
    }

    /// True if there is something.
    pub fn has(&self, path: impl AsRef<Path>) -> bool {
        self.at(path).exists()
    }

    /// Names in a folder, sorted; none where it cannot be read.
    pub fn names(&self, path: impl AsRef<Path>) -> Vec<String> {
        let entries = fs::read_dir(self.at(path)).into_iter().flatten().flatten();
        let names = entries.take(ENTRIES_MAX);
        let mut names: Vec<String> = names
            .map(|e| e.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// What one of the board's programs prints; `None` where it is missing, fails or takes too long. Its output must fit into a
    /// pipe.
    pub fn said(&self, program: &str, words: &[&str]) -> Option<String> {
        let folders = ["usr/bin", "usr/sbin", "bin", "sbin"];
        let mut paths = folders.iter().map(|f| self.at(f).join(program));
        let path = paths.find(|p| p.is_file())?;
        let mut child = Command::new(path)
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let begun = Instant::now();
        let ended = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status.success(),
                Ok(None) if begun.elapsed() < WITHIN => std::thread::sleep(LOOK),
                _ => {
                    let _ = child.kill();
                    let _ = child.wait();
                    break false;
                }
            }
        };
        let mut text = String::new();
        let out = child.stdout.take()?;
        (out.take(OUTPUT_BYTES_MAX).read_to_string(&mut text).ok()).filter(|_| ended)?;
        Some(text.trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_of_the_root_are_run_and_ended() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        fs::create_dir_all(root.at("usr/bin")).unwrap();
        for (name, body) in [
            ("well", "echo $1 x"),
            ("badly", "echo y; exit 3"),
            ("never", "exec sleep 100"),
        ] {
            let path = root.at("usr/bin").join(name);
            fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        assert_eq!(root.said("well", &["a"]).as_deref(), Some("a x"));
        for none in ["badly", "never", "missing"] {
            assert_eq!(root.said(none, &[]), None, "{none}");
        }
    }
}
