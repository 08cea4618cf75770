//! Folders that receive outputs.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::kind;

/// Checks that files can be written into the folder `path`, or that the folder can be made. Makes no folder.
///
/// # Errors
/// When neither is possible; the message names `flag`.
pub fn check(flag: &str, path: &Path) -> Result<()> {
    let whole = std::path::absolute(path)?;
    for above in whole.ancestors() {
        match std::fs::metadata(above) {
            Ok(meta) if meta.is_dir() => return writable(flag, path, above),
            Ok(meta) => bail!(
                "{flag} {}: {} is {}, no folder",
                path.display(),
                above.display(),
                kind(meta.file_type())
            ),
            // A dangling link prevents making a folder of its name.
            Err(_) if above.is_symlink() => bail!(
                "{flag} {}: {} is a link to what does not exist",
                path.display(),
                above.display()
            ),
            Err(_) => {}
        }
    }
    bail!("{flag} {}: there is no such place", path.display())
}

/// Checks that a file can be made in `folder`, by making one: permissions, quotas and read-only disks show only
/// then.
pub(super) fn writable(flag: &str, path: &Path, folder: &Path) -> Result<()> {
    let tried = tempfile::tempfile_in(folder);
    tried.with_context(|| {
        format!(
            "{flag} {}: cannot write into {}",
            path.display(),
            folder.display()
        )
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_checked_and_not_made() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("file"), "x").unwrap();
        std::os::unix::fs::symlink(at("nothing"), at("link")).unwrap();
        check("--out", dir.path()).unwrap();
        check("--out", &at("new/deep")).unwrap();
        assert!(!at("new").exists());
        for (name, words) in [
            ("file", "file is a file, no folder"),
            ("file/deep", "file is a file, no folder"),
            ("link", "link to what does not exist"),
            ("link/deep", "link to what does not exist"),
        ] {
            let e = check("--out", &at(name)).unwrap_err().to_string();
            assert!(e.starts_with("--out ") && e.contains(words), "{e}");
        }
        let e = check("--out", Path::new("/dev/null"))
            .unwrap_err()
            .to_string();
        assert!(e.contains("/dev/null is a device"), "{e}");
    }
}
