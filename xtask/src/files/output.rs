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

/// Time that a pipe's reader has to read the contents of a full pipe.
const READER: Duration = Duration::from_secs(10);
/// Milliseconds between two looks at a full pipe.
const LOOK_MS: u16 = 100;
/// Most symbolic links that the command follows to a file that does not exist yet.
const LINKS_MAX: usize = 40;

/// A file that will receive results.
#[derive(Debug)]
pub struct Output {
    flag: &'static str,
    path: PathBuf,
    place: Place,
}

/// The way in which results reach an output.
#[derive(Debug)]
enum Place {
    /// Through a new file that replaces the file at this path: if writing fails, the old file stays.
    Renamed(PathBuf),
    /// Into an existing device or pipe, or a file in a folder that takes no new files. The command opens the output
    /// only once: a pipe's reader would take a first closing for the end.
    Opened(File),
}

impl Output {
    /// Checks the file that `flag` names, before any work for the file. Makes the file's folder; leaves an existing
    /// file as it is.
    ///
    /// # Errors
    /// When the file cannot be written.
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

    /// The path as the flag named it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the whole file.
    ///
    /// # Errors
    /// When the file cannot be written; an old regular file stays as it was. Also when a pipe's reader takes nothing
    /// for ten seconds.
    pub fn write(&self, bytes: &[u8]) -> Result<()> {
        let written = match &self.place {
            Place::Renamed(target) => replace(target, bytes),
            Place::Opened(file) => patiently(file, bytes),
        };
        written.with_context(|| format!("{}: cannot write {}", self.flag, self.path.display()))
    }
}

/// Opens an existing file for writing, without waiting for a pipe's reader.
fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).custom_flags(OFlag::O_NONBLOCK.bits());
    options.open(path)
}

/// Rewords the system's error for a pipe without a reader and for a socket ("no such device").
fn unread(e: io::Error, meta: &Metadata) -> io::Error {
    if e.raw_os_error() != Some(Errno::ENXIO as i32) {
        return e;
    }
    io::Error::other(match kind(meta.file_type()) {
        "a pipe" => "nobody reads it",
        _ => "only a file, a pipe or a device can be written",
    })
}

/// Chooses the way to write an existing file.
fn existing(path: &Path, meta: &Metadata, opened: File) -> Result<Place> {
    // A path to standard output stays the file that the shell opened.
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

/// Follows the links from `path` to a path where no file exists.
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
    // The same permissions as the standard library's, less the user's mask.
    let mut part = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(above(target))?;
    part.write_all(bytes)?;
    if let Ok(old) = std::fs::metadata(target) {
        part.as_file().set_permissions(old.permissions())?;
    }
    match part.persist(target) {
        Err(e) if e.error.raw_os_error() == Some(Errno::EBUSY as i32) => {
            // A mount point, as in containers, cannot be replaced: the command writes into the file.
            open(target).and_then(|file| patiently(&file, bytes))
        }
        persisted => persisted.map(drop).map_err(|e| e.error),
    }
}

/// Writes to a file, or to a pipe that may be full for a while; a regular file then holds only `bytes`.
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
