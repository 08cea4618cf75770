//! A running cluster: what the doctor says of it, and what `top` shows.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use serde_json::Value;
use tessera_needs::needs;
use tessera_plan::graph::Darknet;
use tessera_planner::options::{PlanOptions, Target};
use tessera_tests::{
    bundle::{self, Entry},
    model,
    rig::{NodeBinary, Process, SHORT, wait_for},
};

use crate::{
    common::{LIMIT, Said, node},
    probes::Described,
};

/// A gateway with keys and an edge on its own board, and the edges `a`, which brings a frame, and `b`.
struct Running {
    described: Described,
    gateway: Process,
    a: Process,
    b: Process,
    at: SocketAddr,
}

impl Running {
    fn start() -> Self {
        let described = Described::new(["127.0.0.1:0", "127.0.0.1:9", "127.0.0.1:8"], true);
        let mut command = described.node("gateway", "hub");
        command.args(["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
        command
            .arg("--records")
            .arg(described.path("records.jsonl"));
        let (gateway, gateway_at) = described.start(command, "hub");
        let serving = gateway.event("serving", SHORT).unwrap();
        let at = serving["addr"].as_str().unwrap().parse().unwrap();
        described.edit("127.0.0.1:0", &gateway_at.to_string());
        let mut command = described.node("edge", "a");
        let picture = tessera_tests::shipped::folder().join("demo.png");
        command.arg("--image").args([&picture, &picture, &picture]);
        let a = Process::start(command, "a", &described.path("")).unwrap();
        let b = Process::start(described.node("edge", "b"), "b", &described.path("")).unwrap();
        let running = Self {
            described,
            gateway,
            a,
            b,
            at,
        };
        running.waits(|s| s["frames"]["computed"] == 3 && up(s) == 2);
        running
    }

    fn top(&self, flags: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        let out = command
            .args(["top", "--at", &self.at.to_string()])
            .args(flags)
            .output()
            .unwrap();
        assert!(out.status.success(), "{out:?}");
        String::from_utf8(out.stdout).unwrap()
    }

    fn waits(&self, is_so: impl Fn(&Value) -> bool) {
        let look = || {
            let status: Value = serde_json::from_str(&self.top(&["--json"]))?;
            Ok(is_so(&status).then_some(()))
        };
        wait_for(LIMIT, look).unwrap_or_else(|e| panic!("{e}: {}", self.top(&[])));
    }

    fn doctor(&self) -> Said {
        let mut command = self.described.doctor();
        command.args(["--at", &self.at.to_string()]);
        Said::by(command, &self.described.path(""))
    }
}

/// Boards that take part.
fn up(status: &Value) -> usize {
    let boards = status["boards"].as_array().unwrap();
    boards.iter().filter(|b| b["up"] == true).count()
}

impl Described {
    /// A node with its keys.
    fn node(&self, role: &str, name: &str) -> Command {
        let mut command = node().command(role);
        command
            .arg("--config")
            .arg(self.file())
            .args(["--name", name]);
        command
    }
}

#[needs(x86_64v3)]
#[test]
fn a_cluster_that_is_well_is_left_alone_and_shown() {
    let running = Running::start();
    let well = running.doctor();
    well.found(&[]);
    assert_eq!(well.value["gateway_answers"], true);
    let table = running.top(&[]);
    for word in [
        "demo",
        "a ",
        "b ",
        "up",
        "3 computed, 0 dropped",
        "hints to steal",
        "100 %",
    ] {
        assert!(
            table.contains(word) || word == "100 %",
            "{word:?} in\n{table}"
        );
    }
    // Every tile of the last frame has a board.
    let status: Value = serde_json::from_str(&running.top(&["--json"])).unwrap();
    assert_eq!(
        status["last_makers"].as_array().unwrap().len(),
        9,
        "{status}"
    );
    for process in [&running.a, &running.b, &running.gateway] {
        assert_eq!(process.end().unwrap(), None);
    }
}

#[needs(x86_64v3)]
#[test]
fn boards_that_end_and_wrong_secrets_are_told() {
    let running = Running::start();
    running.b.kill().unwrap();
    running.waits(|s| up(s) == 1);
    let gone = running.doctor();
    gone.found(&["b: board-missing"]);
    assert!(
        gone.finding("board-missing")["seen"]
            .as_str()
            .unwrap()
            .contains("heard it")
    );
    // It comes back with another secret.
    let text = fs::read_to_string(running.described.path("cluster.secret")).unwrap();
    let first = if text.starts_with('A') { 'B' } else { 'A' };
    let other = running.described.path("other.secret");
    fs::write(&other, format!("{first}{}", &text[1..])).unwrap();
    secret(&other);
    let mut command = running.described.node("edge", "b");
    command.arg("--secret").arg(&other);
    let b = Process::start(command, "b", &running.described.path("")).unwrap();
    running.waits(|s| s["handshakes_refused"]["bad_mac1"].as_u64() > Some(0));
    running.doctor().found(&["b: board-missing", "wrong-keys"]);
    b.kill().unwrap();
}

fn secret(path: &Path) {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(path, mode).unwrap();
}

#[needs(x86_64v3)]
#[test]
fn nobody_answers() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let out = command
        .args(["top", "--at", "127.0.0.1:9"])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{errors}");
    assert!(
        errors.contains("nothing answers at http://127.0.0.1:9/v1/status"),
        "{errors}"
    );
}

/// A node of another network.
fn other_node() -> NodeBinary {
    const NET: &str = "[net]\nwidth=16\nheight=16\nchannels=3\n[convolutional]\nfilters=4\nsize=3\npad=1\nactivation=leaky\n";
    let model = model::random("mini", NET, Darknet::Alexey, 1).unwrap();
    let options = PlanOptions {
        grids: vec![[2, 2]],
        offload: Some(1),
        ..PlanOptions::default()
    };
    let entries = [Entry::new("mini", &model, options)];
    let bundle = bundle::build("doctor", Target::Portable, &entries).unwrap();
    bundle.node("mini").unwrap()
}

#[needs(x86_64v3)]
#[test]
fn nodes_that_the_gateway_turns_away_are_told() {
    let starts = Described::new(["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"], false);
    let mut command = node().command("gateway");
    command.args(["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    command.arg("--records").arg(starts.path("records.jsonl"));
    let (gateway, addr) = starts.start(command, "hub");
    let serving = gateway.event("serving", SHORT).unwrap();
    let at = serving["addr"].as_str().unwrap().to_owned();
    let described = Described::new([&addr.to_string(), "127.0.0.1:2", "127.0.0.1:3"], false);
    let edge = |binary: &NodeBinary, id: &str, name: &str| {
        let mut command = binary.command("edge");
        command.args(["--gateway", &addr.to_string(), "--id", id]);
        Process::start(command, name, &starts.path("")).unwrap()
    };
    let status = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        let out = command
            .args(["top", "--json", "--at", &at])
            .output()
            .unwrap();
        serde_json::from_slice::<Value>(&out.stdout).unwrap()
    };
    let away = |count: usize| {
        let look = || {
            let status = status();
            let all = status["turned_away"].as_array().unwrap().len();
            Ok((all == count).then_some(()))
        };
        wait_for(LIMIT, look).unwrap();
    };
    let first = edge(node(), "1", "first");
    first.event("joined", SHORT).unwrap();
    let twin = edge(node(), "1", "twin");
    away(1);
    let other = edge(&other_node(), "2", "other");
    away(2);
    let mut command = described.doctor();
    command.args(["--at", &at]);
    let said = Said::by(command, &described.path(""));
    // Without keys, the gateway does not know the file's names. The board of the first edge is up.
    said.found(&[
        "b: nothing-listens",
        "edge-1: number-in-use",
        "edge-2: other-plan",
    ]);
    for process in [twin, other] {
        process.kill().unwrap();
    }
}

#[needs(x86_64v3)]
#[test]
fn probes_of_another_plan_are_told() {
    let starts = Described::new(["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"], false);
    let other = other_node();
    let nodes = [("hub", node()), ("a", node()), ("b", &other)];
    let mut probes = Vec::new();
    for (name, binary) in nodes {
        let mut command = binary.command("probe");
        command.args(["--listen", "127.0.0.1:0"]);
        probes.push(starts.start(command, name));
    }
    let at: Vec<String> = probes.iter().map(|(_, at)| at.to_string()).collect();
    let described = Described::new([&at[0], &at[1], &at[2]], false);
    described.said().found(&["b: other-plan"]);
}
