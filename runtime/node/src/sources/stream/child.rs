//! A running ffmpeg, and the command that feeds it.

use std::{
    ffi::OsString,
    io::{self, ErrorKind, Read, Write},
    os::{fd::AsFd, unix::process::CommandExt},
    process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        prctl,
        signal::{SigSet, Signal},
    },
};

use super::{
    ffmpeg::{Fed, Line},
    said::Said,
};
use tessera_plan::files::sources::StreamUrl;

/// Bytes that a pipe of frames may hold: so many that a decoder need not wait for every few rows.
const PIPE_BYTES: i32 = 1 << 20;
/// Longest wait for the system in one call, in milliseconds.
const POLL_MS: u16 = 60_000;
/// Stack of a thread that reads lines.
const STACK_BYTES: usize = 128 << 10;

/// What a wait for a frame ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrived {
    /// A whole frame.
    Frame,
    /// The end; what was there of a frame is void.
    End,
    /// Nothing in time.
    Nothing,
}

/// A program that cannot be started.
#[derive(Debug)]
pub struct NotStarted {
    /// The program.
    pub program: String,
    /// The system's error.
    pub cause: io::Error,
}

/// A process that ends when this value is dropped.
#[derive(Debug)]
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // There is nothing that it should write or say before its end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The processes of a stream. They end when this value is dropped, or with the thread that started them.
#[derive(Debug)]
pub struct Running {
    ffmpeg: Process,
    _feeder: Option<Process>,
    frames: ChildStdout,
    said: Arc<Said>,
}

impl Running {
    /// Starts the processes of `line`. What `secret` says is shown to nobody.
    ///
    /// # Errors
    /// When a program is missing or cannot be started.
    pub fn start(line: &Line, secret: Option<&StreamUrl>) -> Result<Self, NotStarted> {
        let feeds = matches!(line.fed, Fed::Command(_));
        let said = Arc::new(Said::by(1 + usize::from(feeds)));
        let mut feeder = None;
        let input = match &line.fed {
            Fed::Nothing => Stdio::null(),
            Fed::Text(_) => Stdio::piped(),
            Fed::Inherited => Stdio::inherit(),
            Fed::Command(words) => {
                let mut process = spawn(words, Stdio::null(), &said, secret)?;
                let out = process.0.stdout.take();
                feeder = Some(process);
                out.map_or_else(Stdio::null, Stdio::from)
            }
        };
        let mut ffmpeg = spawn(&line.words, input, &said, secret)?;
        if let (Fed::Text(text), Some(mut to)) = (&line.fed, ffmpeg.0.stdin.take()) {
            // Far less than a pipe holds. ffmpeg may be gone already; its end says why.
            let _ = to.write_all(text.as_bytes());
        }
        let frames = ffmpeg.0.stdout.take().ok_or_else(|| NotStarted {
            program: "ffmpeg".into(),
            cause: io::Error::other("it has no output"),
        })?;
        // A smaller pipe does too.
        let _ = fcntl(frames.as_fd(), FcntlArg::F_SETPIPE_SZ(PIPE_BYTES));
        Ok(Self {
            ffmpeg,
            _feeder: feeder,
            frames,
            said,
        })
    }

    /// Reads the next frame, for at most `patience`.
    pub fn frame(&mut self, into: &mut [u8], patience: Option<Duration>) -> Arrived {
        let until = patience.map(|p| Instant::now() + p);
        let mut there = 0;
        while there < into.len() {
            let left = until.map(|u| u.saturating_duration_since(Instant::now()));
            if left.is_some_and(|l| l.is_zero()) {
                return Arrived::Nothing;
            }
            let wait = left.map_or(u128::from(POLL_MS), |l| l.as_millis() + 1);
            let wait = u16::try_from(wait).unwrap_or(POLL_MS).min(POLL_MS);
            let mut fds = [PollFd::new(self.frames.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, PollTimeout::from(wait)) {
                Ok(0) | Err(Errno::EINTR) => continue,
                Ok(_) => {}
                Err(_) => return Arrived::End,
            }
            match self.frames.read(&mut into[there..]) {
                Ok(0) => return Arrived::End,
                Ok(n) => there += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Arrived::End,
            }
        }
        Arrived::Frame
    }

    /// Width and height of the pictures before they are scaled.
    pub fn size(&self) -> Option<(u32, u32)> {
        self.said.size()
    }

    /// How ffmpeg ended and what was said, after [`Arrived::End`]. One that does not end is ended.
    pub fn ended(mut self) -> (Option<ExitStatus>, Vec<String>) {
        let begun = Instant::now();
        let mut status = None;
        while status.is_none() && begun.elapsed() < Duration::from_secs(2) {
            status = self.ffmpeg.0.try_wait().ok().flatten();
            if status.is_none() {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        let said = Arc::clone(&self.said);
        drop(self);
        (status, said.complaints())
    }
}

/// Starts a process that ends with this thread, and a thread that reads what it says.
fn spawn(
    words: &[OsString],
    input: Stdio,
    said: &Arc<Said>,
    secret: Option<&StreamUrl>,
) -> Result<Process, NotStarted> {
    let (program, arguments) = words.split_first().ok_or_else(|| NotStarted {
        program: String::new(),
        cause: ErrorKind::InvalidInput.into(),
    })?;
    let failed = |cause| NotStarted {
        program: program.to_string_lossy().into_owned(),
        cause,
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let prepare = || {
        // The node blocks signals that this process is to obey.
        SigSet::empty().thread_set_mask()?;
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        Ok(())
    };
    // SAFETY: between fork and exec, only two system calls are made, which take no lock and no memory.
    unsafe { command.pre_exec(prepare) };
    let mut process = Process(command.spawn().map_err(failed)?);
    if let Some(text) = process.0.stderr.take() {
        listen(text, said, secret.cloned()).map_err(failed)?;
    }
    Ok(process)
}

fn listen(text: ChildStderr, said: &Arc<Said>, secret: Option<StreamUrl>) -> io::Result<()> {
    let said = Arc::clone(said);
    std::thread::Builder::new()
        .name("ffmpeg".into())
        .stack_size(STACK_BYTES)
        .spawn(move || said.read(text, secret.as_ref()))?;
    Ok(())
}
