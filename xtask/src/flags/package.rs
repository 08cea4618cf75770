//! Flags of `package` and `manual`.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use super::PlannedArgs;

/// What a package is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "kebab-case")]
pub enum PackageForm {
    /// NAME.tar.xz for each target, and one with its symbols
    Tar,
    /// NAME.deb for each target
    Deb,
    /// oci/: container images in an image layout
    Oci,
    /// home-assistant/: a repository with an app
    HomeAssistant,
}

impl PackageForm {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Tar, Self::Deb, Self::Oci, Self::HomeAssistant];
}

/// `package`.
#[derive(Debug, Args)]
pub struct PackageArgs {
    #[command(flatten)]
    pub planned: PlannedArgs,
    /// What is made [default: all]
    #[arg(long, value_enum, value_name = "FORM,..", value_delimiter = ',')]
    pub form: Vec<PackageForm>,
    /// What the nodes are built with beside: alerts (docs/alerts.md), mqtt (docs/mqtt.md), service: HTTP (docs/service.md), or
    /// nothing, for edges [default: alerts, mqtt and service]
    #[arg(long, value_name = "WHAT", value_parser = ["alerts", "mqtt", "service", "nothing"])]
    pub with: Vec<String>,
    /// Name and address in the packages, as in 'Ada <ada@example.org>' [default: of DEBFULLNAME and DEBEMAIL]
    #[arg(long, value_name = "NAME <ADDRESS>")]
    pub maintainer: Option<String>,
    /// Folder that receives the packages [default: out/package]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub out: Option<PathBuf>,
}

/// `manual`.
#[derive(Debug, Args)]
pub struct ManualArgs {
    /// Folder that receives man/ and completions/ [default: out/manual]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub out: Option<PathBuf>,
}
