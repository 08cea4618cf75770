//! What a node takes out of `cluster.toml`: itself, the gateway's address, the keys of all others.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
};

use tessera_plan::files::{
    cluster::{ClusterFile, NodeEntry, PORT, is_observer},
    probe::OPERATOR,
};
use tessera_secure::{Invited, PublicKey, parse_public};

use super::TrustError;

/// What a process does, as far as the cluster file says who may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The gateway.
    Gateway,
    /// An edge.
    Edge,
    /// Somebody who reads records and metrics.
    Observer,
    /// A probe, on any board.
    Probe,
}

/// This node in the file.
#[derive(Clone, Debug)]
pub struct Me {
    /// The name of its board.
    pub board: String,
    /// Its own name.
    pub name: String,
    /// Its number in the cluster.
    pub number: u16,
    /// True for the edge on the gateway's board.
    pub is_second: bool,
    /// The public key that the file has for it.
    pub public: PublicKey,
}

impl Me {
    /// Finds the node `name` in the role.
    ///
    /// # Errors
    /// When there is no such board, it has another role, or it has no key.
    pub fn find(
        file: &ClusterFile,
        path: &Path,
        name: Option<&str>,
        role: Role,
        is_second: bool,
    ) -> Result<Self, TrustError> {
        let wrong = |what: String| TrustError::Cluster {
            path: path.into(),
            what,
        };
        let names: Vec<&str> = file.board.iter().map(|b| &*b.name).collect();
        let known = names.join(", ");
        let name = name.ok_or_else(|| {
            wrong(format!(
                "give --name NAME, this board's name: one of {known}"
            ))
        })?;
        let nodes = file.nodes();
        let found = (nodes.iter()).find(|n| n.board.name == name && n.is_second == is_second);
        let Some(node) = found else {
            let what = match file.board.iter().any(|b| b.name == name) {
                true => format!("{name} has no role of a node"),
                false => format!("there is no board {name:?}; boards are {known}"),
            };
            return Err(wrong(what));
        };
        let fits = match role {
            Role::Gateway => node.number == 0,
            Role::Edge => node.number != 0 && !node.is_observer(),
            Role::Observer => node.is_observer(),
            Role::Probe => true,
        };
        if !fits {
            let is = if node.number == 0 {
                "the gateway"
            } else if node.is_observer() {
                "an observer"
            } else {
                "an edge"
            };
            return Err(wrong(format!("{name} is {is}; start it in that role")));
        }
        if node.board.removed {
            return Err(wrong(format!(
                "{name} was removed, so the others do not speak with it; invite it again: cargo xtask cluster add {name}"
            )));
        }
        let public = node.key().ok_or_else(|| {
            wrong(format!(
                "{} has no key; make keys: cargo xtask cluster init --cluster {}, or node keygen on the board",
                node.name(),
                path.display()
            ))
        })?;
        let public =
            parse_public(public).map_err(|e| wrong(format!("the key of {}: {e}", node.name())))?;
        Ok(Self {
            board: name.into(),
            name: node.name(),
            number: node.number,
            is_second,
            public,
        })
    }

    /// What the file says that flags may say, too.
    pub fn place(&self, file: &ClusterFile) -> Place {
        let nodes = file.nodes();
        let second = nodes.iter().find(|n| n.is_second).map(|n| n.number);
        let address = |n: &NodeEntry<'_>| {
            let address = n.board.address.as_ref().unwrap_or(&n.board.name);
            with_port(address)
        };
        let of = |number| nodes.iter().find(|n| n.number == number).map(address);
        Place {
            edge: match self.number {
                0 => second,
                n if is_observer(n) => None,
                n => Some(n),
            },
            gateway: of(0),
            listen: of(self.number)
                .filter(|_| !is_observer(self.number))
                .map(|at| listen(&at)),
        }
    }
}

/// A node's place in its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Number of the board's edge; `None` of a gateway that computes no tiles.
    pub edge: Option<u16>,
    /// The gateway's host and port.
    pub gateway: Option<String>,
    /// Where the board listens, if not at a port that the system chooses.
    pub listen: Option<SocketAddr>,
}

/// An address with a port.
fn with_port(address: &str) -> String {
    if let Ok(ip) = address.parse::<IpAddr>() {
        return SocketAddr::new(ip, PORT).to_string();
    }
    let port = address.rsplit_once(':').map(|(_, port)| port);
    match port.is_some_and(|p| p.parse::<u16>().is_ok()) {
        true => address.into(),
        false => format!("{address}:{PORT}"),
    }
}

/// Where to listen for an address: there if it is one of numbers, on all of the board's at its port if it is a name.
fn listen(address: &str) -> SocketAddr {
    address.parse().unwrap_or_else(|_| {
        let port = address.rsplit_once(':').and_then(|(_, p)| p.parse().ok());
        (Ipv4Addr::UNSPECIFIED, port.unwrap_or(PORT)).into()
    })
}

/// All nodes but `own` that may take part, as far as `own` speaks with them: the gateway alone speaks with observers. A key that
/// is none is told of, and its node left out.
pub fn invited(file: &ClusterFile, path: &Path, own: u16) -> Vec<Invited> {
    let nodes = file.nodes();
    let speaks = |n: &&NodeEntry<'_>| {
        let observed = is_observer(own) || n.is_observer();
        n.number != own && (!observed || own == 0 || n.number == 0)
    };
    let others = nodes.iter().filter(speaks);
    let keyed = others.filter_map(|n| {
        let public = parse_public(n.key()?);
        if let Err(e) = &public {
            tracing::warn!("{}: the key of {}: {e}", path.display(), n.name());
        }
        Some(Invited {
            number: n.number,
            name: n.name(),
            public: public.ok()?,
        })
    });
    keyed.collect()
}

/// The machine that asks probes, if the file has its key.
pub fn operator(file: &ClusterFile, path: &Path) -> Option<Invited> {
    let public = parse_public(file.operator.as_ref()?);
    if let Err(e) = &public {
        tracing::warn!("{}: the key of the operator: {e}", path.display());
    }
    Some(Invited {
        number: OPERATOR,
        name: "operator".into(),
        public: public.ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
version = 1
[[board]]
name = "hub"
roles = ["gateway", "edge"]
address = "192.168.1.10"
key = "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw="
edge_key = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="
[[board]]
name = "shed"
roles = ["edge"]
[[board]]
name = "porch"
key = "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08="
[[board]]
name = "desk"
roles = ["observer"]
key = "MjEwOTg3NjU0MzIxMDk4NzY1NDMyMTA5ODc2NTQzMjE="
"#;

    fn me(name: Option<&str>, role: Role, second: bool) -> Result<Me, String> {
        let file: ClusterFile = toml::from_str(FILE).unwrap();
        let found = Me::find(&file, Path::new("c.toml"), name, role, second);
        found.map_err(|e| e.to_string())
    }

    #[test]
    fn nodes_find_themselves() {
        let file: ClusterFile = toml::from_str(FILE).unwrap();
        let porch = me(Some("porch"), Role::Edge, false).unwrap();
        let place = porch.place(&file);
        assert_eq!((porch.number, place.edge), (1, Some(1)));
        assert_eq!(place.gateway.as_deref(), Some("192.168.1.10:7400"));
        assert_eq!(place.listen, Some(([0, 0, 0, 0], 7400).into()), "by name");
        let hub = me(Some("hub"), Role::Gateway, false).unwrap();
        let place = hub.place(&file);
        assert_eq!((hub.number, place.edge), (0, Some(3)));
        assert_eq!(place.listen, Some(([192, 168, 1, 10], 7400).into()));
        let second = me(Some("hub"), Role::Edge, true).unwrap();
        assert_eq!((second.number, &*second.name), (3, "hub.edge"));
        assert_eq!(second.place(&file).edge, Some(3));
        let names = |own| -> Vec<String> {
            let invited = invited(&file, Path::new("c.toml"), own);
            invited.into_iter().map(|i| i.name).collect()
        };
        assert_eq!(names(0), ["porch", "hub.edge", "desk"], "shed has no key");
        // Observers speak with the gateway alone.
        assert_eq!(names(1), ["hub", "hub.edge"]);
        let desk = me(Some("desk"), Role::Observer, false).unwrap();
        assert_eq!(
            (desk.number, names(desk.number)),
            (0xf000, vec!["hub".into()])
        );
        assert_eq!(
            desk.place(&file).gateway.as_deref(),
            Some("192.168.1.10:7400")
        );
    }

    #[test]
    fn errors_say_what_to_do() {
        for (name, role, second, words) in [
            (None, Role::Edge, false, "one of hub, shed, porch"),
            (Some("attic"), Role::Edge, false, "no board \"attic\""),
            (Some("hub"), Role::Edge, false, "hub is the gateway"),
            (Some("porch"), Role::Gateway, false, "porch is an edge"),
            (Some("shed"), Role::Edge, false, "cargo xtask cluster init"),
            (Some("desk"), Role::Edge, false, "desk is an observer"),
            (Some("porch"), Role::Observer, false, "porch is an edge"),
        ] {
            let e = me(name, role, second).unwrap_err();
            assert!(e.contains(words), "{e}");
        }
    }

    #[test]
    fn ports_and_addresses() {
        for (address, with, at) in [
            ("hub", "hub:7400", "0.0.0.0:7400"),
            ("hub:9", "hub:9", "0.0.0.0:9"),
            ("10.0.0.1", "10.0.0.1:7400", "10.0.0.1:7400"),
            ("fd00::1", "[fd00::1]:7400", "[fd00::1]:7400"),
            ("[fd00::1]:8", "[fd00::1]:8", "[fd00::1]:8"),
        ] {
            assert_eq!(with_port(address), with);
            assert_eq!(listen(with), at.parse().unwrap());
        }
    }
}
