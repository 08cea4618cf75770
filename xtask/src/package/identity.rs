//! What packages are called.

use anyhow::{Result, ensure};
use tessera_plan::plan::Plan;
use tessera_planner::options::Target;

/// Digits of the plan's hash that are part of a version.
const HASH_DIGITS: usize = 12;

/// Names and versions.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The network, as in `yolov2-tiny`.
    pub model: String,
    /// The version of Tessera.
    pub tessera: &'static str,
    /// The beginning of the plan's hash: nodes of different plans do not work together.
    pub hash: String,
    /// Who made the packages, as in `Ada <ada@example.org>`.
    pub maintainer: String,
}

impl Identity {
    /// That of a plan.
    ///
    /// # Errors
    /// When `maintainer` is no name with an address.
    pub fn of(plan: &Plan, maintainer: Option<&str>) -> Result<Self> {
        let said = |key| std::env::var(key).ok().filter(|v| !v.is_empty());
        // As Debian's own tools know who packages.
        let debian = said("DEBFULLNAME").zip(said("DEBEMAIL"));
        let debian = debian.map(|(name, address)| format!("{name} <{address}>"));
        let maintainer = maintainer.map(str::to_owned).or(debian);
        let maintainer = maintainer.unwrap_or_else(|| "Who built it <root@localhost>".into());
        let is_one = maintainer.split_once(" <").is_some_and(|(name, rest)| {
            !name.trim().is_empty() && rest.ends_with('>') && rest.contains('@')
        });
        ensure!(
            is_one && !maintainer.contains(['\n', '\r']),
            "--maintainer {maintainer:?}: give a name and an address, as in 'Ada <ada@example.org>'"
        );
        Ok(Self {
            model: plain(&plan.network.name),
            tessera: env!("CARGO_PKG_VERSION"),
            hash: plan.hash.chars().take(HASH_DIGITS).collect(),
            maintainer,
        })
    }

    /// The version: nodes with the same work together.
    pub fn version(&self) -> String {
        format!("{}+{}", self.tessera, self.hash)
    }

    /// The version where a plus sign is not allowed.
    pub fn tag(&self) -> String {
        format!("{}-{}", self.tessera, self.hash)
    }

    /// The name of a target's files.
    pub fn stem(&self, target: Target) -> String {
        format!(
            "tessera-{}-{}-{}",
            self.model,
            self.version(),
            target.name()
        )
    }
}

/// A name without what files, tags and descriptions may not hold.
fn plain(name: &str) -> String {
    let keep = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    name.chars()
        .map(|c| if keep(c) { c } else { '-' })
        .collect()
}

/// A target's processor, as others call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Processor {
    /// Debian's name of the architecture.
    pub debian: &'static str,
    /// The architecture and its variant in container images.
    pub oci: (&'static str, Option<&'static str>),
    /// Home Assistant's, if it has it.
    pub home_assistant: Option<&'static str>,
}

/// That of a target.
///
/// # Errors
/// When there is no name for it.
pub fn processor(target: Target) -> Result<Processor> {
    Ok(match target.triple().split('-').next() {
        Some("x86_64") => Processor {
            debian: "amd64",
            oci: ("amd64", None),
            home_assistant: Some("amd64"),
        },
        Some("aarch64") => Processor {
            debian: "arm64",
            oci: ("arm64", Some("v8")),
            home_assistant: Some("aarch64"),
        },
        Some("armv7") => Processor {
            debian: "armhf",
            oci: ("arm", Some("v7")),
            home_assistant: None,
        },
        _ => anyhow::bail!("no package is known for {}", target.triple()),
    })
}
