//! Files that give way to newer ones: `FILE` becomes `FILE.1`, that one `FILE.2`, and so on.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// Most older files that are kept.
pub(super) const KEPT: u32 = 9;

/// The file that was `path` before so many others.
pub(super) fn older(path: &Path, age: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{age}"));
    name.into()
}

/// Makes room for a new file at `path`. The oldest one goes.
///
/// # Errors
/// When a file cannot be renamed. Files before it have their new names already, and none is lost.
pub(super) fn rotate(path: &Path) -> std::io::Result<()> {
    for age in (0..KEPT).rev() {
        let from = match age {
            0 => path.to_owned(),
            _ => older(path, age),
        };
        match fs::rename(from, older(path, age + 1)) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(())
}
