//! The systemd unit of a packaged node: one for all boards. Its name, role and flags come from files of the board.

use crate::deploy::unit::{CAMERAS, HARDENING, RUNNING};

/// The name of the unit, and of its file: another one than that of deployed nodes, which does not run beside it.
pub const UNIT: &str = "tessera-node.service";

/// The text of the unit's file, for a node in `program` with its weights in `share`.
pub fn text(program: &str, share: &str) -> String {
    format!(
        "[Unit]\n\
         Description=Tessera node\n\
         Documentation=man:tessera-node(1)\n\
         Wants=network-online.target\n\
         After=network-online.target\n\
         Conflicts=tessera.service\n\
         # Nothing is started before the board belongs to a cluster.\n\
         ConditionPathExists=/etc/tessera/cluster.toml\n\
         ConditionPathExists=/etc/tessera/cluster.secret\n\
         ConditionPathExists=/etc/tessera/node.key\n\
         StartLimitIntervalSec=0\n\
         \n\
         [Service]\n\
         Type=notify\n\
         # Later files win: what the plan says of the board that is called as this one, then what its people say.\n\
         Environment=TESSERA_NAME=%H TESSERA_ROLE=edge TESSERA_PLANNED= TESSERA_FLAGS=\n\
         EnvironmentFile=-{share}/boards/%H.env\n\
         EnvironmentFile=-/etc/default/tessera-node\n\
         ExecStart={program} $TESSERA_ROLE --config ${{CREDENTIALS_DIRECTORY}}/cluster.toml --name ${{TESSERA_NAME}} \
         --weights {share}/weights.bin --records ${{STATE_DIRECTORY}}/records.jsonl --rotate 64 $TESSERA_PLANNED $TESSERA_FLAGS\n\
         LoadCredential=cluster.toml:/etc/tessera/cluster.toml\n\
         LoadCredential=cluster.secret:/etc/tessera/cluster.secret\n\
         LoadCredential=node.key:/etc/tessera/node.key\n\
         {RUNNING}{CAMERAS}{HARDENING}\n\
         [Install]\n\
         WantedBy=multi-user.target\n"
    )
}

/// What `/etc/default/tessera-node` says until somebody changes it.
pub const DEFAULT: &str = "\
# What systemd hands to this board's node. `systemctl restart tessera-node` after a change.
#
# The board's name in /etc/tessera/cluster.toml, if its host name is another:
#TESSERA_NAME=porch
# What it does, if the package does not know: gateway or edge.
#TESSERA_ROLE=gateway
# Flags besides (man tessera-node): all cores of an edge, a broker for a gateway.
#TESSERA_FLAGS=--workers 4
#TESSERA_FLAGS=--threads 4 --mqtt 192.168.1.5
";

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// systemd's own reading of the unit, where it is installed.
    #[test]
    fn systemd_understands_the_unit() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(UNIT);
        std::fs::write(&file, text("/bin/true", "/usr/share/tessera")).unwrap();
        let Ok(out) = Command::new("systemd-analyze")
            // The manual page is not on this machine.
            .args(["verify", "--man=no"])
            .arg(&file)
            .output()
        else {
            return;
        };
        let said = String::from_utf8_lossy(&out.stderr);
        let ours: Vec<&str> = said.lines().filter(|l| l.contains(UNIT)).collect();
        assert!(ours.is_empty(), "{ours:?}");
    }
}
