//! `cargo xtask undeploy`: ends the nodes and removes what deployments have brought to boards. Boards that cannot be reached
//! are named; the others are done all the same.

use anyhow::{Result, ensure};
use serde::Serialize;

use super::{
    over,
    places::{HOME, MARK, OWN_KEY, UNIT, UNIT_FILE},
    remote::{Remote, quoted},
};
use crate::{
    exit,
    flags::UndeployArgs,
    out::{note, outln},
};

/// Folders of the unit's state; systemd keeps that of units with users of their own below `private`.
const STATE: &str = "/var/lib/tessera /var/lib/private/tessera /run/tessera /run/private/tessera";

#[derive(Debug, Serialize)]
struct Told {
    version: u32,
    dry_run: bool,
    boards: Vec<BoardTold>,
}

#[derive(Debug, Serialize)]
struct BoardTold {
    board: String,
    removed: Vec<String>,
    left: Vec<String>,
    error: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// When something could not be removed from a board.
pub fn run(args: &UndeployArgs) -> Result<()> {
    let file = over::file(&args.cluster)?;
    let remotes = over::remotes(&file, &args.over, true)?;
    let text = script(args.dry_run, args.keep_records);
    let ended = over::each(&remotes, |r: &Remote| r.run(&text));
    let boards: Vec<BoardTold> = remotes
        .iter()
        .zip(ended)
        .map(|(remote, end)| {
            let (said, error) = match end {
                Ok(said) => (said, None),
                Err(e) => (String::new(), Some(exit::with_causes(&e))),
            };
            let of = |begin: &str| {
                let lines = said.lines().filter_map(|l| l.strip_prefix(begin));
                lines.map(Into::into).collect()
            };
            BoardTold {
                board: remote.name.clone(),
                removed: of("removed "),
                left: of("left "),
                error,
            }
        })
        .collect();
    let failed = boards.iter().filter(|b| b.error.is_some()).count();
    let count = boards.len();
    if args.over.json {
        let told = Told {
            version: 1,
            dry_run: args.dry_run,
            boards,
        };
        outln!("{}", serde_json::to_string_pretty(&told)?)?;
    } else {
        let verb = if args.dry_run {
            "would remove"
        } else {
            "removed"
        };
        for b in &boards {
            match &b.error {
                Some(e) => note!("error: {e}"),
                None if b.removed.is_empty() => outln!("{}: nothing was there", b.board)?,
                None => outln!("{}: {verb} {}", b.board, b.removed.join(" "))?,
            }
            for left in &b.left {
                outln!("{}: {left} stays", b.board)?;
            }
        }
    }
    ensure!(
        failed == 0,
        "{failed} of {count} boards, see above; the others are done. Repeat the command when that is mended"
    );
    Ok(())
}

/// Ends the unit, if it is ours, and removes all places. Prints a line for each thing that was there.
fn script(dry: bool, keep_records: bool) -> String {
    let mark = quoted(MARK);
    let state = if keep_records { "" } else { STATE };
    let kept = if keep_records {
        "for f in /var/lib/tessera /var/lib/private/tessera; do [ ! -e \"$f\" ] || echo \"left $f\"; done\n"
    } else {
        ""
    };
    let [end, remove] = if dry {
        ["", ":"]
    } else {
        [
            "systemctl disable --quiet --now tessera.service; ",
            "rm -rf",
        ]
    };
    let reload = if dry {
        "".to_owned()
    } else {
        format!(
            "[ -z \"$ours\" ] || {{ systemctl daemon-reload; systemctl reset-failed {UNIT} 2>/dev/null || true; }}\n"
        )
    };
    format!(
        "set -eu\nours=\n\
         gone() {{ if [ -e \"$1\" ] || [ -L \"$1\" ]; then {remove} \"$1\"; echo \"removed $1\"; fi; }}\n\
         if [ -e {UNIT_FILE} ]; then\n    if [ \"$(head -n 1 {UNIT_FILE})\" = {mark} ]; then\n        ours=yes\n        {end}gone {UNIT_FILE}\n\
         \x20   else\n        echo 'left {UNIT_FILE}, which no deploy wrote'\n    fi\nfi\n{reload}\
         for f in {HOME} /etc/default/tessera {state}; do gone \"$f\"; done\n{kept}\
         [ ! -e {OWN_KEY} ] || echo 'left {OWN_KEY}, which was made on the board'\n"
    )
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use super::*;

    /// Runs the script with all places below a folder.
    fn run(root: &std::path::Path, dry: bool, keep: bool) -> String {
        let mut text = script(dry, keep);
        for place in ["/opt/", "/etc/", "/var/lib/", "/run/"] {
            text = text.replace(place, &format!("{}{place}", root.display()));
        }
        let text = format!("systemctl() {{ echo \"systemctl $*\"; }}\n{text}");
        let out = Command::new("sh").args(["-c", &text]).output().unwrap();
        assert!(out.status.success(), "{out:?}");
        String::from_utf8(out.stdout).unwrap()
    }

    #[test]
    fn everything_goes_that_a_deploy_brought_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let make = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let there = |path: &str| root.join(path).exists();
        make(
            "etc/systemd/system/tessera.service",
            &format!("{MARK}\n[Unit]\n"),
        );
        make("opt/tessera/versions/aa/node", "x");
        make("opt/other/node", "x");
        make("var/lib/tessera/records.jsonl", "{}");
        let said = run(root, true, false);
        assert!(said.contains("removed ") && there("opt/tessera/versions/aa/node"));
        assert!(!said.contains("systemctl"), "{said}");
        run(root, false, true);
        assert!(!there("opt/tessera") && !there("etc/systemd/system/tessera.service"));
        assert!(there("var/lib/tessera/records.jsonl") && there("opt/other/node"));
        let said = run(root, false, false);
        assert!(
            !there("var/lib/tessera") && !said.contains("tessera.service"),
            "{said}"
        );
        assert_eq!(run(root, false, false), "");
        make("etc/systemd/system/tessera.service", "[Unit]\n");
        let said = run(root, false, false);
        assert!(
            said.contains("which no deploy wrote") && there("etc/systemd/system/tessera.service")
        );
    }
}
