//! `cargo xtask cluster`: who may take part. The cluster file says it, with public keys; private keys and the cluster's secret
//! lie beside the file, for the boards. Comments and the order of the file stay.

pub mod key_file;
mod pair;
mod text;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use tessera_plan::files::cluster::{BYTES_MAX, BoardEntry, ClusterFile};
use tessera_planner::{cluster::rewritten, options::Target};
use tessera_secure::{PublicKey, parse_public};

use crate::{
    files::{self, Output},
    flags::{AddArgs, ClusterCommand, InitArgs, RemoveArgs, RotateArgs},
    out::outln,
    workspace,
};

/// Longest name of a board with a key: a label of DNS.
const NAME_BYTES_MAX: usize = 63;

/// Runs the command.
///
/// # Errors
/// When the file cannot be read, changed or written, or a key is wrong.
pub fn run(command: &ClusterCommand) -> Result<()> {
    match command {
        ClusterCommand::Init(a) => init(a),
        ClusterCommand::Add(a) => add(a),
        ClusterCommand::Pair(a) => pair::run(a),
        ClusterCommand::Remove(a) => remove(a),
        ClusterCommand::Rotate(a) => rotate(a),
    }
}

/// A cluster file that is being changed.
struct Edited {
    path: PathBuf,
    text: String,
    file: ClusterFile,
}

impl Edited {
    fn read(path: &Path) -> Result<Self> {
        let advice = "make one with cargo xtask cluster init, or see docs/cluster.md";
        let text = String::from_utf8(files::read(path, BYTES_MAX, advice)?)
            .with_context(|| format!("{}: this is no text", path.display()))?;
        Ok(Self {
            path: path.into(),
            file: parse(path, &text)?,
            text,
        })
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    fn board(&self, name: &str) -> Result<&BoardEntry> {
        let found = self.file.board.iter().find(|b| b.name == name);
        let names: Vec<&str> = self.file.board.iter().map(|b| &*b.name).collect();
        found.with_context(|| {
            format!(
                "there is no board {name:?}; boards are {}",
                names.join(", ")
            )
        })
    }

    /// Sets values of a board.
    fn set(&mut self, board: &str, values: Vec<(&'static str, String)>) -> Result<()> {
        let text = rewritten(&self.text, &[(board, values)]);
        self.text = text.with_context(|| {
            format!(
                "{}: cannot change this form of [[board]]",
                self.path.display()
            )
        })?;
        self.file = parse(&self.path, &self.text)?;
        Ok(())
    }

    /// Gives a board a public key: the given one, or that of a key pair in its file, new with `again`.
    fn give_key(&mut self, name: &str, given: Option<&str>, again: bool) -> Result<()> {
        check_name(name)?;
        let board = self.board(name)?;
        let second = board.has("gateway") && board.is_edge();
        let was_removed = board.removed;
        let mut values = match given {
            Some(_) if second => bail!(
                "{name} has two nodes, the gateway and its edge: write the key and the edge_key that `node keygen` printed into {}",
                self.path.display()
            ),
            Some(key) => vec![("key", quoted(&public(key)?))],
            None => {
                let path = key_file::of(self.folder(), name);
                let key = match again {
                    true => key_file::replace(&path)?,
                    false => key_file::make(&path)?,
                };
                let mut values = vec![("key", quoted(&key.public()))];
                if second {
                    values.push(("edge_key", quoted(&key.of_second_node().public())));
                }
                values
            }
        };
        if was_removed {
            values.push(("removed", "false".into()));
        }
        self.set(name, values)
    }

    /// Appends a board.
    fn append(&mut self, board: Named<'_>, target: &str, roles: &[String]) -> Result<()> {
        check_name(board.name)?;
        check_target(target)?;
        self.text = self.text.trim_end().to_owned() + "\n";
        self.text += &text::board(board, target, roles);
        self.file = parse(&self.path, &self.text)?;
        Ok(())
    }

    fn write(&self) -> Result<()> {
        Output::check("--cluster", &self.path)?.write(self.text.as_bytes())?;
        outln!("wrote {}", workspace::show(&self.path))
    }
}

fn parse(path: &Path, text: &str) -> Result<ClusterFile> {
    toml::from_str(text).with_context(|| path.display().to_string())
}

fn public(text: &str) -> Result<PublicKey> {
    parse_public(text).context("--key")
}

fn quoted(key: &PublicKey) -> String {
    format!("\"{key}\"")
}

/// Names stand in names of files and in the tables of sessions.
fn check_name(name: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_name = (1..=NAME_BYTES_MAX).contains(&name.len()) && name.chars().all(fits);
    ensure!(
        is_name && !name.starts_with('.'),
        "{name:?} is no name of a board with a key: 1 to 63 letters, digits, '-', '_' and '.' make one"
    );
    Ok(())
}

/// A board as flags name it: `NAME[=[USER@]ADDRESS]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Named<'a> {
    name: &'a str,
    /// Where its node is reached.
    address: Option<&'a str>,
    /// Who logs in there by ssh.
    user: Option<&'a str>,
}

fn named(text: &str) -> Named<'_> {
    let (name, rest) = match text.split_once('=') {
        Some((name, rest)) => (name, Some(rest)),
        None => (text, None),
    };
    let (user, address) = match rest.and_then(|r| r.split_once('@')) {
        Some((user, address)) => (Some(user), Some(address)),
        None => (None, rest),
    };
    Named {
        name,
        address,
        user,
    }
}

fn init(a: &InitArgs) -> Result<()> {
    let path = &a.at.file;
    let described = a.gateway.is_some() || !a.source.is_empty() || !a.edge.is_empty();
    let mut edited = if path.exists() {
        ensure!(
            !described,
            "{} is there: it says which boards there are; add one with cargo xtask cluster add",
            path.display()
        );
        Edited::read(path)?
    } else {
        let text = begin(a)?;
        Edited {
            path: path.clone(),
            file: parse(path, &text)?,
            text,
        }
    };
    let boards = edited.file.board.iter().filter(|b| !b.removed);
    let keyless = boards.filter(|b| {
        let second = b.has("gateway") && b.is_edge();
        b.key.is_none() || second && b.edge_key.is_none()
    });
    let keyless: Vec<String> = keyless.map(|b| b.name.clone()).collect();
    for name in &keyless {
        edited.give_key(name, None, false)?;
    }
    key_file::make_secret(&edited.folder().join(key_file::SECRET))?;
    if edited.file.operator.is_none() {
        let key = key_file::make(&edited.folder().join(key_file::OPERATOR))?;
        edited.text = text::with_operator(&edited.text, &key.public().to_string());
        edited.file = parse(path, &edited.text)?;
    }
    edited.write()?;
    let folder = workspace::show(edited.folder());
    let folder = if folder.is_empty() {
        ".".into()
    } else {
        folder
    };
    outln!(
        "Keys are in {folder}, readable by you alone: {} new, {}, {}.",
        keyless.len(),
        key_file::SECRET,
        key_file::OPERATOR
    )?;
    outln!(
        "Copy to each board, by a way that you trust: {}, {} and the board's own NAME.key. Then start its node there with",
        path.file_name().unwrap_or_default().display(),
        key_file::SECRET
    )?;
    outln!("  --config cluster.toml --name NAME")?;
    outln!(
        "Keep {} here: with it, calibrate --cluster asks probes.",
        key_file::OPERATOR
    )
}

/// A new cluster file.
fn begin(a: &InitArgs) -> Result<String> {
    let gateway = a.gateway.as_deref().with_context(|| {
        format!(
            "{} is not there; for a new one give --gateway NAME=ADDRESS, --source NAME.. and --edge NAME..",
            a.at.file.display()
        )
    })?;
    ensure!(
        !a.source.is_empty(),
        "give the boards that bring frames: --source NAME.."
    );
    check_target(&a.target)?;
    let roles = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
    let mut text = text::HEAD.to_owned();
    let boards = std::iter::once((gateway, roles(&["gateway"])))
        .chain(
            a.source
                .iter()
                .map(|s| (s.as_str(), roles(&["edge", "source"]))),
        )
        .chain(a.edge.iter().map(|e| (e.as_str(), roles(&["edge"]))));
    let mut names: Vec<&str> = Vec::new();
    for (board, roles) in boards {
        let board = named(board);
        let name = board.name;
        check_name(name)?;
        ensure!(!names.contains(&name), "two boards are called {name:?}");
        names.push(name);
        text += &text::board(board, &a.target, &roles);
    }
    Ok(text)
}

fn check_target(name: &str) -> Result<()> {
    ensure!(
        Target::from_name(name).is_some(),
        "--target {name}: unknown; known are {}",
        Target::ALL.map(Target::name).join(", ")
    );
    Ok(())
}

fn add(a: &AddArgs) -> Result<()> {
    let mut edited = Edited::read(&a.at.file)?;
    let given = named(&a.name);
    let name = given.name;
    check_name(name)?;
    let before = numbers(&edited.file);
    match edited.file.board.iter().find(|b| b.name == name) {
        Some(board) => ensure!(
            board.removed,
            "{name} takes part already; cargo xtask cluster rotate gives it a new key"
        ),
        None => {
            for role in &a.roles {
                ensure!(
                    ["edge", "source", "observer"].contains(&role.as_str()),
                    "--roles {role}: a board that is added is an edge, a source, or both, or an observer"
                );
            }
            let observes = a.roles.iter().any(|r| r == "observer");
            ensure!(
                !observes || a.roles.len() == 1,
                "--roles: an observer has no other role"
            );
            edited.append(given, &a.target, &a.roles)?;
        }
    }
    edited.give_key(name, a.key.as_deref(), false)?;
    edited.write()?;
    let after = numbers(&edited.file);
    if after.iter().take(before.len()).ne(&before) {
        outln!(
            "The numbers of boards have changed: plan again, and start all nodes with the new plan and file."
        )?;
    }
    outln!(
        "Copy the file to all boards{}.",
        key_is_where(name, a.key.as_deref())
    )
}

/// What is to be done with a key of this machine.
fn key_is_where(name: &str, given: Option<&str>) -> String {
    match given {
        Some(_) => String::new(),
        None => format!(", and to {name} its {name}.key and {}", key_file::SECRET),
    }
}

fn numbers(file: &ClusterFile) -> Vec<String> {
    file.nodes().iter().map(|n| n.name()).collect()
}

fn remove(a: &RemoveArgs) -> Result<()> {
    let mut edited = Edited::read(&a.at.file)?;
    let board = edited.board(&a.name)?;
    ensure!(!board.removed, "{} is removed already", a.name);
    ensure!(
        !board.has("gateway"),
        "{} is the gateway: without it there is no cluster; give it a new key with cargo xtask cluster rotate {0}",
        a.name
    );
    edited.set(&a.name, vec![("removed", "true".into())])?;
    edited.write()?;
    outln!(
        "Copy the file to all boards: nodes that run refuse {} within a second of that. The board knows the cluster's secret: \
         cargo xtask cluster rotate --secret makes a new one.",
        a.name
    )
}

fn rotate(a: &RotateArgs) -> Result<()> {
    let mut edited = Edited::read(&a.at.file)?;
    let Some(name) = &a.name else {
        let path = edited.folder().join(key_file::SECRET);
        key_file::replace_secret(&path)?;
        outln!("wrote {}", workspace::show(&path))?;
        return outln!(
            "Copy it to all boards, and restart all nodes: nodes with the old secret and nodes with the new one do not speak with each other."
        );
    };
    edited.board(name)?;
    edited.give_key(name, a.key.as_deref(), true)?;
    edited.write()?;
    outln!(
        "Copy the file to all boards{}, and restart the node of {name}.",
        key_is_where(name, a.key.as_deref())
    )
}

#[cfg(test)]
mod tests;
