//! The systemd unit of a node: started when the board is, watched by its own loop, without rights that it does not need.

use std::fmt::Write as _;

use super::places::{HOME, MARK, OWN_KEY, RECORDS, SECRET, TRACE};

/// How a node is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// The gateway.
    Gateway {
        /// Threads of the tail.
        threads: usize,
        /// Workers of the edge on its board, and threads of each; none without that edge.
        edge: Option<(usize, usize)>,
    },
    /// An edge.
    Edge {
        /// Its workers.
        workers: usize,
        /// Threads of each.
        threads: usize,
        /// It brings frames.
        source: bool,
    },
}

/// What a unit depends on.
#[derive(Clone, Debug)]
pub struct Unit<'a> {
    /// The board's name in the cluster file.
    pub board: &'a str,
    /// How its node is started.
    pub start: Start,
    /// The board's private key was made there.
    pub key_is_there: bool,
    /// The file of the word for HTTP clients, if there is one.
    pub token: Option<&'a str>,
}

/// Most memory of one file of records, in MiB; ten of them are kept.
const ROTATE_MIB: u32 = 64;

/// How it is watched, and what it may take. A node that reads much from a slow card is not late; one whose loop stands for so
/// long is.
pub const RUNNING: &str = "\
TimeoutStartSec=300
TimeoutStopSec=10
WatchdogSec=20
Restart=always
RestartSec=2
DynamicUser=yes
StateDirectory=tessera
StateDirectoryMode=0700
LimitMEMLOCK=infinity
LimitNOFILE=4096
OOMScoreAdjust=-200
";

/// Rights that no node needs. `@resources` must stay: nodes choose their cores. `/proc` must stay whole: nodes read what the
/// board's memory is.
pub const HARDENING: &str = "\
ProtectSystem=strict
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
NoNewPrivileges=yes
PrivateTmp=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
CapabilityBoundingSet=
AmbientCapabilities=
UMask=0077
";

/// Boards without cameras have no devices.
const NO_DEVICES: &str = "PrivateDevices=yes\nProtectHome=yes\n";
/// Sources read cameras, and files of people where these let everybody read them.
pub const CAMERAS: &str = "\
DevicePolicy=closed
DeviceAllow=char-video4linux rw
DeviceAllow=char-media rw
DeviceAllow=char-dma_heap rw
SupplementaryGroups=video
ProtectHome=read-only
";

impl Start {
    /// The role, as it is named on a node's command line.
    pub fn role(&self) -> &'static str {
        match self {
            Self::Gateway { .. } => "gateway",
            Self::Edge { .. } => "edge",
        }
    }

    /// The flags that say which cores work.
    pub fn cores(&self) -> String {
        match self {
            Self::Gateway { threads, edge } => {
                let edge = edge.map_or_else(String::new, |(workers, threads)| {
                    format!(" --workers {workers} --worker-threads {threads}")
                });
                format!("--threads {threads}{edge}")
            }
            Self::Edge {
                workers, threads, ..
            } => format!("--workers {workers} --threads {threads}"),
        }
    }
}

impl Unit<'_> {
    /// The text of the unit's file.
    pub fn text(&self) -> String {
        let name = self.board;
        let role = self.start.role();
        let mut s = format!(
            "{MARK}\n[Unit]\nDescription=Tessera {role} {name}\nWants=network-online.target\nAfter=network-online.target\n\
             StartLimitIntervalSec=0\n\n[Service]\nType=notify\n"
        );
        let _ = writeln!(s, "WorkingDirectory={HOME}/current");
        s += "Environment=TESSERA_FLAGS=\nEnvironmentFile=-/etc/default/tessera\n";
        let _ = writeln!(
            s,
            "ExecStart={HOME}/current/node {role} --config ${{CREDENTIALS_DIRECTORY}}/cluster.toml --name {name} \
             --weights {HOME}/current/weights.bin --trace-when-asked ${{STATE_DIRECTORY}}/{TRACE}{} $TESSERA_FLAGS",
            self.flags()
        );
        let mut credential = |name: &str, from: &str| {
            let _ = writeln!(s, "LoadCredential={name}:{from}");
        };
        let kept = |name: &str| format!("{HOME}/current/{SECRET}/{name}");
        credential("cluster.toml", &kept("cluster.toml"));
        credential("cluster.secret", &kept("cluster.secret"));
        match self.key_is_there {
            true => credential("node.key", OWN_KEY),
            false => credential("node.key", &kept("node.key")),
        }
        if let Some(token) = self.token {
            credential(token, &kept(token));
        }
        s += RUNNING;
        s += match self.start {
            Start::Edge { source: true, .. } => CAMERAS,
            _ => NO_DEVICES,
        };
        s += HARDENING;
        s += "\n[Install]\nWantedBy=multi-user.target\n";
        s
    }

    fn flags(&self) -> String {
        match self.start {
            Start::Gateway { .. } => format!(
                " {} --records ${{STATE_DIRECTORY}}/{RECORDS} --rotate {ROTATE_MIB}",
                self.start.cores()
            ),
            Start::Edge { .. } => format!(" {}", self.start.cores()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn units() -> [Unit<'static>; 3] {
        let edge = |source| Start::Edge {
            workers: 3,
            threads: 1,
            source,
        };
        let unit = |board, start| Unit {
            board,
            start,
            key_is_there: false,
            token: None,
        };
        let gateway = Start::Gateway {
            threads: 4,
            edge: Some((1, 4)),
        };
        [
            Unit {
                token: Some("http.token"),
                ..unit("hub", gateway)
            },
            unit("porch", edge(true)),
            Unit {
                key_is_there: true,
                ..unit("shed", edge(false))
            },
        ]
    }

    #[test]
    fn nodes_get_what_they_are_to_have() {
        let [hub, porch, shed] = units().map(|u| u.text());
        for (text, lines) in [
            (
                &hub,
                [
                    "gateway --config",
                    "--workers 1 --worker-threads 4",
                    "LoadCredential=http.token:",
                ],
            ),
            (
                &porch,
                [
                    "edge --config",
                    "--workers 3 --threads 1",
                    "SupplementaryGroups=video",
                ],
            ),
            (
                &shed,
                [
                    "--name shed",
                    "PrivateDevices=yes",
                    "LoadCredential=node.key:/etc/tessera/node.key",
                ],
            ),
        ] {
            for line in lines {
                assert!(text.contains(line), "{line}: {text}");
            }
            assert!(text.starts_with(MARK));
        }
        assert!(!porch.contains("PrivateDevices") && !shed.contains("--records"));
    }

    /// systemd's own reading of the units, where it is installed: every key is known and every value is one.
    #[test]
    fn systemd_understands_the_units() {
        let version = Command::new("systemd-analyze").arg("--version").output();
        let Ok(version) = version else {
            return;
        };
        let text = String::from_utf8_lossy(&version.stdout).into_owned();
        let number = text.split_whitespace().nth(1).and_then(|n| n.parse().ok());
        let number: u32 = number.unwrap_or(0);
        for unit in units() {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("tessera.service");
            // The node is not on this machine.
            let text = unit
                .text()
                .replace("ExecStart=/opt/tessera/current/node", "ExecStart=/bin/true");
            std::fs::write(&file, text).unwrap();
            let out = Command::new("systemd-analyze")
                .arg("verify")
                .arg(&file)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&out.stderr);
            let ours: Vec<&str> = said
                .lines()
                .filter(|l| l.contains("tessera.service"))
                .collect();
            assert!(ours.is_empty(), "{ours:?}");
            if number < 250 {
                continue; // it cannot weigh files
            }
            let out = Command::new("systemd-analyze")
                .args(["security", "--offline=true", "--no-pager", "--threshold=25"])
                .arg(&file)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&out.stdout);
            let verdict = said.lines().last().unwrap_or_default();
            assert!(out.status.success(), "{}: {verdict}", unit.board);
        }
    }
}
