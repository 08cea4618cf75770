//! `doctor`: what is likely to be wrong with this board, each in one line. [`tessera_health`] reads the board and knows the rows;
//! here is what only a node knows: its keys, the other boards, its packets and its cameras.
//!
//! A probe answers the operator with the same ([`Doctor::checkup`]).

mod camera;

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use tessera_health::{Aims, Board, Checkup, Finding, Health, Kind, Root, Severity, facts, lines};
use tessera_runtime::program::Program;

use crate::{
    args::Args,
    console::{self, Patience},
    error::NodeError,
    statistics,
    trust::{Role, Trust},
};

/// Between the two looks at what is counted.
const LOOK: Duration = Duration::from_secs(1);

/// Looks at the board that this process runs on.
#[derive(Debug)]
pub struct Doctor<'a> {
    program: &'static Program,
    a: &'a Args,
    own: Option<Ipv4Addr>,
    others: Option<Vec<Ipv4Addr>>,
    /// What was found before any look.
    known: Vec<Finding>,
}

impl<'a> Doctor<'a> {
    /// A doctor of the board that `trust` names; without keys, of a board that knows no others. Nodes without keys have theirs on
    /// this machine.
    pub fn new(program: &'static Program, a: &'a Args, trust: Option<&Trust>) -> Self {
        let (own, others) = match trust.map(Trust::hosts) {
            Some((own, others)) => (own, Some(others)),
            None => (None, a.listen.map(|_| Vec::new())),
        };
        Self {
            program,
            a,
            own: own.as_deref().and_then(numeric),
            others: others.map(|all| all.iter().filter_map(|host| numeric(host)).collect()),
            known: Vec::new(),
        }
    }

    /// Looks at everything, for a second, and for as long as cameras take to bring a frame.
    pub fn checkup(&self) -> Checkup {
        let root = Root::new(&self.a.root);
        // This process is called what other nodes are called.
        let name = fs::read_to_string("/proc/self/comm").unwrap_or_default();
        let before = Board::read(&root, name.trim());
        std::thread::sleep(LOOK);
        let now = Board::read(&root, name.trim());
        let mut findings = self.known.clone();
        findings.extend(tessera_health::board(&before, &now, &self.aims()));
        findings.extend(camera::check(self.program, self.a, &now));
        Checkup {
            health: Health::from(&now),
            findings,
            // Behind all looks, so that whoever asks can compare it.
            unix_ms: facts::Clock::read(&root).unix_ms(),
        }
    }

    fn aims(&self) -> Aims {
        Aims {
            others: self.others.clone(),
            own: self.own.filter(|a| !a.is_loopback()),
            addresses: facts::addresses(),
            packet_bytes: facts::PACKET_BYTES,
            receive: facts::receive_buffer(facts::RECEIVE_BYTES),
        }
    }
}

/// The address of a host that is written in numbers, with or without a port. Names are not looked up: that may take long.
fn numeric(host: &str) -> Option<Ipv4Addr> {
    let ip = host.parse().ok();
    let ip = ip.or_else(|| Some(host.parse::<SocketAddr>().ok()?.ip()));
    match ip? {
        IpAddr::V4(ip) => Some(ip),
        IpAddr::V6(_) => None,
    }
}

/// Runs the role.
///
/// # Errors
/// [`NodeError::Faults`] when something is wrong.
pub fn run(program: &'static Program, a: &mut Args) -> Result<(), NodeError> {
    let mut known = Vec::new();
    let trust = Trust::of(&a.trust, Role::Probe).and_then(|trust| {
        if let Some(trust) = &trust {
            // What a node does with its keys before anything else.
            drop(trust.probe_links()?);
        }
        Ok(trust)
    });
    let trust = trust.unwrap_or_else(|e| {
        known.push(Finding::fault(
            Kind::Keys,
            "this board's keys cannot be used, so no other board speaks with it",
            e.to_string(),
            "copy cluster.toml, cluster.secret and the board's NAME.key to it again, readable by the node's user alone",
        ));
        None
    });
    if let Some(trust) = &trust {
        a.listed = trust.sources_here();
    }
    let a: &Args = a;
    let doctor = Doctor {
        known,
        ..Doctor::new(program, a, trust.as_ref())
    };
    let checkup = doctor.checkup();
    if a.json {
        statistics::answer(&checkup);
    } else {
        let text = match checkup.findings.is_empty() {
            true => "nothing is wrong with this board\n".to_owned(),
            false => lines(&checkup.findings),
        };
        let _ = console::out(&text, Patience::Endless);
    }
    let is_fault = |f: &&Finding| f.severity == Severity::Fault;
    match checkup.findings.iter().filter(is_fault).count() {
        0 => Ok(()),
        faults => Err(NodeError::Faults(faults)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::udp::DATAGRAM_BYTES_MAX;

    #[test]
    fn a_packet_is_the_longest_datagram_with_the_heads_of_ip_and_udp() {
        assert_eq!(facts::PACKET_BYTES as usize, DATAGRAM_BYTES_MAX + 20 + 8);
    }

    #[test]
    fn numbers_are_addresses_and_names_are_not() {
        let ip = Some(Ipv4Addr::new(192, 168, 1, 10));
        assert_eq!(numeric("192.168.1.10"), ip);
        assert_eq!(numeric("192.168.1.10:7401"), ip);
        for none in ["raspberrypi.local", "[fd00::1]:7400", "fd00::1", ""] {
            assert_eq!(numeric(none), None, "{none}");
        }
    }
}
