//! Why a board does not answer.

use crate::{Finding, Kind};

/// What became of a datagram to the board's port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Udp {
    /// Nothing came back.
    Silence,
    /// The board says that nothing listens (`ECONNREFUSED`).
    Refused,
    /// There is no way, or somebody forbids it (`EHOSTUNREACH`, `ENETUNREACH`, `EACCES`, `EPERM`).
    NoWay,
}

/// What became of a TCP connection to the same port, where no node listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tcp {
    /// The board answered: refused or taken.
    Answered,
    /// Nothing came back.
    Silence,
    /// There is no way, or somebody forbids it.
    NoWay,
}

/// What is known of a board that does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// A datagram.
    pub udp: Udp,
    /// A connection.
    pub tcp: Tcp,
    /// Whether its hardware address is known, that is, whether it is on this network; `None` where a router is between.
    pub is_neighbour: Option<bool>,
    /// The cluster has keys.
    pub has_keys: bool,
}

/// The most likely reason that the board `name` at `address` does not answer.
pub fn reach(name: &str, address: &str, r: Reach) -> Finding {
    let start = format!("start a node there: ./node probe --config cluster.toml --name {name}");
    let tcp = match r.tcp {
        Tcp::Answered => "TCP is answered",
        Tcp::Silence => "TCP is not answered",
        Tcp::NoWay => "TCP finds no way",
    };
    let neighbour = match r.is_neighbour {
        Some(true) => ", its hardware address is known",
        Some(false) => ", nobody has its hardware address",
        None => "",
    };
    let seen = |udp: &str| format!("{address}: {udp}, {tcp}{neighbour}");
    let found = match (r.udp, r.tcp, r.is_neighbour) {
        (Udp::Refused, ..) => Finding::fault(
            Kind::NothingListens,
            "nothing listens on the board's port",
            seen("UDP is refused"),
            start,
        ),
        (Udp::NoWay, Tcp::Answered, _) | (_, Tcp::NoWay, Some(true)) => Finding::fault(
            Kind::Firewall,
            "a firewall turns datagrams away",
            seen("UDP finds no way"),
            "let UDP through to its port, on the board and in between (sudo ufw allow 7400/udp)",
        ),
        (Udp::Silence, Tcp::Answered, _) => Finding::fault(
            Kind::Unanswered,
            "somebody listens on the board's port and does not answer this machine",
            seen("UDP is not answered"),
            match r.has_keys {
                true => {
                    "if the cluster runs, end the node there and start a probe; else a firewall drops UDP, or its \
                         NAME.key, cluster.secret or cluster.toml are not those of this cluster: copy them again"
                }
                false => {
                    "another program has the port, or a firewall drops UDP: look there with ss -ulnp"
                }
            },
        ),
        (Udp::Silence, Tcp::Silence, Some(true)) => Finding::fault(
            Kind::Firewall,
            "a firewall swallows what is sent to the board",
            seen("UDP is not answered"),
            "let UDP through to its port, on the board and in between (sudo ufw allow 7400/udp)",
        ),
        _ => Finding::fault(
            Kind::Absent,
            "the board is not on the network",
            seen("UDP is not answered"),
            "is it on, and is this its address? Wi-Fi that keeps its guests apart looks the same",
        ),
    };
    found.on(name)
}
