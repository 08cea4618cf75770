//! `cluster.toml`: the boards and links of a cluster, as people describe them. `docs/cluster.md` has the keys.
//!
//! One reading reports all mistakes, each with its place. An unknown key is a mistake: a misspelt limit must not
//! be taken for no limit.

mod alert;
mod board;
mod link;
mod rewrite;
mod service;
mod source;
mod table;

use std::ops::Range;

use toml::de::{DeTable, Error};

pub use self::{
    board::CostsOf,
    rewrite::{BoardValues, rewritten},
};
use self::{
    board::Described,
    link::Named,
    table::{Fields, Reader},
};
use crate::{boards::Board, cfg::diag::Diagnostic};
use tessera_plan::files::sources::{SOURCES_MAX, SourceName};

/// Version of the file's form.
pub const VERSION: usize = 1;
/// Largest file, in bytes.
pub const BYTES_MAX: usize = 1 << 20;
/// Most edges of a cluster.
const EDGES_MAX: usize = 64;
/// Most links of a cluster.
const LINKS_MAX: usize = 64;

const KEYS: [&str; 7] = [
    "alert", "board", "link", "operator", "service", "source", "version",
];

/// The boards of a cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// The edges; at least one. Sources come first, so the first one brings frames; the gateway's board comes last, if it
    /// is an edge too. Edge `k` of this list has `--id k + 1`.
    pub edges: Vec<Board>,
    /// The gateway.
    pub gateway: Board,
}

/// Reads a cluster. `costs` finds cost tables. The cluster is there exactly when nothing is wrong.
pub fn read(text: &[u8], costs: CostsOf<'_>) -> (Option<Cluster>, Vec<Diagnostic>) {
    let text = match std::str::from_utf8(text) {
        Ok(text) if text.len() <= BYTES_MAX => text,
        Ok(_) => return refused("a cluster file has at most 1 MiB", 0..0, ""),
        Err(e) => {
            // What comes before the first wrong byte has lines to count.
            let before = std::str::from_utf8(&text[..e.valid_up_to()]).unwrap_or("");
            let at = before.len()..before.len();
            return refused("this is no UTF-8", at, before);
        }
    };
    let top = match DeTable::parse(text) {
        Ok(top) => top,
        Err(e) => return refused(e.message(), place(&e), text),
    };
    let mut reader = Reader::new(text);
    let whole = 0..text.find('\n').unwrap_or(text.len());
    let fields = Fields {
        table: top.get_ref(),
        span: &whole,
        what: "a cluster",
    };
    let cluster = cluster(&mut reader, fields, costs);
    let mut found = reader.found;
    found.sort_by_key(|d| d.span.start);
    (cluster.filter(|_| found.is_empty()), found)
}

fn place(e: &Error) -> Range<usize> {
    e.span().unwrap_or(0..0)
}

/// The one diagnostic of a file that is no TOML.
fn refused(message: &str, at: Range<usize>, text: &str) -> (Option<Cluster>, Vec<Diagnostic>) {
    let mut reader = Reader::new(text);
    let help = "docs/cluster.md has an example";
    reader.error(&at, message, "", help);
    (None, reader.found)
}

fn cluster<'t>(
    reader: &mut Reader<'t>,
    top: Fields<'_, 't>,
    costs: CostsOf<'_>,
) -> Option<Cluster> {
    reader.only(top, &KEYS);
    version(reader, top)?;
    reader.parsed(top, "operator", board::key);
    service::read(reader, top);
    alerts(reader, top);
    let tables = reader.tables(top, "link", "a link", LINKS_MAX);
    let mut links: Vec<Named> = Vec::new();
    for (index, (table, span)) in tables.into_iter().enumerate() {
        let Some(named) = link::read(reader, (table, span.clone()), index) else {
            continue;
        };
        if links.iter().any(|l| l.name == named.name) {
            let message = format!("a second link {:?}", named.name);
            reader.error(&span, message, "", "give it another name");
        }
        links.push(named);
    }
    let tables = reader.tables(top, "board", "a board", EDGES_MAX + 1);
    let mut boards: Vec<Described> = Vec::new();
    for entry in tables {
        let Some(read) = board::read(reader, entry, &links, costs) else {
            continue;
        };
        if boards.iter().any(|b| b.board.name == read.board.name) {
            let message = format!("a second board {:?}", read.board.name);
            reader.error(&read.span, message, "", "give it another name");
        }
        boards.push(read);
    }
    // A board with a mistake is missing here: what it was for is unknown.
    if reader.found.is_empty() {
        sources(reader, top, &boards);
    }
    if !reader.found.is_empty() {
        return None;
    }
    split(reader, top, boards)
}

/// Checks all `[[alert]]`.
fn alerts<'t>(reader: &mut Reader<'t>, top: Fields<'_, 't>) {
    let mut names: Vec<String> = Vec::new();
    for entry in reader.tables(top, "alert", "an alert", alert::ALL_MAX) {
        let Some(name) = alert::read(reader, entry) else {
            continue;
        };
        if names.contains(&name.value) {
            let message = format!("a second alert {:?}", name.value);
            reader.error(&name.span, message, "", "give it another name");
        }
        names.push(name.value);
    }
}

/// Checks all `[[source]]`.
fn sources<'t>(reader: &mut Reader<'t>, top: Fields<'_, 't>, boards: &[Described]) {
    let reads: Vec<(&str, bool)> = (boards.iter())
        .map(|b| (b.board.name.as_str(), b.board.source && !b.gateway))
        .collect();
    let tables = reader.tables(top, "source", "a source", source::ALL_MAX);
    let mut names: Vec<SourceName> = Vec::new();
    let mut counts: Vec<(String, usize)> = Vec::new();
    for entry in tables {
        let span = entry.1.clone();
        let Some((name, board)) = source::read(reader, entry, &reads) else {
            continue;
        };
        if names.contains(&name.value) {
            let message = format!("a second source {:?}", name.value.as_str());
            reader.error(&name.span, message, "", "give it another name");
        }
        names.push(name.value);
        let at = counts.iter().position(|(b, _)| *b == board);
        let at = at.unwrap_or_else(|| {
            counts.push((board.clone(), 0));
            counts.len() - 1
        });
        counts[at].1 += 1;
        if counts[at].1 == SOURCES_MAX + 1 {
            let message = format!("{board} has more than {SOURCES_MAX} sources");
            reader.error(&span, message, "", "give some to another board");
        }
    }
}

fn version(reader: &mut Reader<'_>, top: Fields<'_, '_>) -> Option<()> {
    if !top.table.contains_key("version") {
        let help = format!("begin the file with version = {VERSION}");
        reader.error(top.span, "this cluster has no version", "", help);
        return None;
    }
    let version = reader.whole(top, "version", [1, usize::MAX])?;
    if version.value != VERSION {
        let message = format!("version {}; this planner reads {VERSION}", version.value);
        reader.error(&version.span, message, "", "docs/cluster.md has its keys");
        return None;
    }
    Some(())
}

/// Tells the gateway from the edges.
fn split(reader: &mut Reader<'_>, top: Fields<'_, '_>, boards: Vec<Described>) -> Option<Cluster> {
    let (gateways, edges): (Vec<Described>, Vec<Described>) =
        boards.into_iter().partition(|b| b.gateway);
    for second in gateways.iter().skip(1) {
        let message = format!("a second gateway, {:?}", second.board.name);
        reader.error(&second.span, message, "", "one board is the gateway");
    }
    if gateways.is_empty() {
        let help = "give one board roles = [\"gateway\"]";
        reader.error(top.span, "no board is the gateway", "", help);
    }
    let mut edges: Vec<Board> = edges
        .into_iter()
        .filter(|b| b.edge)
        .map(|b| b.board)
        .collect();
    if edges.is_empty() {
        let help = "add a [[board]] without roles";
        reader.error(top.span, "no board is an edge", "", help);
    } else if !edges.iter().any(|b| b.source) {
        let help = "give one edge roles = [\"edge\", \"source\"]";
        reader.error(top.span, "no board brings frames", "", help);
    }
    edges.sort_by_key(|b| !b.source);
    let Described {
        board: gateway,
        edge: computes,
        ..
    } = gateways.into_iter().next()?;
    if edges.is_empty() {
        return None;
    }
    if computes {
        edges.push(gateway.as_edge(gateway.cores));
    }
    Some(Cluster { edges, gateway })
}
