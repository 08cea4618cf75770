//! Shell scripts that stand for cargo and for the nodes that it compiles.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use tessera_plan::files::events::Event;

use crate::rig::Folder;

/// Instead of cargo: leaves a node that is a script.
const MAKES_NODES: &str = r#"#!/bin/sh
while [ $# -gt 0 ]; do
  case $1 in
    --target) triple=$2 ;;
    --target-dir) into=$2 ;;
    --manifest-path) crate=$2 ;;
  esac
  shift
done
name=$(sed -n 's/^name = "\(.*\)"/\1/p' "$crate" | head -n 1)
mkdir -p "$into/$triple/release"
cat > "$into/$triple/release/$name" <<'NODE'
"#;

/// The end of [`MAKES_NODES`].
const NODE_END: &str = "NODE\nchmod +x \"$into/$triple/release/$name\"\n";

/// Instead of cargo: leaves this script as the node.
pub fn makes_nodes(node: &str) -> String {
    format!("{MAKES_NODES}{node}{NODE_END}")
}

/// Puts a script that stands for cargo into the folder.
pub fn cargo(folder: &Folder, script: &str) -> PathBuf {
    let path = folder.at("cargo");
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// The line by which a gateway tells its address.
pub fn listening() -> String {
    let event = Event::Listening {
        addr: "127.0.0.1:9".into(),
        program: "stand-in".into(),
    };
    serde_json::to_string(&event).unwrap()
}
