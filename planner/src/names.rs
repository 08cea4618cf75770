//! Reading files of class names ([`tessera_plan::files::names`]).

use std::path::Path;

use tessera_plan::files::names::{self, BYTES_MAX, NotText};

/// Why a names file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NamesError {
    /// The file cannot be read.
    #[error("cannot read the names")]
    Io(#[from] std::io::Error),
    /// The path leads to a folder, a pipe or a device.
    #[error("this is no regular file; give a text file with one class per line")]
    NotAFile,
    /// The file is not text, or far too large.
    #[error(transparent)]
    NotText(#[from] NotText),
}

/// Reads the names of `classes` classes; returns the names and warnings, as [`names::parse`] does.
///
/// # Errors
/// When the path leads to no regular file, or the file cannot be read or is not text.
pub fn read(path: &Path, classes: usize) -> Result<(Vec<String>, Vec<String>), NamesError> {
    let meta = std::fs::metadata(path)?;
    if !meta.is_file() {
        return Err(NamesError::NotAFile);
    }
    if meta.len() > BYTES_MAX {
        return Err(NotText.into());
    }
    Ok(names::parse(&std::fs::read(path)?, classes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_regular_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("none");
        assert!(matches!(read(&missing, 2), Err(NamesError::Io(_))));
        // A folder, and a device that never ends.
        for path in [dir.path(), Path::new("/dev/zero")] {
            assert!(matches!(read(path, 2), Err(NamesError::NotAFile)));
        }
        let file = dir.path().join("names");
        std::fs::write(&file, [0, 159, 146, 150]).unwrap();
        assert!(matches!(read(&file, 2), Err(NamesError::NotText(_))));
        std::fs::write(&file, "one\ntwo\n").unwrap();
        assert_eq!(read(&file, 2).unwrap().0, ["one", "two"]);
    }
}
