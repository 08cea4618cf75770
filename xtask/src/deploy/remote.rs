//! A board as the system's `ssh` reaches it: scripts that run there as root, and files that go there. The user's own
//! configuration of ssh counts (names, keys, jump hosts).

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use tessera_plan::files::cluster::BoardEntry;

use crate::{address, children};

/// Nobody is asked for a password; a board that does not answer is given up.
const OPTIONS: [&str; 4] = [
    "BatchMode=yes",
    "ConnectTimeout=10",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=4",
];
/// The exit code of ssh itself.
const OF_SSH: i32 = 255;
/// Runs the script `$1` as root.
const AS_ROOT: &str =
    "if [ \"$(id -u)\" = 0 ]; then exec sh -c \"$1\"; else exec sudo -n sh -c \"$1\"; fi";

/// The way to a board.
#[derive(Clone, Debug)]
pub struct Remote {
    /// The board's name.
    pub name: String,
    /// What ssh connects to.
    pub destination: String,
    config: Option<PathBuf>,
}

impl Remote {
    /// The way to a board of the cluster file: its `ssh`, else the host of its `address`, else its name.
    ///
    /// # Errors
    /// When that is nothing that ssh could connect to.
    pub fn of(board: &BoardEntry, config: Option<&Path>) -> Result<Self> {
        let address = board.address.as_ref().unwrap_or(&board.name);
        let destination = board
            .ssh
            .clone()
            .unwrap_or_else(|| address::host(address).to_owned());
        ensure!(
            !destination.is_empty()
                && !destination.starts_with('-')
                && !destination.contains(char::is_whitespace),
            "{}: {destination:?} is nothing that ssh connects to; write ssh = \"user@host\" or \"ssh://user@host:22\" into its [[board]]",
            board.name
        );
        Ok(Self {
            name: board.name.clone(),
            destination,
            config: config.map(Path::to_owned),
        })
    }

    /// Runs a script of `sh` as root on the board; returns its output.
    ///
    /// # Errors
    /// When the board cannot be reached, root's rights cannot be had, or the script fails; the error says what to do.
    pub fn run(&self, script: &str) -> Result<String> {
        self.run_with(script, |_| Ok(()))
    }

    /// The same, with a standard input that `write` fills. It travels compressed: programs become a third, zeros nothing.
    ///
    /// # Errors
    /// As [`Remote::run`], and when `write` fails.
    pub fn run_with(
        &self,
        script: &str,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<String> {
        let mut ssh = Command::new("ssh");
        if let Some(config) = &self.config {
            ssh.arg("-F").arg(config);
        }
        for option in OPTIONS {
            ssh.args(["-o", option]);
        }
        ssh.args(["-C", "-T", "--", &self.destination])
            .arg(format!("sh -c {} sh {}", quoted(AS_ROOT), quoted(script)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = children::spawn(&mut ssh).context("cannot start ssh; is it installed?")?;
        let stdin = child.stdin.take();
        let written = stdin.map_or(Ok(()), |stdin| {
            let mut stdin = BufWriter::with_capacity(1 << 18, stdin);
            write(&mut stdin).and_then(|()| stdin.flush())
        });
        let out = child.output().context("ssh")?;
        // Why ssh has ended says more than that nobody read any more.
        if !out.status.success() {
            bail!("{}: {}", self.name, self.why(&out));
        }
        written.with_context(|| format!("{}: sending", self.name))?;
        String::from_utf8(out.stdout).with_context(|| format!("{} answers no text", self.name))
    }

    /// What went wrong, and what to do about it.
    fn why(&self, out: &Output) -> String {
        let said = String::from_utf8_lossy(&out.stderr);
        let said = said.trim();
        let has = |words: &str| said.contains(words);
        let to = &self.destination;
        let is_ssh = out.status.code() == Some(OF_SSH);
        let advice = if is_ssh && has("Permission denied") {
            format!("give it your key: ssh-copy-id {to}")
        } else if is_ssh && has("Host key verification failed") {
            format!("its key is unknown or another one than before: look with ssh {to}")
        } else if is_ssh && has("Could not resolve hostname") {
            format!(
                "write its address, or ssh = \"user@host\", into the cluster file, and try ssh {to}"
            )
        } else if is_ssh {
            format!("is it switched on, and does ssh {to} work?")
        } else if said.starts_with("sudo:") || has(" sudo: not found") {
            format!(
                "the user of ssh {to} may not become root without a password; allow it there (sudo visudo: USER ALL=(ALL) NOPASSWD: ALL), or \
                 write ssh = \"root@...\" into the cluster file"
            )
        } else if said.is_empty() {
            return format!("a command there failed ({})", out.status);
        } else {
            return said.into();
        };
        format!("{said}\n  help: {advice}")
    }
}

/// A text as one word of a shell.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(address: Option<&str>, ssh: Option<&str>) -> BoardEntry {
        BoardEntry {
            name: "porch".into(),
            address: address.map(Into::into),
            ssh: ssh.map(Into::into),
            ..BoardEntry::default()
        }
    }

    #[test]
    fn destinations() {
        for (address, ssh, expected) in [
            (None, None, "porch"),
            (Some("192.168.1.10:7400"), None, "192.168.1.10"),
            (Some("[fd00::10]:7400"), None, "fd00::10"),
            (Some("fd00::10"), None, "fd00::10"),
            (Some("porch.local"), Some("pi@porch"), "pi@porch"),
        ] {
            let remote = Remote::of(&board(address, ssh), None).unwrap();
            assert_eq!(remote.destination, expected);
        }
        for wrong in ["-oProxyCommand=x", "a b", ""] {
            assert!(Remote::of(&board(None, Some(wrong)), None).is_err());
        }
    }

    #[test]
    fn words_stay_one_word() {
        let text = "a 'b' $c \"d\" \\e\nf";
        let out = Command::new("sh")
            .args(["-c", &format!("printf %s {}", quoted(text))])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(out.stdout).unwrap(), text);
    }
}
