//! Boards where nodes run as probes: the ways between them, their plans, keys and clocks.

use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    path::PathBuf,
    process::Command,
    time::Duration,
};

use tempfile::TempDir;
use tessera_needs::needs;
use tessera_tests::{
    relay::{Faults, Relay},
    rig::{Process, SHORT},
};

use crate::{
    common::{Said, doctor, node},
    net::{Net, address},
};

/// A cluster file and its keys.
pub struct Described {
    dir: TempDir,
}

impl Described {
    /// A gateway `hub`, a source `a` and an edge `b` at these addresses, with keys or without.
    pub fn new(at: [&str; 3], has_keys: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let roles = ["[\"gateway\"]", "[\"edge\", \"source\"]", "[\"edge\"]"];
        let boards = ["hub", "a", "b"].into_iter().zip(at).zip(roles);
        let mut text = "version = 1\n".to_owned();
        for ((name, at), roles) in boards {
            text += &format!(
                "[[board]]\nname = {name:?}\naddress = {at:?}\ntarget = \"x86-64-v3\"\nroles = {roles}\n"
            );
        }
        let described = Self { dir };
        fs::write(described.file(), text).unwrap();
        if has_keys {
            described.xtask(&["cluster", "init"]);
        }
        described
    }

    pub fn file(&self) -> PathBuf {
        self.dir.path().join("cluster.toml")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Changes the file.
    pub fn edit(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.file()).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(self.file(), text.replace(from, to)).unwrap();
    }

    /// Runs a command on the file.
    pub fn xtask(&self, words: &[&str]) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        let out = command
            .args(words)
            .arg("--cluster")
            .arg(self.file())
            .output()
            .unwrap();
        assert!(out.status.success(), "{out:?}");
    }

    /// `xtask doctor` on it.
    pub fn doctor(&self) -> Command {
        doctor(&["--cluster", self.file().to_str().unwrap()])
    }

    /// What it says on this machine.
    pub fn said(&self) -> Said {
        Said::by(self.doctor(), self.dir.path())
    }

    /// A probe of the board.
    pub fn probe(&self, name: &str) -> Command {
        let mut command = node().command("probe");
        command
            .arg("--config")
            .arg(self.file())
            .args(["--name", name]);
        command
    }

    /// Starts a command as `name`, and waits until it listens.
    pub fn start(&self, command: Command, name: &str) -> (Process, SocketAddr) {
        let process = Process::start(command, name, self.dir.path()).unwrap();
        let event = process.event("listening", SHORT).unwrap();
        let addr = event["addr"].as_str().unwrap().parse().unwrap();
        (process, addr)
    }
}

/// Probes without keys on loopback, which know each other by a relay.
struct Relayed {
    described: Described,
    relay: Relay,
    _probes: Vec<Process>,
}

impl Relayed {
    fn new() -> Self {
        let starts = Described::new(["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"], false);
        let relay = Relay::start(Faults::NONE, 3).unwrap();
        let mut probes = Vec::new();
        let mut at = Vec::new();
        for name in ["hub", "a", "b"] {
            let mut command = node().command("probe");
            command.args(["--listen", "127.0.0.1:0"]);
            let (probe, addr) = starts.start(command, name);
            probes.push(probe);
            at.push(relay.public(addr).unwrap().to_string());
        }
        Self {
            described: Described::new([&at[0], &at[1], &at[2]], false),
            relay,
            _probes: probes,
        }
    }

    fn said(&self, faults: Faults) -> Said {
        self.relay.set(faults);
        self.described.said()
    }
}

#[needs(x86_64v3)]
#[test]
fn ways_lose_delay_and_cut() {
    let relayed = Relayed::new();
    let well = relayed.said(Faults::NONE);
    well.found(&[]);
    let ways = well.value["ways"].as_array().unwrap();
    // The gateway with both, both with each other, both ways.
    assert_eq!(ways.len(), 6, "{ways:?}");
    assert!(
        ways.iter().all(|w| w["sent"] == 200 && w["arrived"] == 200),
        "{ways:?}"
    );
    assert_eq!(well.value["boards"].as_array().unwrap().len(), 3);

    let loss = Faults {
        loss: 0.15,
        ..Faults::NONE
    };
    let said = relayed.said(loss);
    let rows = said.rows();
    assert_eq!(
        rows.iter().filter(|r| r.ends_with(": loss")).count(),
        6,
        "{rows:?}"
    );

    let delay = Faults {
        delay: Duration::from_millis(30),
        ..Faults::NONE
    };
    relayed.said(delay).found(&[
        "a: delay",
        "a: delay",
        "b: delay",
        "b: delay",
        "hub: delay",
        "hub: delay",
    ]);

    let narrow = Faults {
        bytes_max: Some(1300),
        ..Faults::NONE
    };
    relayed.said(narrow).found(&[
        "a: mtu", "a: mtu", "b: mtu", "b: mtu", "hub: mtu", "hub: mtu",
    ]);
}

#[needs(x86_64v3)]
#[test]
fn boards_that_do_not_answer() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let described = Described::new(
        [
            "127.0.0.1:0",
            "127.0.0.1:9",
            &taken.local_addr().unwrap().to_string(),
        ],
        true,
    );
    let (_probe, at) = {
        let mut command = described.probe("hub");
        command.args(["--listen", "127.0.0.1:0"]);
        described.start(command, "hub")
    };
    described.edit("127.0.0.1:0", &at.to_string());
    described
        .said()
        .found(&["a: nothing-listens", "b: unanswered"]);
}

#[needs(x86_64v3)]
#[test]
fn keys_that_are_wrong() {
    let described = Described::new(["127.0.0.1:0", "127.0.0.2:0", "127.0.0.3:0"], true);
    let mut probes = Vec::new();
    for (name, place) in [
        ("hub", "127.0.0.1:0"),
        ("a", "127.0.0.2:0"),
        ("b", "127.0.0.3:0"),
    ] {
        let mut command = described.probe(name);
        // Another secret than that of all others.
        if name == "b" {
            let other = described.path("other.secret");
            let text = fs::read_to_string(described.path("cluster.secret")).unwrap();
            let first = if text.starts_with('A') { 'B' } else { 'A' };
            fs::write(&other, format!("{first}{}", &text[1..])).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            fs::set_permissions(&other, mode).unwrap();
            command.arg("--secret").arg(other);
        }
        command.args(["--listen", place]);
        let (probe, at) = described.start(command, name);
        described.edit(&format!("{place:?}"), &format!("{:?}", at.to_string()));
        probes.push(probe);
    }
    described.said().found(&["b: unanswered"]);
    // Two boards with one key.
    let text = fs::read_to_string(described.file()).unwrap();
    let key = |name: &str| {
        let at = text.find(&format!("name = {name:?}")).unwrap();
        let line = text[at..]
            .lines()
            .find(|l| l.starts_with("key = "))
            .unwrap();
        line.to_owned()
    };
    described.edit(&key("b"), &key("a"));
    let said = described.said();
    assert!(
        said.rows().contains(&"b: cluster-file".to_owned()),
        "{:?}",
        said.rows()
    );
}

#[needs(x86_64v3, faketime)]
#[test]
fn clocks_that_differ() {
    let relayed = Relayed::new();
    let doctor = relayed.described.doctor();
    let mut later = Command::new("faketime");
    later
        .args(["-f", "+1h"])
        .arg(doctor.get_program())
        .args(doctor.get_args());
    let said = Said::by(later, &relayed.described.path(""));
    said.found(&["a: clock-differs", "b: clock-differs", "hub: clock-differs"]);
}

/// Starts probes of `names` on their boards.
fn probes(net: &Net, described: &Described, names: &[(&str, &str)]) -> Vec<Process> {
    let start = |(name, board): &(&str, &str)| {
        let command = net.on(board, &described.probe(name));
        described.start(command, name).0
    };
    names.iter().map(start).collect()
}

#[needs(x86_64v3, network_namespaces)]
#[test]
fn boards_at_a_switch() {
    let net = Net::new(3);
    let at = [1, 2, 3].map(address);
    let described = Described::new([&at[0], &at[1], &at[2]], true);
    let said = || Said::by(net.on("op", &described.doctor()), &described.path(""));
    let mut running = probes(&net, &described, &[("hub", "1"), ("a", "2"), ("b", "3")]);
    said().found(&[]);

    // What boards tell of themselves: packets do not fit.
    net.ip("2", "link set eth0 mtu 1400");
    let small = said();
    assert!(
        small.rows().contains(&"a: mtu".to_owned()),
        "{:?}",
        small.rows()
    );
    net.ip("2", "link set eth0 mtu 1500");
    said().found(&[]);

    // From b nothing goes to a any more.
    net.ip("3", &format!("route add blackhole {}", at[1]));
    let one_way = said();
    one_way.found(&["a: one-way", "b: no-route"]);
    assert!(
        one_way.finding("one-way")["seen"]
            .as_str()
            .unwrap()
            .starts_with("b has heard")
    );
    net.ip("3", &format!("route del blackhole {}", at[1]));

    // Something swallows what comes to b; then b is gone from the network, and its probe from a.
    net.swallow("3");
    said().found(&["b: firewall"]);
    net.ip("3", "link set eth0 down");
    // The kernel believes in a hardware address for some seconds more.
    net.ip("op", "neigh flush all");
    running.remove(1);
    said().found(&["a: nothing-listens", "b: absent"]);
    drop(running);
}

#[needs(x86_64v3, network_namespaces)]
#[test]
fn a_board_without_a_way_or_its_address() {
    let net = Net::new(1);
    let at = [1, 2, 3].map(address);
    let described = Described::new([&at[0], &at[1], &at[2]], true);
    let alone = |flags: &[&str]| {
        let mut command = node().command("doctor");
        command
            .args(["--json", "--config"])
            .arg(described.file())
            .args(flags);
        Said::by(net.on("1", &command), &described.path(""))
    };
    alone(&["--name", "hub"]).found(&[]);
    // It says that it is another board.
    alone(&["--name", "a"]).found(&["wrong-address"]);
    net.ip("1", "addr del 10.91.0.11/24 dev eth0");
    net.ip("1", "addr add 10.91.0.11/32 dev eth0");
    alone(&["--name", "hub"]).found(&["no-route"]);
}
