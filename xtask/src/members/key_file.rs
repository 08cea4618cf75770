//! Files of private keys and of the cluster's secret: made so that nobody else can read them.

use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use tessera_secure::{ClusterSecret, PrivateKey, parse_private, parse_secret};

/// The name of the file of a cluster's secret.
pub const SECRET: &str = "cluster.secret";
/// The name of the file of the key of the machine that asks probes.
pub const OPERATOR: &str = "operator.key";

/// The file of a board's key.
pub fn of(folder: &Path, board: &str) -> PathBuf {
    folder.join(format!("{board}.key"))
}

/// 32 bytes of the system's randomness.
///
/// # Errors
/// When the system gives none.
pub fn random() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).context("cannot draw a random number")?;
    Ok(bytes)
}

/// Makes a private key in a new file; an existing file's key is taken as it is.
///
/// # Errors
/// When the file cannot be written, or is no key that others cannot read.
pub fn make(path: &Path) -> Result<PrivateKey> {
    let key = PrivateKey::from_random(random()?);
    if create(path, &key.to_text())? {
        Ok(key)
    } else {
        read(path)
    }
}

/// Makes a private key in a file, in the place of the one that was there.
///
/// # Errors
/// When the file cannot be written.
pub fn replace(path: &Path) -> Result<PrivateKey> {
    let key = PrivateKey::from_random(random()?);
    write_over(path, &key.to_text())?;
    Ok(key)
}

/// Makes a secret in a new file, if there is none.
///
/// # Errors
/// When the file cannot be written.
pub fn make_secret(path: &Path) -> Result<()> {
    create(path, &ClusterSecret::from_random(random()?).to_text())?;
    Ok(())
}

/// Makes a secret in a file, in the place of the one that was there.
///
/// # Errors
/// When the file cannot be written.
pub fn replace_secret(path: &Path) -> Result<()> {
    write_over(path, &ClusterSecret::from_random(random()?).to_text())
}

/// The private key of a file that nobody else can read.
///
/// # Errors
/// When there is no such file, or others can read it.
pub fn read(path: &Path) -> Result<PrivateKey> {
    parse_private(&text(path)?).with_context(|| path.display().to_string())
}

/// The secret of a file that nobody else can read.
///
/// # Errors
/// When there is no such file, or others can read it.
pub fn read_secret(path: &Path) -> Result<ClusterSecret> {
    parse_secret(&text(path)?).with_context(|| path.display().to_string())
}

fn text(path: &Path) -> Result<String> {
    let shown = path.display();
    let found = std::fs::metadata(path).with_context(|| shown.to_string())?;
    let mode = found.permissions().mode() & 0o777;
    ensure!(
        mode & 0o077 == 0,
        "{shown}: others can read this secret (mode {mode:o}); make it yours alone: chmod 600 {shown}"
    );
    ensure!(found.len() <= 1024, "{shown}: this is no file of a key");
    std::fs::read_to_string(path).with_context(|| shown.to_string())
}

/// Writes a new file; false if there is one.
fn create(path: &Path, text: &str) -> Result<bool> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    let mut file = match file {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => return Ok(false),
        opened => opened.with_context(|| path.display().to_string())?,
    };
    let written = file
        .write_all(format!("{text}\n").as_bytes())
        .and_then(|()| file.sync_all());
    written.with_context(|| path.display().to_string())?;
    Ok(true)
}

fn write_over(path: &Path, text: &str) -> Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(".new");
    let part = PathBuf::from(part);
    if !create(&part, text)? {
        bail!("{} is in the way; delete it", part.display());
    }
    std::fs::rename(&part, path).with_context(|| path.display().to_string())
}
