//! Boards as network namespaces at one switch: `op` the operator's machine, then boards 1, 2, ..

use std::{
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

/// The boards. All goes with the value.
pub struct Net {
    prefix: String,
    names: Vec<String>,
}

fn ip(words: &str) {
    let out = Command::new("ip").args(words.split(' ')).output().unwrap();
    assert!(out.status.success(), "ip {words}: {out:?}");
}

impl Net {
    /// A switch with the operator's machine at 10.91.0.1 and so many boards, from 10.91.0.11 on.
    pub fn new(boards: usize) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("tessera-{}-{number}-", std::process::id());
        let mut net = Self {
            prefix,
            names: Vec::new(),
        };
        let switch = net.add("sw");
        ip(&format!("-n {switch} link add br0 type bridge"));
        ip(&format!("-n {switch} link set br0 up"));
        let all = std::iter::once("op".to_owned()).chain((1..=boards).map(|k| k.to_string()));
        for (k, name) in all.enumerate() {
            let board = net.add(&name);
            ip(&format!(
                "-n {switch} link add p{k} type veth peer name eth0 netns {board}"
            ));
            ip(&format!("-n {switch} link set p{k} master br0 up"));
            ip(&format!("-n {board} link set lo up"));
            ip(&format!("-n {board} addr add {}/24 dev eth0", address(k)));
            ip(&format!("-n {board} link set eth0 up"));
        }
        net
    }

    fn add(&mut self, name: &str) -> String {
        let name = format!("{}{name}", self.prefix);
        ip(&format!("netns add {name}"));
        self.names.push(name.clone());
        name
    }

    /// Runs `ip` on a board.
    pub fn ip(&self, board: &str, words: &str) {
        ip(&format!("-n {}{board} {words}", self.prefix));
    }

    /// A command on a board, with what it has as interfaces.
    pub fn on(&self, board: &str, command: &Command) -> Command {
        let mut inside = Command::new("ip");
        inside
            .args(["netns", "exec"])
            .arg(format!("{}{board}", self.prefix));
        inside.arg(command.get_program()).args(command.get_args());
        inside
    }

    /// Swallows whatever comes to the board over IP, as a firewall does; the board still tells its hardware address.
    pub fn swallow(&self, board: &str) {
        let tc = |words: &str| {
            let mut command = Command::new("tc");
            command.args(words.split(' '));
            let out = self.on(board, &command).output().unwrap();
            assert!(out.status.success(), "tc {words}: {out:?}");
        };
        // It stays down: what is sent there is gone.
        self.ip(board, "link add hole type ifb");
        tc("qdisc add dev eth0 handle ffff: ingress");
        tc(
            "filter add dev eth0 parent ffff: protocol ip u32 match u32 0 0 action mirred egress redirect dev hole",
        );
    }
}

/// The address of a board; 0 is the operator's machine.
pub fn address(board: usize) -> String {
    match board {
        0 => "10.91.0.1".into(),
        k => format!("10.91.0.{}", 10 + k),
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = Command::new("ip").args(["netns", "del", name]).output();
        }
    }
}
