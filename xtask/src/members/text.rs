//! Pieces of cluster files.

use super::Named;
use crate::address;

/// The beginning of a new file.
pub const HEAD: &str = "\
# The boards of a cluster. docs/cluster.md has all keys; cargo xtask cluster changes who may take part.
version = 1
";

/// A board.
pub(super) fn board(board: Named<'_>, target: &str, roles: &[String]) -> String {
    let name = board.name;
    let mut text = format!("\n[[board]]\nname = {name:?}\nroles = {roles:?}\n");
    if let Some(address) = board.address {
        text += &format!("address = {address:?}\n");
        if let Some(user) = board.user {
            let ssh = format!("{user}@{}", address::host(address));
            text += &format!("ssh = {ssh:?}\n");
        }
    }
    text + &format!("target = {target:?}\n")
}

/// The text with the operator's public key, behind the line of the version or at the beginning.
pub fn with_operator(text: &str, key: &str) -> String {
    let line = format!("operator = {key:?}    # may ask probes\n");
    let mut at = 0;
    for l in text.split_inclusive('\n') {
        if l.trim_start().starts_with('[') {
            break;
        }
        at += l.len();
        if l.trim_start().starts_with("version") {
            let newline = if l.ends_with('\n') { "" } else { "\n" };
            return format!("{}{newline}{line}{}", &text[..at], &text[at..]);
        }
    }
    line + text
}
