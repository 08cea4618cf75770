//! Files that receive results.

use std::{
    fs::{File, Metadata, Permissions},
    io::{self, ErrorKind, Write},
    os::{
        fd::AsFd,
        unix::fs::{OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    errno::Errno,
    fcntl::OFlag,
    poll::{PollFd, PollFlags, poll},
};

use super::{folder, kind};

/// How long a pipe's reader may take for what a pipe holds.
const READER: Duration = Duration::from_secs(10);
/// Between two looks at a full pipe.
const LOOK_MS: u16 = 100;
/// Most links that are followed to a file that is still to be made.
const LINKS_MAX: usize = 40;

/// A file that will receive results.
#[derive(Debug)]
pub struct Output {
    flag: &'static str,
    path: PathBuf,
    place: Place,
}

/// How results get there.
#[derive(Debug)]
enum Place {
    /// By a new file that takes the place of what this path names: nothing is lost if writing fails.
    Renamed(PathBuf),
    /// Into what is there: a device, a pipe, a file in a folder that takes no new ones. Opened once: a pipe's reader
    /// would take a first closing for the end.
    Opened(File),
}

impl Output {
    /// Looks at the file that `flag` names, before any work is done for it. Makes its folder; leaves what is there as
    /// it is.
    ///
    /// # Errors
    /// When nothing can be written there.
    pub fn check(flag: &'static str, path: &Path) -> Result<Self> {
        let named = || format!("{flag} {}", path.display());
        let place = match std::fs::metadata(path) {
            Ok(meta) if meta.is_dir() => bail!("{} is a folder; name a file", named()),
            Ok(meta) => {
                let opened = open(path).map_err(|e| unread(e, &meta));
                let opened = opened.with_context(|| {
                    format!("{}: cannot write {}", named(), kind(meta.file_type()))
                })?;
                existing(path, &meta, opened)?
            }
            Err(e) if e.kind() == ErrorKind::NotFound => {
                let target = behind_links(path).with_context(named)?;
                let above = above(&target);
                std::fs::create_dir_all(above)
                    .with_context(|| format!("{}: cannot make {}", named(), above.display()))?;
                folder::writable(flag, path, above)?;
                Place::Renamed(target)
            }
            Err(e) => return Err(e).with_context(named),
        };
        Ok(Self {
            flag,
            path: path.into(),
            place,
        })
    }

    /// As it was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the whole file.
    ///
    /// # Errors
    /// When it cannot be written: a file that was there before is as it was. A pipe whose reader takes nothing for ten
    /// seconds is given up.
    pub fn write(&self, bytes: &[u8]) -> Result<()> {
        let written = match &self.place {
            Place::Renamed(target) => replace(target, bytes),
            Place::Opened(file) => patiently(file, bytes),
        };
        written.with_context(|| format!("{}: cannot write {}", self.flag, self.path.display()))
    }
}

/// Opens what is there for writing, and does not wait for a pipe's reader.
fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).custom_flags(OFlag::O_NONBLOCK.bits());
    options.open(path)
}

/// A pipe that nobody reads, and a socket, are no device that does not exist, as the system has it.
fn unread(e: io::Error, meta: &Metadata) -> io::Error {
    if e.raw_os_error() != Some(Errno::ENXIO as i32) {
        return e;
    }
    io::Error::other(match kind(meta.file_type()) {
        "a pipe" => "nobody reads it",
        _ => "only a file, a pipe or a device can be written",
    })
}

/// How something is written that is there.
fn existing(path: &Path, meta: &Metadata, opened: File) -> Result<Place> {
    // What standard output leads to stays the file that the shell opened.
    let ours = path.starts_with("/dev") || path.starts_with("/proc");
    if !meta.is_file() || ours {
        return Ok(Place::Opened(opened));
    }
    let target = path.canonicalize()?;
    let renamed = tempfile::tempfile_in(above(&target)).is_ok();
    Ok(if renamed {
        Place::Renamed(target)
    } else {
        Place::Opened(opened)
    })
}

/// The folder that a file lies in.
fn above(path: &Path) -> &Path {
    let above = path.parent().filter(|p| !p.as_os_str().is_empty());
    above.unwrap_or(Path::new("."))
}

/// The path that links from `path` end at, where nothing is.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..LINKS_MAX {
        match std::fs::read_link(&path) {
            Ok(to) => path = path.parent().unwrap_or(Path::new("")).join(to),
            Err(_) => return Ok(path),
        }
    }
    Err(Errno::ELOOP.into())
}

/// Puts a new file with `bytes` in the place of `target`, with the same permissions.
fn replace(target: &Path, bytes: &[u8]) -> io::Result<()> {
    // As the standard library makes files, less what the user's mask takes away.
    let mut part = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(above(target))?;
    part.write_all(bytes)?;
    if let Ok(old) = std::fs::metadata(target) {
        part.as_file().set_permissions(old.permissions())?;
    }
    match part.persist(target) {
        Err(e) if e.error.raw_os_error() == Some(Errno::EBUSY as i32) => {
            // A mount of its own, as containers have: it keeps its place.
            open(target).and_then(|file| patiently(&file, bytes))
        }
        persisted => persisted.map(drop).map_err(|e| e.error),
    }
}

/// Writes to what may be full for a while; a file keeps nothing else.
fn patiently(mut file: &File, mut bytes: &[u8]) -> io::Result<()> {
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    let mut last = Instant::now();
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(n) => {
                bytes = &bytes[n..];
                last = Instant::now();
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock && last.elapsed() < READER => {
                let mut fds = [PollFd::new(file.as_fd(), PollFlags::POLLOUT)];
                let _ = poll(&mut fds, LOOK_MS);
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                return Err(io::Error::other("its reader takes nothing"));
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
