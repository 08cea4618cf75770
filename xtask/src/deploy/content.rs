//! Files as they are sent: a file of this machine, a text, or packed weights of which a board needs some sections. What it does
//! not need is sent as zeros, which take no room, neither compressed on the way nor on the board's card.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    iter,
    ops::Range,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use tessera_plan::files::weights::{HEADER_BYTES, Header, TAIL};

/// Bytes that are read at a time.
const PIECE: usize = 1 << 18;

/// The bytes of a file.
#[derive(Clone, Debug)]
pub enum Content {
    /// Those of a file of this machine.
    File(PathBuf),
    /// These.
    Bytes(Vec<u8>),
    /// Those of a file of this machine within these ranges, which are in order, and zeros between.
    Parts(PathBuf, Vec<Range<u64>>),
}

/// Which sections of packed weights a board's nodes read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sections {
    /// All: a gateway that computes tiles.
    All,
    /// The tail's: a gateway.
    Tail,
    /// All but the tail's: an edge.
    Stages,
}

impl Content {
    /// The weights that a board needs.
    ///
    /// # Errors
    /// When the file cannot be read or is no file of packed weights.
    pub fn weights(path: &Path, sections: Sections) -> Result<Self> {
        if sections == Sections::All {
            return Ok(Self::File(path.into()));
        }
        let shown = || path.display().to_string();
        let mut head = [0; HEADER_BYTES];
        let mut file = File::open(path).with_context(shown)?;
        file.read_exact(&mut head).with_context(shown)?;
        let header = Header::from_bytes(&head).with_context(shown)?;
        let wanted = header
            .sections
            .iter()
            .filter(|s| (s.name == TAIL) == (sections == Sections::Tail));
        let wanted = wanted.map(|s| {
            let begin = HEADER_BYTES as u64 + 4 * s.offset;
            begin..begin + 4 * s.floats
        });
        let mut parts: Vec<Range<u64>> = iter::once(0..HEADER_BYTES as u64).chain(wanted).collect();
        parts.sort_by_key(|p| p.start);
        Ok(Self::Parts(path.into(), parts))
    }

    /// Number of bytes.
    ///
    /// # Errors
    /// When the file is not there.
    pub fn len(&self) -> Result<u64> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.len() as u64),
            Self::File(path) | Self::Parts(path, _) => {
                let found = path.metadata();
                Ok(found.with_context(|| path.display().to_string())?.len())
            }
        }
    }

    /// Bytes that are no zeros in place of something.
    ///
    /// # Errors
    /// As [`Content::len`].
    pub fn needed(&self) -> Result<u64> {
        match self {
            Self::Parts(_, parts) => Ok(parts.iter().map(|p| p.end - p.start).sum()),
            _ => self.len(),
        }
    }

    /// SHA-256 of the bytes, in hex.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn digest(&self) -> Result<String> {
        let mut hash = Sha256::new();
        self.write(&mut hash)
            .context("cannot read what is to be sent")?;
        Ok(hex::encode(hash.finalize()))
    }

    /// Writes all bytes.
    ///
    /// # Errors
    /// When the file cannot be read, or `to` written.
    pub fn write(&self, to: &mut (impl Write + ?Sized)) -> io::Result<()> {
        match self {
            Self::Bytes(bytes) => to.write_all(bytes),
            Self::File(path) => copy(&mut File::open(path)?, u64::MAX, to).map(|_| ()),
            Self::Parts(path, parts) => {
                let mut file = File::open(path)?;
                let mut at = 0;
                for part in parts {
                    copy(&mut io::repeat(0), part.start.saturating_sub(at), to)?;
                    file.seek(SeekFrom::Start(part.start))?;
                    copy(&mut file, part.end - part.start, to)?;
                    at = part.end;
                }
                let len = file.metadata()?.len();
                copy(&mut io::repeat(0), len.saturating_sub(at), to).map(|_| ())
            }
        }
    }
}

/// Copies at most `bytes`.
fn copy(from: &mut impl Read, bytes: u64, to: &mut (impl Write + ?Sized)) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    let mut left = bytes;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let count = from.read(&mut piece[..most])?;
        if count == 0 {
            break;
        }
        to.write_all(&piece[..count])?;
        left -= count as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tessera_plan::files::weights::SectionEntry;

    use super::*;

    #[test]
    fn boards_get_their_sections_and_zeros() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("weights.bin");
        let section = |name: &str, offset, floats| SectionEntry {
            name: name.into(),
            offset,
            floats,
            digest: [7; 32],
        };
        let header = Header {
            model_digest: [1; 32],
            sections: vec![
                section("s0", 0, 3),
                section("tail", 1024, 2),
                section("s1", 2048, 1),
            ],
        };
        let mut bytes = header.to_bytes().unwrap().to_vec();
        bytes.resize(HEADER_BYTES + 4 * 2049, 5);
        std::fs::write(&path, &bytes).unwrap();
        for (sections, kept) in [
            (Sections::All, &[(0, 2049)][..]),
            (Sections::Tail, &[(1024, 1026)]),
            (Sections::Stages, &[(0, 3), (2048, 2049)]),
        ] {
            let content = Content::weights(&path, sections).unwrap();
            let mut written = Vec::new();
            content.write(&mut written).unwrap();
            assert_eq!(written.len() as u64, content.len().unwrap());
            assert_eq!(written[..HEADER_BYTES], bytes[..HEADER_BYTES]);
            for (float, value) in written[HEADER_BYTES..].chunks(4).enumerate() {
                let is_kept = kept.iter().any(|(from, to)| (*from..*to).contains(&float));
                assert_eq!(value == [5; 4], is_kept, "{sections:?} {float}");
                assert!(is_kept || value == [0; 4]);
            }
            let digest = hex::encode(Sha256::digest(&written));
            assert_eq!(content.digest().unwrap(), digest);
        }
        let tail = Content::weights(&path, Sections::Tail).unwrap();
        assert_eq!(tail.needed().unwrap(), HEADER_BYTES as u64 + 8);
        std::fs::write(&path, "no weights").unwrap();
        assert!(Content::weights(&path, Sections::Tail).is_err());
    }
}
