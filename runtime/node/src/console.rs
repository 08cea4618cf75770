//! Lines on standard output and standard error. Lines are optional to read, so they neither delay a node
//! nor end the node. A reader that stands still, a full disk or a closed terminal loses lines, nothing more.

use std::{
    io,
    os::fd::AsFd,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use nix::{
    errno::Errno,
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::write,
};

/// Most bytes of a write that a pipe takes without waiting, once it says that it can be written
/// (`PIPE_BUF`, pipe(7)).
const WRITE_MAX: usize = 4096;

/// The time that a line may wait for its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// No wait: the node has work to do.
    None,
    /// A short wait: the node is about to end.
    Brief,
    /// An unlimited wait: a person asked for exactly this line.
    Endless,
}

impl Patience {
    const BRIEF: Duration = Duration::from_millis(500);

    fn timeout(self) -> PollTimeout {
        match self {
            Self::None => PollTimeout::ZERO,
            Self::Brief => PollTimeout::try_from(Self::BRIEF).unwrap_or(PollTimeout::ZERO),
            Self::Endless => PollTimeout::NONE,
        }
    }
}

/// Writes `text` to standard output.
///
/// # Errors
/// When standard output did not take all of `text`.
pub fn out(text: &str, patience: Patience) -> io::Result<()> {
    say(std::io::stdout(), text.as_bytes(), patience)
}

/// Writes `text` to standard error, and drops the part that standard error does not take.
pub fn err(text: &str, patience: Patience) {
    let _ = say(std::io::stderr(), text.as_bytes(), patience);
}

fn say(to: impl AsFd, text: &[u8], patience: Patience) -> io::Result<()> {
    let mut left = text;
    while !left.is_empty() {
        let mut fds = [PollFd::new(to.as_fd(), PollFlags::POLLOUT)];
        match poll(&mut fds, patience.timeout()) {
            Ok(0) => return Err(io::ErrorKind::WouldBlock.into()),
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(e) => return Err(e.into()),
        }
        match write(&to, &left[..left.len().min(WRITE_MAX)]) {
            Ok(n) => left = &left[n..],
            Err(Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

/// Whether this process was started without standard output (`>&-`). The standard library puts
/// `/dev/null` in its place, where lines vanish that somebody may have wanted.
pub fn output_was_closed() -> bool {
    OUTPUT_WAS_CLOSED.load(Ordering::Relaxed)
}

static OUTPUT_WAS_CLOSED: AtomicBool = AtomicBool::new(false);

extern "C" fn look_at_output() {
    // SAFETY: asks for the flags of a descriptor, open or not (fcntl(2)); touches no memory.
    let flags = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) };
    OUTPUT_WAS_CLOSED.store(flags == -1, Ordering::Relaxed);
}

/// Called by the C library before anything of Rust runs.
// SAFETY: the section holds addresses of functions without arguments (glibc passes some, which such
// functions may ignore). This one calls fcntl(2) and stores a flag; it needs nothing of the standard
// library that `main` would have to set up.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK_AT_OUTPUT: extern "C" fn() = look_at_output;

#[cfg(test)]
mod tests {
    use std::{
        fs::{File, OpenOptions},
        io::Read,
        os::unix::net::UnixStream,
    };

    use super::*;

    #[test]
    fn a_reader_that_stands_still_loses_lines() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let line = [b'x'; 1 << 16];
        let mut lost = 0;
        while lost == 0 {
            lost += usize::from(say(&ours, &line, Patience::None).is_err());
        }
        assert!(say(&ours, b"more", Patience::Brief).is_err());
        theirs.set_nonblocking(true).unwrap();
        let mut all = Vec::new();
        let _ = theirs.read_to_end(&mut all);
        assert!(all.len() > WRITE_MAX);
        assert!(say(&ours, b"again", Patience::None).is_ok());
    }

    #[test]
    fn errors_are_given_back() {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let e = say(&full, b"line", Patience::Endless).unwrap_err();
        assert_eq!(e.raw_os_error(), Some(Errno::ENOSPC as i32));
        let unwritable = File::open("/dev/null").unwrap();
        assert!(say(&unwritable, b"line", Patience::None).is_err());
        assert!(!output_was_closed());
    }
}
