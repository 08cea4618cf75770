//! The cluster file and the keys beside it.

use std::{collections::BTreeMap, path::Path};

use tessera_health::{Finding, Kind};
use tessera_plan::files::cluster::{ClusterFile, NodeEntry};
use tessera_secure::parse_public;

use crate::members::key_file;

/// What contradicts itself.
pub fn check(who: &ClusterFile, folder: &Path) -> Vec<Finding> {
    let nodes = who.nodes();
    let mut found = twice(&nodes);
    if who.operator.is_none() {
        return found;
    }
    for node in nodes.iter().filter(|n| !n.board.removed) {
        let name = node.name();
        let wrong = match node.key().map(parse_public) {
            None => "the file has no key for it".to_owned(),
            Some(Err(e)) => e.to_string(),
            Some(Ok(listed)) => {
                // Keys may lie on their boards alone.
                let path = key_file::of(folder, &node.board.name);
                let Ok(key) = key_file::read(&path) else {
                    continue;
                };
                let key = if node.is_second {
                    key.of_second_node()
                } else {
                    key
                };
                if key.public() == listed {
                    continue;
                }
                format!("{} is another key than the file lists", path.display())
            }
        };
        found.push(
            Finding::fault(
                Kind::ClusterFile,
                "the board has no key that works, so nobody speaks with it",
                wrong,
                format!(
                    "cargo xtask cluster rotate {}, and copy the file to all boards",
                    node.board.name
                ),
            )
            .on(name),
        );
    }
    let lacks = [key_file::OPERATOR, key_file::SECRET];
    let lacks = lacks.iter().filter(|name| !folder.join(name).exists());
    found.extend(lacks.map(|name| {
        Finding::fault(
            Kind::ClusterFile,
            "this machine cannot ask boards",
            format!("{name} is not beside the cluster file"),
            "run doctor on the machine that made the cluster, or copy the file from there",
        )
    }));
    found
}

/// Keys and addresses that two boards have.
fn twice(nodes: &[NodeEntry<'_>]) -> Vec<Finding> {
    let mut keys: BTreeMap<&str, String> = BTreeMap::new();
    let mut places: BTreeMap<&str, String> = BTreeMap::new();
    let mut found = Vec::new();
    for node in nodes.iter().filter(|n| !n.board.removed) {
        let first = node.key().and_then(|key| keys.insert(key, node.name()));
        if let Some(first) = first {
            found.push(
                Finding::fault(
                    Kind::ClusterFile,
                    format!("it has the key of {first}, so they are one node for all others"),
                    "the same key twice in the cluster file",
                    format!(
                        "cargo xtask cluster rotate {}, and copy the file to all boards",
                        node.board.name
                    ),
                )
                .on(node.name()),
            );
        }
        let address = node.board.address.as_deref().filter(|_| !node.is_second);
        if let Some(first) = address.and_then(|a| places.insert(a, node.name())) {
            found.push(
                Finding::fault(
                    Kind::ClusterFile,
                    format!("it has the address of {first}"),
                    format!(
                        "address = {:?} twice in the cluster file",
                        address.unwrap_or_default()
                    ),
                    "give each board its own address",
                )
                .on(node.name()),
            );
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "[[board]]\nname = \"hub\"\nroles = [\"gateway\"]\naddress = \"10.0.0.1\"\n\
        [[board]]\nname = \"a\"\naddress = \"10.0.0.2\"\n";

    fn found(text: &str) -> Vec<Finding> {
        check(&toml::from_str(text).unwrap(), Path::new("nowhere"))
    }

    #[test]
    fn a_sound_file_is_left_alone() {
        assert_eq!(found(TWO), []);
    }

    #[test]
    fn addresses_and_keys_are_one_boards_own() {
        let same = found(&TWO.replace("10.0.0.2", "10.0.0.1"));
        assert_eq!(same.len(), 1, "{same:?}");
        assert_eq!(same[0].board.as_deref(), Some("a"));
        assert!(same[0].what.contains("address of hub"), "{same:?}");
        let keys = TWO.replace("address", "key = \"k\"\naddress");
        let same = found(&keys);
        assert_eq!(same.len(), 1, "{same:?}");
        assert!(same[0].what.contains("key of hub"), "{same:?}");
    }
}
