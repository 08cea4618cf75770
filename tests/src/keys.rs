//! Keys for a cluster of tests: a cluster file with a public key per board, and the private ones beside it.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::Result;
use tempfile::TempDir;
use tessera_secure::{
    ClusterSecret, Invited, Links, PrivateKey, SenderOf, Sessions, parse_private,
};

/// A board of the file: its name and its roles.
pub type Board<'a> = (&'a str, &'a [&'a str]);

/// A cluster file and its keys in a folder of their own.
#[derive(Debug)]
pub struct Keys {
    dir: TempDir,
    names: Vec<String>,
}

fn secret() -> ClusterSecret {
    ClusterSecret::from_random([77; 32])
}

fn private(place: usize) -> PrivateKey {
    let mut bytes = [41; 32];
    // Not at the beginning, of which three bits do not count.
    bytes[8..16].copy_from_slice(&(place as u64 + 1).to_le_bytes());
    PrivateKey::from_random(bytes)
}

fn write_secret(path: &Path, text: &str) -> Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    Ok(writeln!(file, "{text}")?)
}

impl Keys {
    /// A gateway `hub`, and these edges.
    ///
    /// # Errors
    /// When files cannot be written.
    pub fn new(edges: &[Board<'_>]) -> Result<Self> {
        Self::with(&["gateway"], edges)
    }

    /// A gateway `hub` with these roles, and these edges.
    ///
    /// # Errors
    /// When files cannot be written.
    pub fn with(hub: &[&str], edges: &[Board<'_>]) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let mut text = "version = 1\n".to_owned();
        let boards = [("hub", hub)].into_iter().chain(edges.iter().copied());
        let mut names = Vec::new();
        for (place, (name, roles)) in boards.enumerate() {
            let key = private(place);
            write_secret(&dir.path().join(format!("{name}.key")), &key.to_text())?;
            text += &format!(
                "[[board]]\nname = {name:?}\ntarget = \"portable\"\nroles = {roles:?}\nkey = \"{}\"\nedge_key = \"{}\"\n",
                key.public(),
                key.of_second_node().public()
            );
            names.push(name.to_owned());
        }
        write_secret(&dir.path().join("cluster.secret"), &secret().to_text())?;
        fs::write(dir.path().join("cluster.toml"), text)?;
        Ok(Self { dir, names })
    }

    /// Adds `text` to the cluster file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn add(&self, text: &str) -> Result<()> {
        let mut file = OpenOptions::new().append(true).open(self.file())?;
        Ok(file.write_all(text.as_bytes())?)
    }

    /// The cluster file.
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("cluster.toml")
    }

    /// The file of a board's private key.
    pub fn key_file(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("{name}.key"))
    }

    /// The flags that give a node its keys.
    pub fn flags(&self, name: &str) -> Vec<String> {
        let file = self.file().display().to_string();
        ["--config", &file, "--name", name].map(Into::into).to_vec()
    }

    /// Takes a board out of the cluster, as `cargo xtask cluster remove` does.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn remove(&self, name: &str) -> Result<()> {
        let text = fs::read_to_string(self.file())?;
        let line = format!("name = {name:?}\n");
        let text = text.replace(&line, &format!("{line}removed = true\n"));
        let part = self.dir.path().join("part");
        fs::write(&part, text)?;
        Ok(fs::rename(part, self.file())?)
    }

    /// Sessions as the board `name` with all others, which are numbered in the order of the file.
    ///
    /// # Errors
    /// When its key cannot be read.
    pub fn links(&self, name: &str, seed: u8, sender_of: Option<SenderOf>) -> Result<Links> {
        let key = parse_private(&fs::read_to_string(self.key_file(name))?)?;
        let sessions = Sessions::new(key, secret(), [seed; 32], Links::config());
        let mut links = Links::new(sessions, sender_of);
        let all = self.names.iter().enumerate();
        let others: Vec<Invited> = all
            .filter(|(_, n)| *n != name)
            .map(|(place, n)| Invited {
                number: place as u16,
                name: n.clone(),
                public: private(place).public(),
            })
            .collect();
        links.invite(&others);
        Ok(links)
    }
}
