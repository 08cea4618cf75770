//! Emitted files on disk.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::Files;

/// A file or folder cannot be written, read or removed.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
pub struct WriteError {
    /// The file or folder.
    pub path: PathBuf,
    /// What the system answered.
    #[source]
    pub source: io::Error,
}

/// Writes `files` below `dir`, and removes sources that an earlier plan left in `dir/src`. Files that already
/// have the same content are not touched, so that cargo compiles no more than what changed.
///
/// # Errors
/// When a file cannot be written or removed.
pub fn write_files(dir: &Path, files: &Files) -> Result<(), WriteError> {
    for (name, content) in files {
        let path = dir.join(name);
        write_if_changed(&path, content).map_err(|source| WriteError { path, source })?;
    }
    let src = dir.join("src");
    let keep = |path: &Path| {
        path.strip_prefix(dir)
            .is_ok_and(|p| files.contains_key(&*p.to_string_lossy()))
    };
    if src.is_dir() {
        remove_others(&src, &keep).map_err(|source| WriteError { path: src, source })?;
    }
    Ok(())
}

fn write_if_changed(path: &Path, content: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|old| old == content) {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, content)
}

fn remove_others(dir: &Path, keep: &dyn Fn(&Path) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(&path, keep)?;
            let _ = fs::remove_dir(&path); // succeeds only when empty
        } else if !keep(&path) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(list: &[(&str, &str)]) -> Files {
        let pair = |(path, text): &(&str, &str)| ((*path).into(), text.as_bytes().to_vec());
        list.iter().map(pair).collect()
    }

    #[test]
    fn only_what_changed_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let modified = |name: &str| fs::metadata(at(name)).unwrap().modified().unwrap();
        let first = [
            ("Cargo.toml", "a"),
            ("src/main.rs", "a"),
            ("src/s0/r0_c0.rs", "a"),
        ];
        write_files(dir.path(), &files(&first)).unwrap();
        fs::write(at("weights.bin"), "kept").unwrap();
        let old = std::time::SystemTime::UNIX_EPOCH;
        for name in ["Cargo.toml", "src/main.rs"] {
            let file = fs::File::options().write(true).open(at(name)).unwrap();
            file.set_modified(old).unwrap();
        }

        let second = [("Cargo.toml", "a"), ("src/main.rs", "b")];
        write_files(dir.path(), &files(&second)).unwrap();
        assert_eq!(modified("Cargo.toml"), old);
        assert!(modified("src/main.rs") > old);
        assert_eq!(fs::read(at("src/main.rs")).unwrap(), b"b");
        assert!(!at("src/s0").exists() && at("weights.bin").exists());
    }

    #[test]
    fn an_error_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("src"), "no folder").unwrap();
        let e = write_files(dir.path(), &files(&[("src/main.rs", "a")])).unwrap_err();
        assert!(e.to_string().ends_with("src/main.rs"), "{e}");
    }
}
