//! Brings a version to a board, beside the one that runs. Files that the board has, in any version or half sent one, are not
//! sent again: they are linked there. A version gets its name when all digests have been checked on the board.

use std::{fmt::Write as _, io};

use anyhow::Result;
use serde::Serialize;

use super::{
    installed::Installed,
    places::{HOME, MANIFEST, SECRET},
    remote::Remote,
    version::{BoardVersion, Item},
};

/// How a file comes into its version.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// It is sent.
    Sent,
    /// The board has it.
    Kept,
}

/// A file, and how it comes there.
#[derive(Clone, Debug, Serialize)]
pub struct Sending {
    /// The file.
    #[serde(flatten)]
    pub item: Item,
    /// How it comes there.
    pub way: Way,
    /// Where the board has it.
    #[serde(skip)]
    from: Option<String>,
}

/// How all files of a version come to a board.
pub fn plan(version: &BoardVersion, installed: &Installed) -> Vec<Sending> {
    let of = |item: &Item| {
        let from = installed.files.get(&item.sha256).cloned();
        Sending {
            item: item.clone(),
            way: if from.is_some() { Way::Kept } else { Way::Sent },
            from,
        }
    };
    version.items.iter().map(of).collect()
}

/// Bytes that are sent.
pub fn bytes(all: &[Sending]) -> u64 {
    let sent = all.iter().filter(|s| matches!(s.way, Way::Sent));
    sent.map(|s| s.item.needed_bytes).sum()
}

/// True if the board has the complete version.
pub fn is_there(id: &str, all: &[Sending], installed: &Installed) -> bool {
    installed.versions.contains(id) && all.iter().all(|s| s.from.is_some())
}

/// Brings the version `id` to the board.
///
/// # Errors
/// When the board cannot be reached, has no room, or got other bytes than were sent. What came there stays in `ID.part`, and is
/// not sent again.
pub fn send(remote: &Remote, id: &str, all: &[Sending]) -> Result<()> {
    let sent: Vec<&Item> = all
        .iter()
        .filter(|s| s.from.is_none())
        .map(|s| &s.item)
        .collect();
    remote.run_with(&script(id, all), |stdin| -> io::Result<()> {
        for item in sent {
            item.content.write(stdin)?;
        }
        Ok(())
    })?;
    Ok(())
}

/// Links what is there, takes the rest from standard input in order, checks all, and gives the version its name.
fn script(id: &str, all: &[Sending]) -> String {
    let part = format!("versions/{id}.part");
    let mut s = format!(
        "set -eu\numask 022\nmkdir -p {HOME}/versions\ncd {HOME}\nmkdir -p {part}\nmkdir -p -m 700 {part}/{SECRET}\n\
         keep() {{ [ \"$1\" = \"{part}/$2\" ] || ln -f \"$1\" \"{part}/$2\"; }}\n\
         take() {{ rm -f \"{part}/$2\"; head -c \"$1\" | (umask 077; dd of=\"{part}/$2\" bs=64k iflag=fullblock conv=sparse status=none); }}\n"
    );
    let mut manifest = String::new();
    // Links first: what is sent may take the place of a half sent file, not of one that is linked from there.
    for sending in all {
        if let Some(from) = &sending.from {
            let _ = writeln!(s, "keep '{from}' '{}'", sending.item.name);
        }
        let _ = writeln!(manifest, "{}  {}", sending.item.sha256, sending.item.name);
    }
    for sending in all.iter().filter(|s| s.from.is_none()) {
        let _ = writeln!(s, "take {} '{}'", sending.item.bytes, sending.item.name);
    }
    let _ = write!(
        s,
        "cd {part}\ncat > {MANIFEST} <<'END'\n{manifest}END\n\
         sha256sum --quiet -c {MANIFEST} >&2 || {{ echo 'what arrived is not what was sent; repeat the command' >&2; exit 1; }}\n\
         chmod 755 node\nchmod 644 weights.* tessera.service plan {MANIFEST}\nchmod 600 {SECRET}/*\n\
         cd {HOME}\nsync\nrm -rf versions/{id}\nmv {part} versions/{id}\n"
    );
    s
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        process::{Command, Stdio},
    };

    use sha2::{Digest, Sha256};
    use tessera_planner::options::Target;

    use super::{
        super::{content::Content, unit::Start},
        *,
    };

    fn item(name: &str, bytes: &[u8]) -> Item {
        Item {
            name: name.into(),
            bytes: bytes.len() as u64,
            needed_bytes: bytes.len() as u64,
            sha256: hex::encode(Sha256::digest(bytes)),
            content: Content::Bytes(bytes.into()),
        }
    }

    /// Runs the script of a version in a folder that stands for the board's root.
    fn stage(root: &std::path::Path, id: &str, all: &[Sending], input: &[u8]) -> bool {
        let home = root.display().to_string() + HOME;
        let script = script(id, all).replace(HOME, &home);
        let mut sh = Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        sh.stdin.take().unwrap().write_all(input).unwrap();
        sh.wait().unwrap().success()
    }

    #[test]
    fn what_is_there_is_linked_and_what_is_damaged_gets_no_name() {
        let dir = tempfile::tempdir().unwrap();
        let zeros = vec![0; 300_000];
        let items = vec![
            item("node", b"program"),
            item("weights.bin", &zeros),
            item("tessera.service", b"unit"),
            item("plan", b"77\n"),
            item("secret/node.key", b"key"),
        ];
        let version = BoardVersion {
            board: "porch".into(),
            number: 1,
            target: Target::Portable,
            start: Start::Edge {
                workers: 1,
                threads: 1,
                source: true,
            },
            items,
        };
        let mut installed = Installed::default();
        let all = plan(&version, &installed);
        assert_eq!(bytes(&all), 300_000 + 7 + 4 + 3 + 3);
        let sent = [&b"program"[..], &zeros, b"unit", b"77\n", b"key"].concat();
        let versions = dir.path().join("opt/tessera/versions");
        assert!(
            !stage(dir.path(), "aa", &all, &sent[..sent.len() - 1]),
            "cut off"
        );
        assert!(!versions.join("aa").exists() && versions.join("aa.part").exists());
        assert!(stage(dir.path(), "aa", &all, &sent));
        let read = |name: &str| std::fs::read(versions.join(name)).unwrap();
        assert_eq!(read("aa/node"), b"program");
        assert_eq!(read("aa/weights.bin"), zeros);
        assert!(!versions.join("aa.part").exists());
        // The next version differs in one file.
        for name in ["node", "weights.bin", "plan", "secret/node.key"] {
            let found = version.items.iter().find(|i| i.name == name).unwrap();
            installed
                .files
                .insert(found.sha256.clone(), format!("versions/aa/{name}"));
        }
        let all = plan(&version, &installed);
        assert_eq!(bytes(&all), 4);
        assert!(!is_there("bb", &all, &installed));
        assert!(stage(dir.path(), "bb", &all, b"unit"));
        use std::os::unix::fs::MetadataExt;
        let inode = |name: &str| std::fs::metadata(versions.join(name)).unwrap().ino();
        assert_eq!(inode("aa/weights.bin"), inode("bb/weights.bin"));
        assert_eq!(read("bb/tessera.service"), b"unit");
    }
}
