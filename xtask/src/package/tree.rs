//! The files of a package: in one order, of nobody, all of one time, so that the same files give the same archive.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use tar::{Builder, EntryType, Header};

/// The time of all files where `SOURCE_DATE_EPOCH` says no other: the beginning of the year 2000. dpkg and lintian frown at 1970.
const TIME: u64 = 946_684_800;

/// The time that all files have, in seconds since 1970.
pub fn time() -> u64 {
    let said = std::env::var("SOURCE_DATE_EPOCH").ok();
    said.and_then(|s| s.parse().ok()).unwrap_or(TIME)
}

/// What a file holds.
#[derive(Clone, Debug)]
pub enum Body {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Those of a file of this machine.
    File(PathBuf),
}

impl Body {
    fn open(&self) -> Result<(u64, Box<dyn Read + '_>)> {
        Ok(match self {
            Self::Bytes(bytes) => (bytes.len() as u64, Box::new(bytes.as_slice())),
            Self::File(path) => {
                let shown = || path.display().to_string();
                let file = File::open(path).with_context(shown)?;
                (file.metadata().with_context(shown)?.len(), Box::new(file))
            }
        })
    }
}

/// Files of a package by their paths, which begin at its root without `/`.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    files: BTreeMap<String, (u32, Body)>,
    folders: BTreeMap<String, u32>,
}

impl Tree {
    /// Adds a file that its owner alone may write.
    pub fn add(&mut self, path: impl Into<String>, body: Body) {
        self.files.insert(path.into(), (0o644, body));
    }

    /// Adds a program.
    pub fn program(&mut self, path: impl Into<String>, body: Body) {
        self.files.insert(path.into(), (0o755, body));
    }

    /// Adds a text.
    pub fn text(&mut self, path: impl Into<String>, text: impl Into<String>) {
        self.add(path, Body::Bytes(text.into().into_bytes()));
    }

    /// Adds an empty folder.
    pub fn folder(&mut self, path: impl Into<String>, mode: u32) {
        self.folders.insert(path.into(), mode);
    }

    /// Adds all files of another tree below `path`.
    pub fn below(&mut self, path: &str, other: Tree) {
        for (name, file) in other.files {
            self.files.insert(format!("{path}/{name}"), file);
        }
        for (name, mode) in other.folders {
            self.folders.insert(format!("{path}/{name}"), mode);
        }
    }

    /// Bytes of all files.
    ///
    /// # Errors
    /// When a file is not there.
    pub fn bytes(&self) -> Result<u64> {
        let each = self.files.values().map(|(_, body)| Ok(body.open()?.0));
        each.sum()
    }

    /// Calls `f` with every file's path and contents, in order.
    ///
    /// # Errors
    /// When a file cannot be read, or `f` fails.
    pub fn each(&self, mut f: impl FnMut(&str, &mut dyn Read) -> io::Result<()>) -> Result<()> {
        for (name, (_, body)) in &self.files {
            let (_, mut read) = body.open()?;
            f(name, &mut *read).with_context(|| name.clone())?;
        }
        Ok(())
    }

    /// Every folder that holds something, or was added, with its mode; parents first.
    fn all_folders(&self) -> BTreeMap<String, u32> {
        let mut all = self.folders.clone();
        let paths: BTreeSet<&str> = self
            .files
            .keys()
            .chain(self.folders.keys())
            .map(String::as_str)
            .collect();
        for path in paths {
            for (at, _) in path.match_indices('/') {
                all.entry(path[..at].into()).or_insert(0o755);
            }
        }
        all
    }

    /// Writes an archive; every path in it begins with `root`, which ends with `/` or is empty.
    ///
    /// # Errors
    /// When a file cannot be read, or `to` cannot be written.
    pub fn tar<W: Write>(&self, root: &str, to: W) -> Result<W> {
        let mut tar = Builder::new(to);
        if !root.is_empty() {
            folder(&mut tar, root, 0o755)?;
        }
        // A folder stands before what it holds.
        let mut all: BTreeMap<String, Option<u32>> = BTreeMap::new();
        for (path, mode) in self.all_folders() {
            all.insert(path, Some(mode));
        }
        for path in self.files.keys() {
            all.insert(path.clone(), None);
        }
        for (path, mode) in all {
            match (mode, self.files.get(&path)) {
                (Some(mode), _) => folder(&mut tar, &format!("{root}{path}/"), mode)?,
                (None, Some((mode, body))) => {
                    let (bytes, read) = body.open()?;
                    let mut header = header(EntryType::Regular, *mode, bytes);
                    append(&mut tar, &mut header, &format!("{root}{path}"), read)?;
                }
                (None, None) => {}
            }
        }
        Ok(tar.into_inner()?)
    }

    /// Writes all files into the folder `dir`, which exists.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn unpack(&self, dir: &Path) -> Result<()> {
        use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
        for path in self.all_folders().keys() {
            let path = dir.join(path);
            std::fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        }
        for (path, (mode, body)) in &self.files {
            let path = dir.join(path);
            let shown = || path.display().to_string();
            let (_, mut read) = body.open()?;
            let mut file = File::options()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(*mode)
                .open(&path)
                .with_context(shown)?;
            // Whatever the umask says.
            file.set_permissions(std::fs::Permissions::from_mode(*mode))
                .with_context(shown)?;
            io::copy(&mut read, &mut file).with_context(shown)?;
        }
        Ok(())
    }
}

/// Makes the folder `dir` anew: what an earlier run left there is gone.
///
/// # Errors
/// When it cannot be removed or made.
pub fn fresh(dir: &Path) -> Result<()> {
    if dir.exists() {
        std::fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))
}

fn folder<W: Write>(tar: &mut Builder<W>, path: &str, mode: u32) -> Result<()> {
    let mut header = header(EntryType::Directory, mode, 0);
    append(tar, &mut header, path, io::empty())
}

/// Adds an entry. Paths that a header can hold are written as they are: `set_path` leaves out the dot that stands before all paths
/// of a Debian package.
fn append<W: Write>(
    tar: &mut Builder<W>,
    header: &mut Header,
    path: &str,
    read: impl Read,
) -> Result<()> {
    let shown = || path.to_owned();
    let bytes = path.as_bytes();
    let name = header.as_gnu_mut().map(|h| &mut h.name);
    let Some(place) = name.and_then(|name| name.get_mut(..bytes.len())) else {
        return tar.append_data(header, path, read).with_context(shown);
    };
    place.copy_from_slice(bytes);
    header.set_cksum();
    tar.append(header, read).with_context(shown)
}

fn header(kind: EntryType, mode: u32, bytes: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(bytes);
    header.set_mtime(time());
    header.set_uid(0);
    header.set_gid(0);
    // Both fit. Those who unpack as root go by numbers, those who list by names.
    let _ = header.set_username("root");
    let _ = header.set_groupname("root");
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_have_one_order_and_folders_first() {
        let mut tree = Tree::default();
        tree.text("usr/share/doc/b", "two");
        tree.program("usr/bin/a", Body::Bytes(b"one".to_vec()));
        tree.folder("etc/tessera", 0o700);
        let bytes = tree.tar("./", Vec::new()).unwrap();
        assert_eq!(bytes, tree.clone().tar("./", Vec::new()).unwrap());
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entries = archive.entries().unwrap().map(|e| {
            let e = e.unwrap();
            let header = e.header();
            assert_eq!(
                (header.uid().unwrap(), header.gid().unwrap()),
                (0, 0),
                "of root"
            );
            let path = String::from_utf8(e.path_bytes().into_owned()).unwrap();
            (path, header.mode().unwrap(), header.mtime().unwrap())
        });
        let entries: Vec<_> = entries.collect();
        assert!(entries.iter().all(|(.., at)| *at == time()));
        let found: Vec<(&str, u32)> = entries.iter().map(|(p, m, _)| (p.as_str(), *m)).collect();
        let expected = [
            ("./", 0o755),
            ("./etc/", 0o755),
            ("./etc/tessera/", 0o700),
            ("./usr/", 0o755),
            ("./usr/bin/", 0o755),
            ("./usr/bin/a", 0o755),
            ("./usr/share/", 0o755),
            ("./usr/share/doc/", 0o755),
            ("./usr/share/doc/b", 0o644),
        ];
        assert_eq!(found, expected);
        assert_eq!(tree.bytes().unwrap(), 6);
    }
}
