//! The page and the completions of a node. A node reads its command line with a small library, which knows no descriptions: they
//! are made of the text that `node --help` prints, so that they cannot differ from it.

use anyhow::{Context, Result};
use clap::{Arg, ArgAction, Command, ValueHint};
use clap_complete::Shell;
use clap_mangen::{
    Man,
    roff::{Inline, Roff, bold, roman},
};

use super::completion;

/// What `node --help` says.
const HELP: &str = include_str!("../../../runtime/node/src/args/help.txt");
/// Where descriptions of flags begin in a line.
const COLUMN: usize = 24;
/// Where descriptions of roles begin.
const ROLE_COLUMN: usize = 12;

/// A flag, as the text describes it.
#[derive(Debug)]
struct Flag {
    name: &'static str,
    value: Option<&'static str>,
    heading: &'static str,
    text: String,
}

/// A role: what a node does.
#[derive(Debug)]
struct Role {
    name: &'static str,
    text: String,
    flags: String,
}

/// The parts of the text.
#[derive(Debug, Default)]
struct Help {
    about: &'static str,
    roles: Vec<Role>,
    flags: Vec<Flag>,
    last: String,
}

/// Reads the text.
fn help() -> Result<Help> {
    let mut help = Help::default();
    let mut paragraphs = HELP.split("\n\n");
    help.about = paragraphs.next().context("no text")?.trim_end_matches('.');
    for paragraph in paragraphs {
        let (title, lines) = paragraph.split_once('\n').unwrap_or((paragraph, ""));
        if title.starts_with("Usage") {
            continue;
        }
        if !lines.starts_with("  ") {
            help.last = words(paragraph);
            continue;
        }
        let heading = title.split(',').next().unwrap_or(title);
        for line in lines.lines() {
            let entry = line.strip_prefix("  ").filter(|l| !l.starts_with(' '));
            match (title, entry) {
                ("Roles", Some(entry)) => {
                    let (name, text) = split(entry, ROLE_COLUMN - 2)?;
                    help.roles.push(Role {
                        name,
                        text: text.into(),
                        flags: String::new(),
                    });
                }
                ("Roles", None) => {
                    let role = help.roles.last_mut().context("a line before all roles")?;
                    let line = line.trim();
                    let is_flags = line.starts_with(['-', '[', 'i']) && line.contains("--")
                        || line.starts_with("inputs");
                    let to = if is_flags || !role.flags.is_empty() {
                        &mut role.flags
                    } else {
                        &mut role.text
                    };
                    if !to.is_empty() {
                        to.push(' ');
                    }
                    to.push_str(line);
                }
                (_, Some(entry)) => {
                    let (flag, text) = split(entry, COLUMN - 2)?;
                    let (name, value) = match flag.split_once(' ') {
                        Some((name, value)) => (name, Some(value)),
                        None => (flag, None),
                    };
                    help.flags.push(Flag {
                        name: name.strip_prefix("--").context("no flag")?,
                        value,
                        heading,
                        text: text.into(),
                    });
                }
                (_, None) => {
                    let flag = help.flags.last_mut().context("a line before all flags")?;
                    flag.text.push(' ');
                    flag.text.push_str(line.trim());
                }
            }
        }
    }
    Ok(help)
}

/// An entry's name and its description, which begins at a column, or behind the space that follows a longer name.
fn split(entry: &'static str, column: usize) -> Result<(&'static str, &'static str)> {
    let is_longer = entry.as_bytes().get(column - 1).is_some_and(|b| *b != b' ');
    let end = match entry.get(column..).and_then(|rest| rest.find(' ')) {
        Some(more) if is_longer => column + more,
        _ => column,
    };
    let (name, text) = entry.split_at_checked(end).context("a short line")?;
    Ok((name.trim_end(), text.trim()))
}

/// Text in one line.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a value is, for shells that complete it.
fn hint(value: &str) -> ValueHint {
    match value {
        v if v.starts_with("FILE") => ValueHint::FilePath,
        v if v.starts_with("DIR") => ValueHint::DirPath,
        v if v.contains("FROM") => ValueHint::AnyPath,
        v if v.starts_with("HOST") => ValueHint::Hostname,
        _ => ValueHint::Other,
    }
}

/// Values that a flag may have, where the text lists them all.
fn values(flag: &Flag) -> &'static [&'static str] {
    match flag.name {
        "log" => &["off", "error", "warn", "info", "debug"],
        "http-profile" => &["deepstack", "codeproject"],
        _ => &[],
    }
}

/// The command line, as shells and pages know it.
fn command(name: &'static str, help: &Help) -> Command {
    // Roles are commands here: shells offer these first.
    let roles = help
        .roles
        .iter()
        .map(|r| Command::new(r.name).about(r.text.clone()));
    let mut command = Command::new(name)
        .bin_name(name)
        .version(env!("CARGO_PKG_VERSION"))
        .about(help.about)
        .disable_help_subcommand(true)
        .subcommands(roles);
    for flag in &help.flags {
        let arg = Arg::new(flag.name)
            .long(flag.name)
            .help(flag.text.clone())
            .help_heading(flag.heading)
            .global(true);
        command = command.arg(match flag.value {
            None => arg.action(ArgAction::SetTrue),
            Some(value) => {
                let many = value.ends_with("...");
                let arg = arg
                    .value_name(value.trim_end_matches('.'))
                    .value_hint(hint(value))
                    .action(ArgAction::Append);
                let arg = if many { arg.num_args(1..) } else { arg };
                match values(flag) {
                    [] => arg,
                    all => arg.value_parser(all.to_vec()),
                }
            }
        });
    }
    command
}

/// The manual page of a node that is called `name`.
///
/// # Errors
/// When the text of the help has another form than this module knows.
pub fn node_page(name: &'static str) -> Result<Vec<u8>> {
    let help = help()?;
    let man = Man::new(command(name, &help)).manual("Tessera");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    for role in &help.roles {
        roff.text([
            bold(name),
            roman(" "),
            bold(role.name),
            roman(format!(" {}", role.flags)),
        ]);
        roff.control("br", []);
    }
    roff.control("SH", ["ROLES"]);
    for role in &help.roles {
        entry(&mut roff, vec![bold(role.name)], &role.text);
    }
    let mut heading = "";
    for flag in &help.flags {
        if flag.heading != heading {
            heading = flag.heading;
            roff.control("SH", [heading.to_uppercase().as_str()]);
        }
        let mut title = vec![bold(format!("--{}", flag.name))];
        title.extend(flag.value.map(|v| roman(format!(" {v}"))));
        entry(&mut roff, title, &flag.text);
    }
    roff.control("SH", ["SIGNALS AND EXIT STATUS"]);
    roff.text([roman(help.last.clone())]);
    roff.control("SH", ["FILES"]);
    for (file, text) in FILES {
        entry(&mut roff, vec![bold(file)], text);
    }
    roff.to_writer(&mut page)?;
    Ok(page)
}

/// What an installed node reads and writes.
const FILES: [(&str, &str); 4] = [
    (
        "/etc/tessera/cluster.toml, cluster.secret, node.key",
        "of the installed package: who takes part, and this board's keys. cargo xtask cluster init makes them; \
         the key of board NAME is called NAME.key there",
    ),
    (
        "/etc/default/tessera-node",
        "of the installed package: the board's name and role, and more flags",
    ),
    (
        "/usr/share/tessera/weights.bin",
        "of the installed package: the weights",
    ),
    (
        "/var/lib/tessera/records.jsonl",
        "of the installed package: a gateway's records",
    ),
];

fn entry(roff: &mut Roff, title: Vec<Inline>, text: &str) {
    roff.control("TP", []);
    roff.text(title);
    roff.text([roman(text)]);
}

/// What a shell reads to complete the words of a node that is called `name`.
///
/// # Errors
/// As [`node_page`].
pub fn node_completion(name: &'static str, shell: Shell) -> Result<String> {
    // clap_complete 4.6 loses the commands below a name with a hyphen: it writes the name in two ways.
    const PLAIN: &str = "tesseranode";
    let text = completion(command(PLAIN, &help()?), PLAIN, shell)?;
    Ok(text.replace(PLAIN, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_is_understood() {
        let help = help().unwrap();
        let roles: Vec<&str> = help.roles.iter().map(|r| r.name).collect();
        for role in ["gateway", "edge", "solo", "doctor", "join", "keygen"] {
            assert!(roles.contains(&role), "{roles:?}");
        }
        let edge = help.roles.iter().find(|r| r.name == "edge").unwrap();
        assert!(edge.flags.contains("--gateway HOST:PORT"), "{edge:?}");
        // Every line that begins with a flag is one.
        let lines = HELP.lines().filter(|l| l.starts_with("  --"));
        assert_eq!(help.flags.len(), lines.count());
        for flag in &help.flags {
            assert!(
                !flag.text.is_empty() && !flag.text.starts_with('-'),
                "{flag:?}"
            );
        }
        let find = |name| help.flags.iter().find(|f| f.name == name).unwrap();
        assert_eq!(find("weights").value, Some("FILE"));
        assert_eq!(find("source").value, Some("[NAME=]FROM..."));
        assert_eq!(find("letterbox").value, None);
        assert_eq!(find("config").heading, "Keys");
        assert!(find("log").text.contains("off, error, warn, info, debug"));
        assert!(help.last.starts_with("SIGTERM"));
    }

    /// The command line is one: clap looks itself over.
    #[test]
    fn commands_hold_together() {
        command("node", &help().unwrap()).debug_assert();
        super::super::command("xtask").debug_assert();
    }
}
