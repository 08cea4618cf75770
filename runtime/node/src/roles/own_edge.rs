//! The edge on the gateway's board (`gateway --workers N`): a process of this binary in its edge role. Its standard
//! input is a socket whose other end the gateway holds, so it ends with the gateway, however that ends.

use std::{
    ffi::OsString,
    io,
    net::{Shutdown, SocketAddr},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{args::Args, error::NodeError, this_binary::ThisBinary};
use tessera_plan::limits::GATEWAY_EDGE_ID;
use tessera_protocol::Micros;
use tessera_runtime::program::Program;

/// Most starts of the edge in one life of the gateway.
const STARTS_MAX: u32 = 5;
/// Time between an end of the edge and its next start.
const RESTART_AFTER_US: Micros = 1_000_000;
/// The time that the edge has to end when the gateway does.
const END_WITHIN: Duration = Duration::from_millis(900);

/// A running edge.
#[derive(Debug)]
struct Running {
    child: Child,
    /// The edge ends when this end is closed.
    socket: UnixStream,
}

/// The edge that computes on the gateway's board, and is started again when it ends too early.
#[derive(Debug)]
pub struct OwnEdge {
    binary: ThisBinary,
    arguments: Vec<OsString>,
    running: Option<Running>,
    starts: u32,
    /// When the edge is started again.
    again_at: Micros,
    /// Its line has not been asked for yet.
    is_new: bool,
}

/// The number of the edge on the board of a gateway with these flags.
pub fn own_id(a: &Args) -> u16 {
    if a.id == 0 { GATEWAY_EDGE_ID } else { a.id }
}

impl OwnEdge {
    /// Starts the edge of a gateway that listens at `at`; none without `--workers`. With `posts`, it makes frames of pictures
    /// that come by [`OwnEdge::next_line`].
    ///
    /// # Errors
    /// When other edges could not reach it, or no process can be started.
    pub fn start(
        program: &Program,
        a: &Args,
        at: SocketAddr,
        posts: bool,
    ) -> Result<Option<Self>, NodeError> {
        let Some(workers) = a.workers else {
            return Ok(None);
        };
        if at.ip().is_unspecified() {
            return Err(NodeError::Usage(format!(
                "--workers with --listen {at}: other edges fetch what this board computes, so give the address at \
                 which they reach it, as in --listen 192.168.1.10:{}",
                at.port()
            )));
        }
        let id = own_id(a);
        let mut arguments: Vec<OsString> = ["--program", program.name, "edge", "--socket", "0"]
            .map(OsString::from)
            .to_vec();
        let mut flag = |name: &str, value: OsString| arguments.extend([name.into(), value]);
        flag("--weights", a.weights.clone().into());
        flag("--gateway", at.to_string().into());
        flag("--listen", SocketAddr::new(at.ip(), 0).to_string().into());
        flag("--id", id.to_string().into());
        flag("--workers", workers.to_string().into());
        flag("--threads", a.worker_threads.to_string().into());
        flag(
            "--stuck-after",
            a.stuck_after.as_secs_f64().to_string().into(),
        );
        flag("--log", a.log.to_string().into());
        flag("--root", a.root.clone().into());
        if let Some(path) = &a.stats {
            flag("--stats", beside(path).into());
        }
        if let Some(path) = &a.trace {
            flag("--trace", beside(path).into());
        }
        if let Some(path) = &a.trace_when_asked {
            flag("--trace-when-asked", beside(path).into());
        }
        for (name, path) in [
            ("--config", &a.trust.config),
            ("--key", &a.trust.key),
            ("--secret", &a.trust.secret),
        ] {
            if let Some(path) = path {
                arguments.extend([name.into(), path.clone().into()]);
            }
        }
        if posts {
            arguments.push("--posts".into());
            if a.letterbox {
                arguments.push("--letterbox".into());
            }
        }
        if let Some(name) = &a.trust.name {
            arguments.extend(["--name".into(), name.into(), "--second-node".into()]);
        }
        let mut edge = Self {
            binary: ThisBinary::find(),
            arguments,
            running: None,
            starts: 0,
            again_at: 0,
            is_new: false,
        };
        let started = edge.begin();
        started.map_err(NodeError::io("cannot start the edge of this board"))?;
        Ok(Some(edge))
    }

    fn begin(&mut self) -> io::Result<()> {
        let (socket, theirs) = UnixStream::pair()?;
        self.starts += 1;
        let mut command = self.binary.command(&self.arguments);
        // Its events are its own: the gateway's standard output may hold records.
        let child = command
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .spawn()?;
        self.running = Some(Running { child, socket });
        self.is_new = true;
        Ok(())
    }

    /// The line to an edge that has been started, once for each start.
    #[cfg(feature = "service")]
    pub fn next_line(&mut self) -> Option<UnixStream> {
        let new = std::mem::take(&mut self.is_new);
        let running = self.running.as_ref().filter(|_| new)?;
        running.socket.try_clone().ok()
    }

    /// Asks the edge to begin or to end its trace.
    pub fn turn_trace(&self) {
        let pid = self.running.as_ref().map(|r| r.child.id());
        if let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGPROF);
        }
    }

    /// Starts an edge that has ended again, a moment later, a few times.
    pub fn look(&mut self, now: Micros) {
        if let Some(r) = &mut self.running
            && let Ok(Some(status)) = r.child.try_wait()
        {
            self.running = None;
            self.again_at = now + RESTART_AFTER_US;
            let more = if self.starts < STARTS_MAX {
                "it is started again"
            } else {
                "this board computes no more tasks"
            };
            tracing::warn!("the edge of the gateway's board ended: {status}; {more}");
        }
        let is_due = self.running.is_none() && now >= self.again_at;
        if is_due
            && self.starts < STARTS_MAX
            && let Err(e) = self.begin()
        {
            tracing::warn!("the edge of the gateway's board cannot be started: {e}");
            self.again_at = now + RESTART_AFTER_US;
        }
    }
}

impl Drop for OwnEdge {
    /// Ends the edge in good order, or kills it.
    fn drop(&mut self) {
        let Some(Running { mut child, socket }) = self.running.take() else {
            return;
        };
        // Whoever has the line, too, need not close it.
        let _ = socket.shutdown(Shutdown::Both);
        drop(socket);
        let until = Instant::now() + END_WITHIN;
        while matches!(child.try_wait(), Ok(None)) {
            if Instant::now() >= until {
                let _ = child.kill();
                let _ = child.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Where a file of the edge goes: beside the gateway's own.
fn beside(gateway: &Path) -> PathBuf {
    let mut path = gateway.as_os_str().to_owned();
    path.push(".edge");
    path.into()
}

/// Asks this process to end in good order when the other end of its standard input is closed: the gateway that started it is
/// gone. What comes there is left to others.
///
/// # Errors
/// When no thread can be started.
pub fn end_with_gateway() -> Result<(), NodeError> {
    let wait = || {
        let stdin = io::stdin();
        loop {
            // Nothing is asked for: what is always told is that the line is hung up.
            let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::empty())];
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(0) | Err(Errno::EINTR) => {}
                _ => break,
            }
        }
        let _ = kill(Pid::this(), Signal::SIGTERM);
    };
    let thread = std::thread::Builder::new().name("gateway".into());
    let started = thread.stack_size(64 << 10).spawn(wait);
    started.map_err(NodeError::io("cannot wait for the gateway"))?;
    Ok(())
}
