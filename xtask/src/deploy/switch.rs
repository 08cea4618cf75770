//! From one version to another: sources take no more frames and end those under way, then all boards are switched. So every
//! frame is computed by nodes of one version, from its beginning to its record.

use anyhow::Result;

use super::{
    places::{HOME, UNIT, UNIT_FILE},
    remote::Remote,
};

/// Half seconds that frames under way have to end.
const DRAIN_LOOKS: u32 = 240;
/// Half seconds that nodes have to join.
const JOIN_LOOKS: u32 = 120;

/// A function of the scripts: a property of the unit.
pub fn unit() -> String {
    format!("unit() {{ systemctl show -p \"$1\" --value {UNIT}; }}\n")
}

/// Lets a source take no more frames, and waits until those under way have their records. Returns `None` then, or what it
/// still does when the time is over.
///
/// # Errors
/// When the board cannot be reached.
pub fn drain(remote: &Remote) -> Result<Option<String>> {
    let script = unit()
        + &format!(
            "pid=$(unit MainPID)\n[ \"${{pid:-0}}\" -gt 0 ] || {{ echo drained; exit 0; }}\nkill -USR2 \"$pid\"\nn=0\n\
             while [ $n -lt {DRAIN_LOOKS} ]; do\n    s=$(unit StatusText)\n    case $s in drained*) break ;; esac\n\
             \x20   kill -0 \"$pid\" 2>/dev/null || {{ s='its node has ended meanwhile'; break; }}\n    sleep 0.5\n    n=$((n + 1))\ndone\necho \"$s\"\n"
        );
    let said = remote.run(&script)?;
    let said = said.trim();
    Ok((!said.starts_with("drained")).then(|| said.to_owned()))
}

/// Makes `id` the current version, and the current one the previous, and starts the node anew. Waits until it says that it has
/// started.
///
/// # Errors
/// When the board cannot be reached, or the node does not start: with its last lines.
pub fn switch(remote: &Remote, id: &str) -> Result<()> {
    let script = format!(
        "set -eu\ncd {HOME}\nlink() {{ ln -sfn \"$1\" \"$2.new\"; mv -T \"$2.new\" \"$2\"; }}\n\
         now=$(readlink current || true)\n\
         if [ \"$now\" != versions/{id} ]; then\n    [ -z \"$now\" ] || link \"$now\" previous\n    link versions/{id} current\nfi\n\
         cp current/tessera.service {UNIT_FILE}.new\nchmod 644 {UNIT_FILE}.new\nmv {UNIT_FILE}.new {UNIT_FILE}\n\
         systemctl daemon-reload\nsystemctl enable --quiet {UNIT}\n\
         systemctl restart {UNIT} || {{ journalctl -u {UNIT} -n 5 --no-pager -o cat >&2 2>/dev/null || true; exit 1; }}\n"
    );
    remote.run(&script).map(|_| ())
}

/// Waits until the node says that it takes part; returns what it says of itself in the end. Of a gateway: until it says so of
/// all edges in `numbers`.
///
/// # Errors
/// When the board cannot be reached.
pub fn join(remote: &Remote, numbers: Option<&[u16]>) -> Result<Joined> {
    let done = match numbers {
        None => "case $s in joined*) true ;; *) false ;; esac".to_owned(),
        Some(numbers) => {
            let numbers: Vec<String> = numbers.iter().map(u16::to_string).collect();
            let list = numbers.join(" ");
            format!("for k in {list}; do case \" $s \" in *\" $k \"*) ;; *) return 1 ;; esac; done")
        }
    };
    let script = unit()
        + &format!(
            "there() {{ [ -n \"$s\" ] || return 1; {done}; }}\nn=0\nwhile [ $n -lt {JOIN_LOOKS} ]; do\n    s=$(unit StatusText)\n    if there; then break; fi\n    \
             sleep 0.5\n    n=$((n + 1))\ndone\nprintf '%s\\t%s\\n' \"$(unit ActiveState)\" \"$s\"\n\
             [ $n -lt {JOIN_LOOKS} ] || journalctl -u {UNIT} -n 5 --no-pager -o cat 2>/dev/null || true\n"
        );
    let said = remote.run(&script)?;
    let (first, log) = said.split_once('\n').unwrap_or((&said, ""));
    let (active, status) = first.split_once('\t').unwrap_or((first, ""));
    let takes_part = match numbers {
        None => status.starts_with("joined"),
        Some(numbers) => has_all(status, numbers),
    };
    Ok(Joined {
        takes_part: takes_part && active == "active",
        state: match status {
            "" => active.to_owned(),
            status => status.to_owned(),
        },
        log: log.trim().to_owned(),
    })
}

/// A node after its start.
#[derive(Clone, Debug)]
pub struct Joined {
    /// It does what it is for.
    pub takes_part: bool,
    /// What it says of itself.
    pub state: String,
    /// Its last lines, where it does not.
    pub log: String,
}

/// True if a gateway's words name all these edges.
fn has_all(status: &str, numbers: &[u16]) -> bool {
    let named: Vec<&str> = status.split_whitespace().collect();
    numbers
        .iter()
        .all(|n| named.contains(&n.to_string().as_str()))
}

/// Removes versions but the current one and the one before.
///
/// # Errors
/// When the board cannot be reached.
pub fn prune(remote: &Remote) -> Result<()> {
    let script = format!(
        "cd {HOME} || exit 0\ncurrent=$(readlink current || true)\nprevious=$(readlink previous || true)\n\
         for v in versions/*; do\n    [ \"$v\" = \"$current\" ] || [ \"$v\" = \"$previous\" ] || rm -rf \"$v\"\ndone\n"
    );
    remote.run(&script).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_names_its_edges() {
        assert!(has_all("edges take part: 1 2 11", &[1, 11]));
        assert!(!has_all("edges take part: 1 2 11", &[3]));
        assert!(!has_all("no edge takes part yet", &[1]));
        assert!(has_all("no edge takes part yet", &[]));
    }
}
