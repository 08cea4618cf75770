//! Notices changes of the cluster file: a look at the file's time and size twice a second, which costs one system call and
//! works for every way in which files are replaced. (SIGHUP ends a node, as for any program whose terminal is gone.)

use std::{
    fs::{File, Metadata},
    io::Read,
    os::unix::fs::MetadataExt,
    path::Path,
};

use tessera_plan::files::{
    cluster::{BYTES_MAX, ClusterFile},
    sources::mask_all,
};

use super::TrustError;
use tessera_protocol::Micros;

/// Between two looks.
const LOOK_US: Micros = 500_000;

/// What changes when a file does.
type Mark = (u64, u64, i64, i64);

fn mark(m: &Metadata) -> Mark {
    (m.ino(), m.size(), m.mtime(), m.mtime_nsec())
}

/// The file as it was read last.
#[derive(Debug)]
pub struct Watch {
    file: ClusterFile,
    seen: Mark,
    look_at: Micros,
}

impl Watch {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// When the file cannot be read or understood.
    pub fn read(path: &Path) -> Result<(ClusterFile, Self), TrustError> {
        let (file, seen) = read(path)?;
        let watch = Self {
            file: file.clone(),
            seen,
            look_at: 0,
        };
        Ok((file, watch))
    }

    /// The file as it was read last.
    pub const fn file(&self) -> &ClusterFile {
        &self.file
    }

    /// When to look again.
    pub const fn look_at(&self) -> Micros {
        self.look_at
    }

    /// Reads the file again, if it is time and it has changed: `Ok` if it can be understood.
    pub fn look(&mut self, now: Micros, path: &Path) -> Option<Result<(), TrustError>> {
        if now < self.look_at {
            return None;
        }
        self.look_at = now + LOOK_US;
        // A file that is being replaced may be gone for a moment.
        let found = std::fs::metadata(path).ok()?;
        if mark(&found) == self.seen {
            return None;
        }
        Some(read(path).map(|(file, seen)| {
            self.file = file;
            self.seen = seen;
        }))
        .inspect(|read| {
            if read.is_err() {
                // Told of once.
                self.seen = mark(&found);
            }
        })
    }
}

fn read(path: &Path) -> Result<(ClusterFile, Mark), TrustError> {
    let failed = |cause| TrustError::File {
        path: path.into(),
        cause,
    };
    let file = File::open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    let mut text = String::new();
    file.take(BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(failed)?;
    let parsed = toml::from_str(&text).map_err(|e| TrustError::Form {
        path: path.into(),
        cause: mask_all(&e.to_string()),
    })?;
    Ok((parsed, mark(&found)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_seen_and_mistakes_change_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cluster.toml");
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        write("version = 1\n[[board]]\nname = \"a\"\ncores = 4\n");
        let (file, mut watch) = Watch::read(&path).unwrap();
        assert_eq!(file.board[0].name, "a");
        assert!(watch.look(0, &path).is_none(), "nothing has changed");
        write("version = 1\n[[board]]\nname = \"other\"\n");
        assert!(watch.look(1, &path).is_none(), "too early");
        assert!(matches!(watch.look(LOOK_US, &path), Some(Ok(()))));
        assert_eq!(watch.file().board[0].name, "other");
        write("version = 1\n[[board]\n");
        assert!(matches!(watch.look(2 * LOOK_US, &path), Some(Err(_))));
        assert!(watch.look(3 * LOOK_US, &path).is_none(), "said once");
        std::fs::remove_file(&path).unwrap();
        assert!(watch.look(4 * LOOK_US, &path).is_none());
        assert_eq!(watch.file().board[0].name, "other");
    }
}
