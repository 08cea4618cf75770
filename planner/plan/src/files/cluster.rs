//! `cluster.toml`, as far as nodes read it: who takes part, under which number and with which key. What the file says of
//! processors and links is for the planner, which also says what is wrong with a file; nodes skip what they do not know.

use serde::Deserialize;

use super::{alerts::AlertEntry, sources::SourceEntry};

/// Port of a gateway or probe whose address names none.
pub const PORT: u16 = 7400;
/// Number of the first observer. Observers are no part of plans, so their numbers are apart from those of edges.
pub const OBSERVERS_FROM: u16 = 0xf000;
/// Most observers of a cluster.
pub const OBSERVERS_MAX: u16 = 64;
/// Largest file, in bytes.
pub const BYTES_MAX: u64 = 1 << 20;

/// The file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct ClusterFile {
    /// The boards, in the order of the file.
    #[serde(default)]
    pub board: Vec<BoardEntry>,
    /// Public key of the machine that asks probes.
    pub operator: Option<String>,
    /// Where frames come from, in the order of the file. Here a node skips no key that it does not know: a misspelt limit must
    /// not be taken for no limit.
    #[serde(default)]
    pub source: Vec<SourceEntry>,
    /// What the gateway speaks over HTTP; without the table, nothing.
    pub service: Option<ServiceEntry>,
    /// What people want to hear of, in the order of the file.
    #[serde(default)]
    pub alert: Vec<AlertEntry>,
}

/// What a gateway speaks over HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ServiceEntry {
    /// Address and port.
    pub http: String,
    /// File of the word that clients must know, beside the cluster file unless its path is absolute.
    pub token: Option<String>,
    /// How failures of detection are told: `deepstack` or `codeproject`.
    pub profile: Option<String>,
    /// Endpoint of Frigate's ZeroMQ detector: `tcp://ADDRESS:PORT` or `ipc:///PATH`.
    pub zmq: Option<String>,
    /// Addresses that may connect to it from other machines, between commas, or `any`.
    pub zmq_allow: Option<String>,
}

/// A board of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct BoardEntry {
    /// Its name.
    pub name: String,
    /// What it is for; [`BoardEntry::USUAL_ROLES`] if the file does not say.
    pub roles: Option<Vec<String>>,
    /// Host name or address, the gateway's with a port if it is not [`PORT`].
    pub address: Option<String>,
    /// What ssh connects to, for deployments: `user@host` or `ssh://user@host:port`; without it, the host of the address.
    pub ssh: Option<String>,
    /// Its public key: 44 characters of base64.
    pub key: Option<String>,
    /// Public key of the edge that a gateway starts on its own board.
    pub edge_key: Option<String>,
    /// True when the board may not take part any more. It keeps its place, so that the others keep their numbers.
    #[serde(default)]
    pub removed: bool,
}

/// A node that the file describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeEntry<'a> {
    /// Its number: 0 is the gateway's.
    pub number: u16,
    /// Its board.
    pub board: &'a BoardEntry,
    /// True for the edge that the gateway starts on its own board.
    pub is_second: bool,
}

impl BoardEntry {
    /// The roles of a board that says none.
    pub const USUAL_ROLES: [&'static str; 2] = ["edge", "source"];

    /// True if the board has the role.
    pub fn has(&self, role: &str) -> bool {
        match &self.roles {
            Some(roles) => roles.iter().any(|r| r == role),
            None => Self::USUAL_ROLES.contains(&role),
        }
    }

    /// True if the board is there to read records and metrics, and for nothing else.
    pub fn is_observer(&self) -> bool {
        self.has("observer")
    }

    /// True if the board computes tiles: every source does.
    pub fn is_edge(&self) -> bool {
        !self.is_observer() && (self.has("edge") || self.has("source"))
    }
}

impl NodeEntry<'_> {
    /// The node's name: the board's, or `NAME.edge` for the edge on the gateway's board.
    pub fn name(&self) -> String {
        if self.is_second {
            format!("{}.edge", self.board.name)
        } else {
            self.board.name.clone()
        }
    }

    /// The node's public key; `None` if the file has none, or the board may not take part any more.
    pub fn key(&self) -> Option<&str> {
        let key = if self.is_second {
            &self.board.edge_key
        } else {
            &self.board.key
        };
        key.as_deref().filter(|_| !self.board.removed)
    }

    /// True if the node may bring frames.
    pub fn is_source(&self) -> bool {
        !self.is_second && self.board.has("source") && !self.is_observer()
    }

    /// True if the node may bring frames, its own or those that are posted to the gateway of `file`.
    pub fn brings_frames(&self, file: &ClusterFile) -> bool {
        self.is_source() || self.is_second && file.service.is_some()
    }

    /// True if the node reads records and metrics, and does nothing else.
    pub fn is_observer(&self) -> bool {
        is_observer(self.number)
    }
}

/// True for the numbers of observers.
pub const fn is_observer(number: u16) -> bool {
    number >= OBSERVERS_FROM && number < OBSERVERS_FROM + OBSERVERS_MAX
}

impl ClusterFile {
    /// The sources that the board `name` reads. A source that names no board is read by the only board that is a source.
    pub fn sources_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a SourceEntry> {
        let nodes = self.nodes();
        let mut sources = nodes.iter().filter(|n| n.is_source() && !n.board.removed);
        let only = match (sources.next(), sources.next()) {
            (Some(only), None) => only.board.name == name,
            _ => false,
        };
        let reads = move |s: &&SourceEntry| s.board.as_deref().map_or(only, |b| b == name);
        self.source.iter().filter(reads)
    }

    /// All nodes with their numbers. The gateway has 0. Edges are counted from 1 in the order of the file, sources first; the
    /// edge on the gateway's board comes last. Plans number their boards in the same way. Observers are counted apart, from
    /// [`OBSERVERS_FROM`].
    pub fn nodes(&self) -> Vec<NodeEntry<'_>> {
        let is_gateway = |b: &&BoardEntry| b.has("gateway") && !b.is_observer();
        let gateway = self.board.iter().find(is_gateway);
        let edges = (self.board.iter()).filter(|b| !is_gateway(b) && b.is_edge());
        let (sources, others): (Vec<_>, Vec<_>) = edges.partition(|b| b.has("source"));
        let second = gateway.filter(|b| b.is_edge());
        let edges = sources.into_iter().chain(others).map(|b| (b, false));
        let edges = edges.chain(second.map(|b| (b, true)));
        let gateway = gateway.map(|board| NodeEntry {
            number: 0,
            board,
            is_second: false,
        });
        let edges = (1..)
            .zip(edges)
            .map(|(number, (board, is_second))| NodeEntry {
                number,
                board,
                is_second,
            });
        let observers = self.board.iter().filter(|b| b.is_observer());
        let numbers = OBSERVERS_FROM..OBSERVERS_FROM + OBSERVERS_MAX;
        let observers = numbers.zip(observers).map(|(number, board)| NodeEntry {
            number,
            board,
            is_second: false,
        });
        gateway.into_iter().chain(edges).chain(observers).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(name: &str, roles: Option<&[&str]>) -> BoardEntry {
        BoardEntry {
            name: name.into(),
            roles: roles.map(|r| r.iter().map(|r| (*r).into()).collect()),
            key: Some(format!("key of {name}")),
            edge_key: Some(format!("second key of {name}")),
            ..BoardEntry::default()
        }
    }

    #[test]
    fn sources_come_first_and_the_gateways_edge_last() {
        let mut file = ClusterFile {
            board: vec![
                board("shed", Some(&["edge"])),
                board("hub", Some(&["gateway", "edge"])),
                board("porch", None),
                board("yard", Some(&["source"])),
            ],
            operator: None,
            source: Vec::new(),
            service: None,
            alert: Vec::new(),
        };
        let shown = |file: &ClusterFile| -> Vec<(u16, String, bool, Option<String>)> {
            (file.nodes().iter())
                .map(|n| (n.number, n.name(), n.is_source(), n.key().map(Into::into)))
                .collect()
        };
        let key = |name: &str| Some(format!("key of {name}"));
        let mut all = vec![
            (0, "hub".to_owned(), false, key("hub")),
            (1, "porch".to_owned(), true, key("porch")),
            (2, "yard".to_owned(), true, key("yard")),
            (3, "shed".to_owned(), false, key("shed")),
            (
                4,
                "hub.edge".to_owned(),
                false,
                Some("second key of hub".into()),
            ),
        ];
        assert_eq!(shown(&file), all);
        // Who is removed leaves a gap.
        file.board[2].removed = true;
        all[1].3 = None;
        assert_eq!(shown(&file), all);
        file.board[1].roles = Some(vec!["gateway".into()]);
        all.pop();
        assert_eq!(shown(&file), all);
        // Who only looks on changes nobody's number, whatever else it is said to be.
        file.board
            .insert(0, board("desk", Some(&["observer", "source"])));
        all.push((0xf000, "desk".into(), false, key("desk")));
        assert_eq!(shown(&file), all);
        let desk = file.nodes().pop().expect("the last");
        assert!(desk.is_observer() && !desk.board.is_edge());
    }
}
