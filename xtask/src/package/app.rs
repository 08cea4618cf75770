//! `home-assistant/`: a folder that Home Assistant takes as a repository of apps (which it called add-ons), with one app: a node.
//! Home Assistant builds its container where it runs; nothing is compiled there.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::Value;

use super::{
    icon,
    identity::processor,
    parts::Parts,
    tarball::data,
    tree::{Body, Tree, fresh},
};
use crate::deploy::places::RECORDS;

const DOCKERFILE: &str = include_str!("files/home-assistant/Dockerfile");
const RUN: &str = include_str!("files/home-assistant/run.sh");
const DOCS: &str = include_str!("files/home-assistant/DOCS.md");
const ENGLISH: &str = include_str!("files/home-assistant/en.yaml");

/// Writes the folder, and returns it; nothing if Home Assistant runs on no target of the plan.
///
/// # Errors
/// When a file cannot be read or written.
pub fn write(parts: &Parts, out: &Path) -> Result<Option<PathBuf>> {
    let mut tree = Tree::default();
    let mut processors = Vec::new();
    for board in &parts.boards {
        // Of two for one processor, the later one serves more machines: boards come before the gateway.
        if let Some(name) = processor(board.target)?.home_assistant {
            tree.program(
                format!("tessera/{name}/node"),
                Body::File(board.node.clone()),
            );
            tree.below(&format!("tessera/{name}"), data(board));
            if !processors.contains(&name) {
                processors.push(name);
            }
        }
    }
    if processors.is_empty() {
        return Ok(None);
    }
    tree.text("repository.yaml", repository(parts));
    tree.text("tessera/config.yaml", config(parts, &processors));
    tree.text("tessera/Dockerfile", DOCKERFILE);
    tree.program("tessera/run.sh", Body::Bytes(RUN.into()));
    tree.text("tessera/DOCS.md", DOCS);
    tree.text("tessera/README.md", readme(parts));
    tree.text("tessera/translations/en.yaml", ENGLISH);
    tree.add("tessera/icon.png", Body::Bytes(icon::png()?));
    let dir = out.join("home-assistant");
    fresh(&dir)?;
    tree.unpack(&dir)?;
    Ok(Some(dir))
}

/// A text as YAML has it: JSON's strings are YAML's.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn repository(parts: &Parts) -> String {
    format!(
        "name: Tessera\nmaintainer: {}\n",
        quoted(&parts.identity.maintainer)
    )
}

fn readme(parts: &Parts) -> String {
    format!(
        "# Tessera\n\nFinds what cameras show with the network {}, computed by this machine and the boards of its cluster together.\n",
        parts.identity.model
    )
}

fn config(parts: &Parts, processors: &[&str]) -> String {
    let identity = &parts.identity;
    let gateway = parts.starts.iter().find(|s| s.role == "gateway");
    let name = gateway.map_or("hub", |s| s.name.as_str());
    let planned = gateway.map_or("--threads 4", |s| s.flags.as_str());
    let list: String = processors.iter().map(|p| format!("  - {p}\n")).collect();
    let description = format!(
        "Finds what cameras show, with {} on this machine and the boards of its cluster",
        identity.model
    );
    format!(
        "name: Tessera\n\
         version: {}\n\
         slug: tessera\n\
         description: {}\n\
         arch:\n{list}\
         startup: application\n\
         # Nodes find each other by the addresses of cluster.toml.\n\
         host_network: true\n\
         # Cameras of this machine.\n\
         video: true\n\
         # cluster.toml and this machine's keys.\n\
         map:\n\
         \x20 - type: addon_config\n\
         \x20   read_only: true\n\
         # The broker tells its address and password.\n\
         services:\n\
         \x20 - mqtt:want\n\
         # Records and nothing else lie there.\n\
         backup_exclude:\n\
         \x20 - {RECORDS:?}\n\
         \x20 - \"{RECORDS}.*\"\n\
         options:\n\
         \x20 name: {}\n\
         \x20 role: gateway\n\
         \x20 cores: {}\n\
         schema:\n\
         \x20 name: str\n\
         \x20 role: list(gateway|edge)\n\
         \x20 cores: str?\n\
         \x20 http_token: password?\n\
         \x20 flags: str?\n",
        quoted(&identity.tag()),
        quoted(&description),
        quoted(name),
        quoted(planned),
    )
}
