//! Files that only their owner may read: a node's private key, and the cluster's secret.

use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::TrustError;

/// Longest such file, in bytes: a key has 44 characters.
const BYTES_MAX: u64 = 1024;
/// Where systemd puts what `LoadCredential=` names.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// The text of a file that nobody else may read.
///
/// # Errors
/// When the file cannot be read, or others may read it.
pub fn read(path: &Path) -> Result<Zeroizing<String>, TrustError> {
    let failed = |cause| TrustError::File {
        path: path.into(),
        cause,
    };
    let file = File::open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    if !found.is_file() {
        return Err(TrustError::NotAFile(path.into()));
    }
    // systemd lets a unit's user read its credentials by an access list, whose mask stands where a group's rights do.
    let is_credential = credentials().is_some_and(|folder| path.starts_with(folder));
    let others = if is_credential { 0o007 } else { 0o077 };
    let mode = found.permissions().mode() & 0o777;
    if mode & others != 0 {
        return Err(TrustError::Open {
            path: path.into(),
            mode,
        });
    }
    let mut text = Zeroizing::new(String::with_capacity(BYTES_MAX as usize));
    file.take(BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(failed)?;
    Ok(text)
}

/// Writes a file that nobody else may read. An existing file stays as it is.
///
/// # Errors
/// When there is such a file, or it cannot be written.
pub fn create(path: &Path, text: &str) -> Result<(), TrustError> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()
    });
    written.map_err(|cause| match cause.kind() {
        ErrorKind::AlreadyExists => TrustError::Exists(path.into()),
        _ => TrustError::File {
            path: path.into(),
            cause,
        },
    })
}

/// The folder of this unit's credentials, when systemd has started this process with some.
fn credentials() -> Option<PathBuf> {
    std::env::var_os(CREDENTIALS).map(PathBuf::from)
}

/// The file that a flag names; without one, the credential `credential`, or else `beside`.
pub fn find(flag: Option<&Path>, credential: &str, beside: PathBuf) -> PathBuf {
    if let Some(path) = flag {
        return path.into();
    }
    let given = credentials().map(|folder| folder.join(credential));
    given.filter(|path| path.exists()).unwrap_or(beside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_may_not_read_and_nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.key");
        create(&path, "one").unwrap();
        assert_eq!(read(&path).unwrap().trim(), "one");
        assert!(matches!(create(&path, "two"), Err(TrustError::Exists(_))));
        assert_eq!(read(&path).unwrap().trim(), "one");
        for mode in [0o640, 0o604, 0o660, 0o666] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            let e = read(&path).unwrap_err().to_string();
            assert!(e.contains("chmod 600"), "{e}");
        }
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o400)).unwrap();
        assert!(read(&path).is_ok());
        assert!(matches!(read(dir.path()), Err(TrustError::NotAFile(_))));
        let none = read(&dir.path().join("none")).unwrap_err().to_string();
        assert!(none.contains("none"), "{none}");
    }

    #[test]
    fn a_flag_comes_before_what_lies_beside() {
        let beside = || PathBuf::from("/beside");
        let flag = Path::new("/given");
        assert_eq!(find(Some(flag), "node.key", beside()), flag);
        assert_eq!(find(None, "node.key", beside()), beside());
    }
}
