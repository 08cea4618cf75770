//! What a node tells the service manager that started it (systemd's `sd_notify(3)`): that it is ready, that its loop
//! turns, what it does, that it ends.
//!
//! The loop of the state machine itself sends the beats of the watchdog. A thread of its own would go on beating when the
//! loop stands. The protocol is one datagram of lines `NAME=VALUE`, to the socket that `$NOTIFY_SOCKET` names.

use std::{
    env,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
};

use tessera_protocol::Micros;

/// Time between two looks at what the node does.
const LOOK_US: Micros = 500_000;
/// So many beats in the time within which the manager wants one.
const BEATS: u64 = 3;

/// The way to the service manager, if one listens.
#[derive(Debug, Default)]
pub struct Notify {
    socket: Option<UnixDatagram>,
    /// Longest time between two beats; `None` if nobody counts them.
    beat_us: Option<Micros>,
    /// When the next beat or look is due.
    due: Micros,
    /// What was said last of the node.
    status: String,
    said_ready: bool,
}

impl Notify {
    /// The manager that the environment names. A node that another node started tells it nothing.
    pub fn of_environment(is_started_by_node: bool) -> Self {
        let text = |name: &str| env::var_os(name).filter(|v| !v.is_empty());
        let Some(name) = text("NOTIFY_SOCKET").filter(|_| !is_started_by_node) else {
            return Self::default();
        };
        let number = |name: &str| -> Option<u64> { text(name)?.to_str()?.parse().ok() };
        let is_for_me = number("WATCHDOG_PID").is_none_or(|p| p == u64::from(std::process::id()));
        let within = number("WATCHDOG_USEC").filter(|us| is_for_me && *us > 0);
        let socket = connected(name.as_bytes());
        if let Err(e) = &socket {
            tracing::warn!("cannot tell the service manager anything ({e})");
        }
        Self {
            socket: socket.ok(),
            beat_us: within.map(|us| (us / BEATS).max(1)),
            ..Self::default()
        }
    }

    /// Says that the node has started. Once.
    pub fn ready(&mut self) {
        if !self.said_ready {
            self.said_ready = true;
            self.send("READY=1");
        }
    }

    /// To be called in every turn of the node's loop: sends a beat if it is time, and what the node does if that has changed.
    pub fn turn(&mut self, now: Micros, status: impl FnOnce() -> String) {
        if self.socket.is_none() || now < self.due {
            return;
        }
        self.due = now + self.beat_us.map_or(LOOK_US, |us| us.min(LOOK_US));
        let mut lines = Vec::new();
        if self.beat_us.is_some() {
            lines.push("WATCHDOG=1".to_owned());
        }
        let status = status().replace('\n', " ");
        if status != self.status {
            lines.push(format!("STATUS={status}"));
            self.status = status;
        }
        if !lines.is_empty() {
            self.send(&lines.join("\n"));
        }
    }

    /// When to call [`Notify::turn`] at the latest.
    pub fn wake_at(&self) -> Micros {
        match &self.socket {
            Some(_) => self.due,
            None => Micros::MAX,
        }
    }

    /// Says that the node ends.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// Sends lines; a manager that does not read loses them.
    fn send(&self, lines: &str) {
        if let Some(socket) = &self.socket {
            let _ = socket.send(lines.as_bytes());
        }
    }
}

/// A socket that sends to `name`: a path, or `@` and an abstract name.
fn connected(name: &[u8]) -> std::io::Result<UnixDatagram> {
    let to = match name {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect_addr(&to)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A manager's end, and a node's that beats within `within`.
    fn pair(within: Option<Micros>) -> (UnixDatagram, Notify) {
        let (theirs, ours) = UnixDatagram::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        ours.set_nonblocking(true).unwrap();
        let notify = Notify {
            socket: Some(ours),
            beat_us: within.map(|us| us / BEATS),
            ..Notify::default()
        };
        (theirs, notify)
    }

    fn heard(manager: &UnixDatagram) -> Vec<String> {
        let mut buffer = [0; 256];
        let next = || manager.recv(&mut buffer).ok().map(|n| buffer[..n].to_vec());
        let all = std::iter::from_fn(next);
        all.map(|b| String::from_utf8(b).unwrap()).collect()
    }

    #[test]
    fn beats_come_from_turns_alone_and_a_status_when_it_changes() {
        let (manager, mut notify) = pair(Some(900_000));
        notify.ready();
        notify.ready();
        assert_eq!(heard(&manager), ["READY=1"]);
        notify.turn(0, || "waits\nfor the gateway".into());
        assert_eq!(
            heard(&manager),
            ["WATCHDOG=1\nSTATUS=waits for the gateway"]
        );
        assert_eq!(notify.wake_at(), 300_000);
        notify.turn(299_999, || unreachable!("nothing is due"));
        assert!(heard(&manager).is_empty());
        notify.turn(400_000, || "waits for the gateway".into());
        assert_eq!(heard(&manager), ["WATCHDOG=1"]);
        assert_eq!(notify.wake_at(), 700_000);
        notify.stopping();
        assert_eq!(heard(&manager), ["STOPPING=1"]);
    }

    #[test]
    fn without_a_watchdog_only_changes_are_told() {
        let (manager, mut notify) = pair(None);
        notify.turn(7, || "joined".into());
        assert_eq!(notify.wake_at(), 7 + LOOK_US);
        notify.turn(7 + LOOK_US, || "joined".into());
        assert_eq!(heard(&manager), ["STATUS=joined"]);
    }

    #[test]
    fn without_a_manager_nothing_wakes_the_loop() {
        let mut notify = Notify::default();
        notify.ready();
        notify.turn(0, || unreachable!("nobody listens"));
        assert_eq!(notify.wake_at(), Micros::MAX);
    }

    #[test]
    fn a_manager_that_does_not_read_holds_nobody_up() {
        let (_manager, mut notify) = pair(Some(3));
        for now in 0..20_000 {
            notify.turn(now, || format!("turn {now}"));
        }
    }

    #[test]
    fn names_are_paths_or_abstract() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        connected(path.as_os_str().as_bytes())
            .unwrap()
            .send(b"READY=1")
            .unwrap();
        manager.set_nonblocking(true).unwrap();
        assert_eq!(heard(&manager), ["READY=1"]);
        let name = format!("tessera-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        connected(format!("@{name}").as_bytes())
            .unwrap()
            .send(b"READY=1")
            .unwrap();
        manager.set_nonblocking(true).unwrap();
        assert_eq!(heard(&manager), ["READY=1"]);
        assert!(connected(b"/none/of/this").is_err());
    }
}
