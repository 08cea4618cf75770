//! Datagrams that the kernel has lost, and the sockets of nodes.

use std::{collections::BTreeSet, fs};

use crate::Root;

/// Most processes that are looked at.
const PROCESSES_MAX: usize = 16_384;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Udp {
    /// Datagrams that found a full receive buffer since the start, of all sockets.
    pub buffer_errors: Option<u64>,
    /// Other processes that are nodes.
    pub nodes: Vec<Node>,
}

/// A process that is a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its number.
    pub pid: u32,
    /// What it does: `gateway`, `edge`, ..
    pub role: String,
    /// Ports of its sockets, with the datagrams that found their buffers full.
    pub sockets: Vec<(u16, u64)>,
}

impl Udp {
    /// Reads it. Processes called `name` are nodes; this one is none.
    pub fn read(root: &Root, name: &str) -> Self {
        let snmp = root.text("proc/net/snmp").unwrap_or_default();
        let snmp6 = root.text("proc/net/snmp6").unwrap_or_default();
        let of_v6 = snmp6
            .lines()
            .find_map(|l| l.strip_prefix("Udp6RcvbufErrors"));
        let of_v6 = of_v6.and_then(|n| n.trim().parse::<u64>().ok());
        Self {
            buffer_errors: column(&snmp, "Udp:", "RcvbufErrors").map(|n| n + of_v6.unwrap_or(0)),
            nodes: nodes(root, name),
        }
    }
}

/// A value of `/proc/net/snmp`: the names stand in the first line that begins with `protocol`, the values in the second one.
fn column(text: &str, protocol: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter(|l| l.starts_with(protocol));
    let (names, values) = (lines.next()?, lines.next()?);
    let mut pairs = names
        .split_ascii_whitespace()
        .zip(values.split_ascii_whitespace());
    pairs.find(|(n, _)| *n == name)?.1.parse().ok()
}

fn nodes(root: &Root, name: &str) -> Vec<Node> {
    let own = std::process::id();
    let pids = root.names("proc");
    let pids = pids.iter().filter_map(|n| n.parse::<u32>().ok());
    let pids = pids.filter(|pid| *pid != own).take(PROCESSES_MAX);
    // The kernel keeps 15 letters of a name.
    let name: String = name.chars().take(15).collect();
    let is_node = |pid: &u32| root.text(format!("proc/{pid}/comm")).as_ref() == Some(&name);
    let all = pids.filter(is_node);
    let mut tables = None;
    all.map(|pid| {
        let tables = tables.get_or_insert_with(|| {
            ["proc/net/udp", "proc/net/udp6"].map(|t| root.text(t).unwrap_or_default())
        });
        let inodes = inodes(root, pid);
        let sockets = tables.iter().flat_map(|t| sockets(t, &inodes));
        Node {
            pid,
            role: role(&root.text(format!("proc/{pid}/cmdline")).unwrap_or_default()),
            sockets: sockets.collect(),
        }
    })
    // Another program may have the same name.
    .filter(|node| !node.role.is_empty())
    .collect()
}

/// The first word of a command line that is a role's.
fn role(line: &str) -> String {
    let roles = ["gateway", "edge", "worker", "probe", "observe", "solo"];
    let mut words = line.split('\0').skip(1);
    words.find(|w| roles.contains(w)).unwrap_or_default().into()
}

/// Inodes of a process's sockets.
fn inodes(root: &Root, pid: u32) -> BTreeSet<String> {
    let folder = format!("proc/{pid}/fd");
    let names = root.names(&folder);
    let of = |name: &String| {
        let to = fs::read_link(root.at(&folder).join(name)).ok()?;
        let inode = to.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
        Some(inode.to_owned())
    };
    names.iter().filter_map(of).collect()
}

/// Columns: `sl local remote st queues tr:when retransmits uid timeout inode ref pointer drops`.
fn sockets(table: &str, inodes: &BTreeSet<String>) -> Vec<(u16, u64)> {
    let of = |line: &str| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        inodes.contains(*words.get(9)?).then_some(())?;
        let port = words.get(1)?.rsplit_once(':')?.1;
        Some((
            u16::from_str_radix(port, 16).ok()?,
            words.get(12)?.parse().ok()?,
        ))
    };
    table.lines().skip(1).filter_map(of).collect()
}
