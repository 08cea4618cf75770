//! `weights.bin`: mapped read-only, checked without touching pages that this node does not use. Its header is
//! [`tessera_plan::files::weights`].
//!
//! A process works with the file that it opened, not with the path: a file that is replaced or deleted stays what it was
//! for those who have it open. Writing into the file shows in the mapping, so its size and times are compared with
//! those at its verification ([`Weights::recheck`]).

use std::{
    cell::Cell,
    fs::{File, OpenOptions},
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use memmap2::{Mmap, MmapOptions};
use nix::fcntl::OFlag;
use sha2::{Digest, Sha256};

use crate::program::{Program, SectionSpec};
use tessera_plan::files::weights::{BadHeader, HEADER_BYTES, Header, MAGIC, TAIL, VERSION};

/// Why weights cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The file cannot be opened or read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// Another kind of file.
    #[error(
        "{path} is no packed weights file; give the weights.bin that was written beside this node's sources"
    )]
    Magic {
        /// The file.
        path: PathBuf,
    },
    /// The file has another version.
    #[error("{path} has layout version {found}, this node reads {VERSION}; pack the weights again")]
    Version {
        /// The file.
        path: PathBuf,
        /// The file's version.
        found: u32,
    },
    /// Packed for another plan or model.
    #[error(
        "{path} belongs to another {what} than this node; copy the weights.bin that was written with it"
    )]
    Other {
        /// The file.
        path: PathBuf,
        /// `model` or `plan`.
        what: &'static str,
    },
    /// The file is shorter than its header says.
    #[error("{path} has {found} bytes, its header needs {expected}; copy it again")]
    Short {
        /// The file.
        path: PathBuf,
        /// Bytes of the file.
        found: u64,
        /// Bytes that the header and the program ask for.
        expected: u64,
    },
    /// A section's bytes do not match its digest.
    #[error("{path}: section {section} is damaged (its SHA-256 differs); copy the file again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The section.
        section: &'static str,
    },
    /// Written to while it was in use.
    #[error("{path} was changed while this node used it: {why}")]
    Changed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it now.
        why: Box<WeightsError>,
    },
}

/// The open file.
#[derive(Debug)]
pub struct WeightsFile {
    file: File,
    /// What it is called in messages.
    path: PathBuf,
}

/// What changes when somebody writes to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    /// Seconds and nanoseconds of the last write, and of the last change of any kind.
    times: [i64; 4],
}

impl WeightsFile {
    /// Opens `path` without waiting: pipes and devices are refused.
    ///
    /// # Errors
    /// [`WeightsError::Io`]; [`WeightsError::Magic`] when it is no regular file.
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        let path = path.to_path_buf();
        let opened = OpenOptions::new()
            .read(true)
            // Else a pipe would be waited for.
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(&path)
            .and_then(|file| Ok((file.metadata()?.is_file(), file)));
        match opened {
            Ok((true, file)) => Ok(Self { file, path }),
            Ok((false, _)) => Err(WeightsError::Magic { path }),
            Err(source) => Err(WeightsError::Io { path, source }),
        }
    }

    /// A file that another process has opened; `path` is its name in messages.
    pub fn from_fd(fd: OwnedFd, path: &Path) -> Self {
        Self {
            file: fd.into(),
            path: path.to_path_buf(),
        }
    }

    /// What it is called in messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open file, to be handed to another process.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    fn io(&self) -> impl Fn(io::Error) -> WeightsError {
        |source| WeightsError::Io {
            path: self.path.clone(),
            source,
        }
    }

    fn stamp(&self) -> Result<Stamp, WeightsError> {
        let m = self.file.metadata().map_err(self.io())?;
        Ok(Stamp {
            bytes: m.len(),
            times: [m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec()],
        })
    }

    /// Checks that this is the file packed for `program`, undamaged in the sections of `sections`.
    ///
    /// # Errors
    /// See [`WeightsError`].
    pub fn check(&self, program: &Program, sections: Use) -> Result<(), WeightsError> {
        self.verify(program, sections).map(|_| ())
    }

    /// As [`WeightsFile::check`]; gives the stamp that the file had before.
    fn verify(&self, program: &Program, sections: Use) -> Result<Stamp, WeightsError> {
        let stamp = self.stamp()?;
        let header = self.header(stamp.bytes)?;
        check_program(&header, program).map_err(|what| WeightsError::Other {
            path: self.path.clone(),
            what,
        })?;
        let floats = program.sections.iter().map(|s| s.offset + s.floats).max();
        let expected = HEADER_BYTES as u64 + 4 * floats.unwrap_or(0) as u64;
        if stamp.bytes < expected {
            return Err(self.short(stamp.bytes, expected));
        }
        for (s, entry) in program.sections.iter().zip(&header.sections) {
            if sections.verifies(s.name) && self.digest(s).map_err(self.io())? != entry.digest {
                return Err(WeightsError::Damaged {
                    path: self.path.clone(),
                    section: s.name,
                });
            }
        }
        Ok(stamp)
    }

    /// Checks the file and maps it.
    ///
    /// # Errors
    /// As [`WeightsFile::check`].
    pub fn map(self, program: &Program, sections: Use) -> Result<Weights, WeightsError> {
        let stamp = self.verify(program, sections)?;
        let mut options = MmapOptions::new();
        options.len(sections.mapped(program));
        // SAFETY: the file is mapped read-only and only ever read as bytes reinterpreted as f32, for
        // which every bit pattern is valid. Somebody may write to it: `Weights::recheck` finds that
        // out before a result is used. Truncating it raises SIGBUS, which ends a node.
        let map = unsafe { options.map(&self.file) }.map_err(self.io())?;
        Ok(Weights {
            map,
            file: self,
            sections,
            stamp: Cell::new(stamp),
            changes: Cell::new(0),
        })
    }

    fn short(&self, found: u64, expected: u64) -> WeightsError {
        WeightsError::Short {
            path: self.path.clone(),
            found,
            expected,
        }
    }

    /// Reads the header of a file of `found` bytes.
    fn header(&self, found: u64) -> Result<Header, WeightsError> {
        let mut bytes = [0u8; HEADER_BYTES];
        let path = || self.path.clone();
        if found < HEADER_BYTES as u64 {
            let start = &mut bytes[..usize::try_from(found.min(8)).unwrap_or(0)];
            self.file.read_exact_at(start, 0).map_err(self.io())?;
            return Err(if *start == MAGIC {
                self.short(found, HEADER_BYTES as u64)
            } else {
                WeightsError::Magic { path: path() }
            });
        }
        self.file.read_exact_at(&mut bytes, 0).map_err(self.io())?;
        Header::from_bytes(&bytes).map_err(|e| match e {
            BadHeader::Magic => WeightsError::Magic { path: path() },
            BadHeader::Version { found } => WeightsError::Version {
                path: path(),
                found,
            },
            // No plan of this program packs such sections.
            _ => WeightsError::Other {
                path: path(),
                what: "plan",
            },
        })
    }

    /// Reads a section in small pieces, past the mapping: verified pages need not become resident here.
    /// Processes that share the open file share its position, so that is not used.
    fn digest(&self, s: &SectionSpec) -> io::Result<[u8; 32]> {
        let mut at = HEADER_BYTES as u64 + 4 * s.offset as u64;
        let end = at + 4 * s.floats as u64;
        let mut hash = Sha256::new();
        let mut buffer = [0u8; 16 << 10];
        while at < end {
            let most = buffer
                .len()
                .min(usize::try_from(end - at).unwrap_or(usize::MAX));
            match self.file.read_at(&mut buffer[..most], at) {
                Ok(0) => break,
                Ok(n) => {
                    hash.update(&buffer[..n]);
                    at += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(hash.finalize().into())
    }
}

/// The mapped file.
#[derive(Debug)]
pub struct Weights {
    map: Mmap,
    file: WeightsFile,
    sections: Use,
    /// The file's, when it was last verified.
    stamp: Cell<Stamp>,
    /// Rechecks in a row that found a change.
    changes: Cell<u32>,
}

/// The sections that a node uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// The stages' sections: for an edge.
    Stages,
    /// The tail's section: for a gateway.
    Tail,
    /// All sections: for a process that computes everything.
    All,
}

impl Use {
    /// Whether a section is read and compared with its digest.
    fn verifies(self, section: &str) -> bool {
        match self {
            Self::All => true,
            Self::Stages => section != TAIL,
            Self::Tail => section == TAIL,
        }
    }

    /// Bytes of the file that are mapped. Pages come in by larger pieces than are touched, so a map that goes on
    /// behind the stages' weights would make some of the tail's resident.
    fn mapped(self, program: &Program) -> usize {
        let with_tail = matches!(self, Self::All | Self::Tail);
        let ends = program
            .sections
            .iter()
            .filter(|s| with_tail || s.name != TAIL)
            .map(|s| s.offset + s.floats);
        HEADER_BYTES + 4 * ends.max().unwrap_or(0)
    }
}

/// Changes in a row after which a file that keeps changing is given up.
const CHANGES_MAX: u32 = 8;

impl Weights {
    /// Opens, checks and maps `path` for `program`.
    ///
    /// # Errors
    /// When the file is not the one packed for this program, or is damaged; see [`WeightsError`].
    pub fn open(path: &Path, program: &Program, sections: Use) -> Result<Self, WeightsError> {
        WeightsFile::open(path)?.map(program, sections)
    }

    /// The values behind the header, as far as they are mapped. A page becomes resident when one of its values
    /// is read.
    pub fn floats(&self) -> &[f32] {
        let bytes = &self.map[HEADER_BYTES..];
        let whole = &bytes[..bytes.len() / 4 * 4];
        <[f32] as zerocopy::FromBytes>::ref_from_bytes(whole).unwrap_or(&[])
    }

    /// Whether the file was written to since it was last verified; it is verified again then. What was
    /// computed meanwhile may be wrong, and must be computed again.
    ///
    /// # Errors
    /// [`WeightsError::Changed`] when it does not hold the program's weights any more.
    pub fn recheck(&self, program: &Program) -> Result<bool, WeightsError> {
        let changed = |why| WeightsError::Changed {
            path: self.file.path.clone(),
            why: Box::new(why),
        };
        if self.file.stamp()? == self.stamp.get() {
            self.changes.set(0);
            return Ok(false);
        }
        self.changes.set(self.changes.get() + 1);
        if self.changes.get() > CHANGES_MAX {
            let why = io::Error::other("it keeps changing");
            return Err(changed(self.file.io()(why)));
        }
        let stamp = self.file.verify(program, self.sections);
        self.stamp.set(stamp.map_err(changed)?);
        Ok(true)
    }
}

/// Compares a header with what a program expects; the error says what differs.
fn check_program(header: &Header, program: &Program) -> Result<(), &'static str> {
    if header.model_digest != program.model_digest {
        return Err("model");
    }
    let same = header.sections.len() == program.sections.len()
        && header.sections.iter().zip(program.sections).all(|(e, s)| {
            e.name == s.name && e.offset == s.offset as u64 && e.floats == s.floats as u64
        });
    if same { Ok(()) } else { Err("plan") }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::SystemTime};

    use super::*;
    use crate::program::{NmsKind, Placement, TailSpec};
    use tessera_plan::files::weights::SectionEntry;

    const FLOATS: usize = 1000;

    static PROGRAM: Program = Program {
        name: "p",
        target: "portable",
        plan_hash: [1; 32],
        model_digest: [2; 32],
        tensors: &[],
        tasks: &[],
        placement: Placement::Steal,
        boards: 1,
        frames_in_flight: 2,
        stage_starts: &[0],
        tail: TailSpec {
            inputs: &[],
            outputs: &[],
            arena_floats: 0,
            macs: 0,
            run: |_| {},
        },
        heads: &[],
        nms: NmsKind::Greedy,
        letterbox: false,
        region_objectness_one: false,
        sections: &[SectionSpec {
            name: "s0",
            offset: 0,
            floats: FLOATS,
        }],
        check_cpu: || Ok(()),
    };

    fn packed() -> Vec<u8> {
        let values = [7u8; 4 * FLOATS];
        let header = Header {
            model_digest: PROGRAM.model_digest,
            sections: vec![SectionEntry {
                name: "s0".into(),
                offset: 0,
                floats: FLOATS as u64,
                digest: Sha256::digest(values).into(),
            }],
        };
        [&header.to_bytes().unwrap()[..], &values].concat()
    }

    fn mapped(dir: &Path) -> (PathBuf, Weights) {
        let path = dir.join("weights.bin");
        fs::write(&path, packed()).unwrap();
        let weights = Weights::open(&path, &PROGRAM, Use::Stages).unwrap();
        assert!(!weights.recheck(&PROGRAM).unwrap());
        (path, weights)
    }

    #[test]
    fn a_file_that_was_replaced_or_deleted_is_still_there() {
        let dir = tempfile::tempdir().unwrap();
        let (path, weights) = mapped(dir.path());
        fs::write(dir.path().join("new"), "another").unwrap();
        fs::rename(dir.path().join("new"), &path).unwrap();
        weights.recheck(&PROGRAM).unwrap();
        fs::remove_file(&path).unwrap();
        weights.recheck(&PROGRAM).unwrap();
        assert_eq!(weights.floats().len(), FLOATS);
    }

    #[test]
    fn a_file_that_was_written_to_is_verified_again() {
        let dir = tempfile::tempdir().unwrap();
        let (path, weights) = mapped(dir.path());
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        // The clock of files ticks seldom.
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert!(weights.recheck(&PROGRAM).unwrap(), "the same bytes");
        assert!(!weights.recheck(&PROGRAM).unwrap());
        file.write_all_at(b"x", HEADER_BYTES as u64 + 9).unwrap();
        file.set_modified(SystemTime::now()).unwrap();
        let e = weights.recheck(&PROGRAM).unwrap_err();
        let text = e.to_string();
        assert!(text.contains("changed") && text.contains("damaged"), "{e}");
        file.set_len(HEADER_BYTES as u64).unwrap();
        let e = weights.recheck(&PROGRAM).unwrap_err().to_string();
        assert!(e.contains("copy it again"), "{e}");
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for path in [&pipe, Path::new("/dev/zero"), dir.path()] {
            let e = Weights::open(path, &PROGRAM, Use::Stages).unwrap_err();
            assert!(matches!(e, WeightsError::Magic { .. }), "{e}");
        }
    }
}
