//! `[[board]]`: a machine of the cluster.

use std::ops::Range;

use toml::de::DeTable;

use super::{
    link::Named,
    table::{Fields, Placed, Reader},
};
use crate::{
    boards::{Board, Costs, Link, NET_BYTES_PER_S, Scale},
    cfg::suggest,
    target::Target,
    units,
};

const KEYS: [&str; 19] = [
    "address",
    "cores",
    "costs",
    "datagrams",
    "delay",
    "edge_key",
    "key",
    "link",
    "memory",
    "name",
    "rate",
    "removed",
    "roles",
    "share",
    "speed",
    "ssh",
    "target",
    "team",
    "used",
];

/// Most cores of a board.
const CORES_MAX: usize = 64;

/// Greatest speed of a board, relative to its costs.
const SPEED_MAX: u32 = 1000;

const ROLES: [&str; 4] = ["edge", "gateway", "source", "observer"];

/// Finds the cost table that `costs = "..."` names for a target, or says why it cannot be used.
pub type CostsOf<'a> = &'a dyn Fn(&str, Target) -> Result<Costs, String>;

/// A board, and what it is for.
pub(super) struct Described {
    pub board: Board,
    pub gateway: bool,
    pub edge: bool,
    /// Where the board's name stands, or its table.
    pub span: Range<usize>,
}

/// Reads a board; `None` if it has a mistake, or is an observer.
pub(super) fn read<'t>(
    reader: &mut Reader<'t>,
    (table, span): (&DeTable<'t>, Range<usize>),
    links: &[Named],
    costs: CostsOf<'_>,
) -> Option<Described> {
    let fields = Fields {
        table,
        span: &span,
        what: "a board",
    };
    reader.only(fields, &KEYS);
    let [edge, gateway, source, observer] = roles(reader, fields);
    if observer {
        // It computes nothing: no plan knows of it.
        required(reader, fields, "name", "desk");
        reader.parsed(fields, "key", key);
        return None;
    }
    let name = required(reader, fields, "name", "porch");
    let target = required(reader, fields, "target", "aarch64");
    let target = target.and_then(|t| self::target(reader, &t));
    let cores = reader.whole(fields, "cores", [1, CORES_MAX]);
    let cores = cores.map_or(1, |c| c.value);
    let used = reader.whole(fields, "used", [1, cores]);
    let used = used.map_or(cores, |u| u.value);
    let team = reader.whole(fields, "team", [1, CORES_MAX]);
    let share = reader.number(fields, "share", 1);
    let speed = reader.number(fields, "speed", SPEED_MAX);
    let datagrams = reader.parsed(fields, "datagrams", units::rate_bits_per_s);
    let memory = reader.parsed(fields, "memory", units::bytes);
    let address = reader.parsed(fields, "address", address);
    // For deployments.
    reader.text(fields, "ssh");
    // For nodes; here they need only look like keys.
    for name in ["key", "edge_key"] {
        reader.parsed(fields, name, key);
    }
    if let Some(removed) = reader.truth(fields, "removed").filter(|r| r.value) {
        let help = "delete this [[board]] to plan without it, and start all nodes anew with that plan: their numbers change";
        let message = "this board may not take part any more, and a plan would give it work";
        reader.error(&removed.span, message, "removed", help);
    }
    let link = link(reader, fields, links);
    let target = target?;
    let costs = reader.parsed(fields, "costs", |name| costs(name, target));
    let name = name?;
    Some(Described {
        board: Board {
            name: name.value,
            address: address.map(|a| a.value),
            source: source || (edge && !table.contains_key("roles")),
            cores: used,
            team: team.map_or(used, |t| t.value),
            share: share.map_or(1.0, |s| s.value),
            scale: speed.map_or_else(Scale::default, |s| Scale::all(1.0 / s.value)),
            core_bytes_per_s: datagrams.map_or(NET_BYTES_PER_S, |d| d.value / 8.0),
            costs: costs.map(|c| c.value).unwrap_or_default(),
            memory_bytes: memory.map(|m| m.value),
            link,
            ..Board::new(target)
        },
        gateway,
        edge: edge || source,
        span: name.span,
    })
}

/// The text of a key that every board has.
fn required(
    reader: &mut Reader<'_>,
    fields: Fields<'_, '_>,
    key: &str,
    example: &str,
) -> Option<Placed<String>> {
    if !fields.table.contains_key(key) {
        let help = format!("add for example {key} = {example:?}");
        reader.error(fields.span, format!("this board has no {key}"), "", help);
    }
    reader.text(fields, key)
}

fn target(reader: &mut Reader<'_>, named: &Placed<String>) -> Option<Target> {
    let target = Target::from_name(&named.value);
    if target.is_none() {
        let known = Target::ALL.map(Target::name);
        let help = suggest::nearest(&named.value, &known).map_or_else(
            || format!("known are {}", known.join(", ")),
            |near| format!("was {near:?} meant?"),
        );
        let message = format!("no target {:?}", named.value);
        reader.error(&named.span, message, "unknown", help);
    }
    target
}

/// Whether the board is an edge, the gateway, a source of frames, and an observer. Without roles it is an edge.
fn roles(reader: &mut Reader<'_>, fields: Fields<'_, '_>) -> [bool; 4] {
    let Some(list) = reader.texts(fields, "roles") else {
        return [true, false, false, false];
    };
    if list.value.is_empty() {
        let help = format!("leave the key out, or choose from {}", ROLES.join(", "));
        reader.error(&list.span, "a board without a role", "empty", help);
    }
    let mut has = [false; 4];
    for role in &list.value {
        if let Some(at) = ROLES.iter().position(|r| *r == role.value) {
            has[at] = true;
            continue;
        }
        let help = suggest::nearest(&role.value, &ROLES).map_or_else(
            || format!("roles are {}", ROLES.join(", ")),
            |near| format!("was {near:?} meant?"),
        );
        let message = format!("no role {:?}", role.value);
        reader.error(&role.span, message, "unknown", help);
    }
    if has[3] && list.value.len() > 1 {
        let help = "give the machine two names, one for each";
        reader.error(&list.span, "an observer has no other role", "", help);
    }
    if has[1] && has[2] {
        let help =
            "let another board be the source; roles = [\"gateway\", \"edge\"] computes tiles too";
        reader.error(&list.span, "the gateway brings no frames", "", help);
    }
    has
}

/// What joins the board to the others, with the board's own rate and delay if it has any.
fn link(reader: &mut Reader<'_>, fields: Fields<'_, '_>, links: &[Named]) -> Link {
    let mut link = match (reader.text(fields, "link"), links) {
        (Some(named), _) => match links.iter().find(|l| l.name == named.value) {
            Some(known) => known.link,
            None => {
                let known: Vec<&str> = links.iter().map(|l| l.name.as_str()).collect();
                let help = match suggest::nearest(&named.value, &known) {
                    Some(near) => format!("was {near:?} meant?"),
                    None if known.is_empty() => {
                        format!("describe it: [[link]] with name = {:?}", named.value)
                    }
                    None => format!("links are {}", known.join(", ")),
                };
                let message = format!("no link {:?}", named.value);
                reader.error(&named.span, message, "unknown", help);
                Link::default()
            }
        },
        (None, []) => Link::default(),
        (None, [only]) => only.link,
        (None, [first, ..]) => {
            let help = format!("add for example link = {:?}", first.name);
            reader.error(fields.span, "this board says no link", "", help);
            Link::default()
        }
    };
    if let Some(rate) = reader.parsed(fields, "rate", units::rate_bits_per_s) {
        link.bytes_per_s = rate.value / 8.0;
    }
    if let Some(delay) = reader.parsed(fields, "delay", units::delay_s) {
        link.delay_s = delay.value;
    }
    link
}

/// A public key: 32 bytes in base64.
pub(super) fn key(text: &str) -> Result<(), &'static str> {
    let fits = |c: u8| c.is_ascii_alphanumeric() || c == b'+' || c == b'/';
    let is_key = matches!(text.as_bytes(), [all @ .., b'='] if all.len() == 43 && all.iter().all(|c| fits(*c)));
    if is_key {
        Ok(())
    } else {
        Err("a public key has 44 characters of base64, as node keygen prints it")
    }
}

/// A host, or a host and a port; nodes resolve it.
fn address(text: &str) -> Result<String, &'static str> {
    let odd = |c: char| c.is_whitespace() || c.is_control() || "/@\"'".contains(c);
    if text.contains(odd) {
        return Err("a host name or address, with a port if need be, as in 192.168.1.10:7400");
    }
    Ok(text.to_owned())
}
