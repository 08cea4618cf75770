//! A board before anything is done there: the way to it, what it is, and what it has.

use std::time::SystemTime;

use anyhow::{Result, ensure};

use super::{
    installed::{self, Installed},
    places::UNIT_FILE,
    probe::{self, Probe},
    remote::Remote,
};

/// A board that was looked at.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The way to it.
    pub remote: Remote,
    /// What it is.
    pub probe: Probe,
    /// What it has.
    pub installed: Installed,
}

impl Seen {
    /// Looks at a board.
    ///
    /// # Errors
    /// When it cannot be reached, has no systemd, or has a unit of the same name that is somebody else's.
    pub fn look(remote: &Remote) -> Result<Self> {
        let asked = SystemTime::now();
        let text = remote.run(&(probe::SCRIPT.to_owned() + &installed::script()))?;
        let seen = Self {
            probe: Probe::read(&text, asked, SystemTime::now()),
            installed: Installed::read(&text),
            remote: remote.clone(),
        };
        let name = &remote.name;
        ensure!(
            seen.probe.systemd.is_some(),
            "{name} has no systemd, which starts nodes there; start its node by hand, as cargo xtask build says"
        );
        ensure!(
            !seen.installed.foreign_unit,
            "{name} has a {UNIT_FILE} that no deploy wrote; remove it there if nobody needs it"
        );
        Ok(seen)
    }
}
