use std::{fs, os::unix::fs::PermissionsExt};

use clap::Parser;

use super::*;
use crate::flags::{Cli, Command};

fn call(file: &Path, words: &[&str]) -> Result<()> {
    let file = file.to_str().unwrap();
    let words = ["xtask", "cluster"]
        .into_iter()
        .chain(words.iter().copied());
    let words: Vec<&str> = words.chain(["--cluster", file]).collect();
    match Cli::try_parse_from(words)?.command {
        Command::Cluster(c) => run(&c),
        other => panic!("{other:?}"),
    }
}

fn keys(file: &Path) -> Vec<(String, Option<String>)> {
    let read = Edited::read(file).unwrap();
    let nodes = read.file.nodes();
    nodes
        .iter()
        .map(|n| (n.name(), n.key().map(Into::into)))
        .collect()
}

#[test]
fn boards_of_flags() {
    for (text, name, address, user) in [
        ("hub", "hub", None, None),
        ("hub=10.0.0.1:7400", "hub", Some("10.0.0.1:7400"), None),
        ("hub=pi@10.0.0.1", "hub", Some("10.0.0.1"), Some("pi")),
        (
            "hub=pi@[fd00::1]:7400",
            "hub",
            Some("[fd00::1]:7400"),
            Some("pi"),
        ),
    ] {
        let expected = Named {
            name,
            address,
            user,
        };
        assert_eq!(named(text), expected, "{text}");
    }
    let text = text::board(
        named("hub=pi@10.0.0.1:7400"),
        "aarch64",
        &["gateway".to_owned()],
    );
    assert!(
        text.contains("address = \"10.0.0.1:7400\"\nssh = \"pi@10.0.0.1\"\n"),
        "{text}"
    );
    let file: ClusterFile = toml::from_str(&("version = 1\n".to_owned() + &text)).unwrap();
    assert_eq!(file.board[0].ssh.as_deref(), Some("pi@10.0.0.1"));
}

#[test]
fn a_cluster_is_made_and_changed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cluster.toml");
    let words = [
        "init",
        "--gateway",
        "hub=10.0.0.1",
        "--source",
        "porch",
        "--edge",
        "shed",
        "attic=10.0.0.9",
    ];
    call(&file, &words).unwrap();
    let first = keys(&file);
    let names: Vec<&str> = first.iter().map(|(n, _)| &**n).collect();
    assert_eq!(names, ["hub", "porch", "shed", "attic"]);
    for (name, public) in &first {
        let private = key_file::read(&key_file::of(dir.path(), name)).unwrap();
        assert_eq!(public.as_deref(), Some(&*private.public().to_string()));
    }
    for secret in ["cluster.secret", "operator.key", "hub.key"] {
        let mode = fs::metadata(dir.path().join(secret))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{secret}");
    }
    // Again: nothing changes.
    let text = fs::read_to_string(&file).unwrap();
    call(&file, &["init"]).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    // Comments stay.
    fs::write(&file, text.replace("[[board]]", "# a board\n[[board]]")).unwrap();
    call(&file, &["remove", "shed"]).unwrap();
    assert!(call(&file, &["remove", "shed"]).is_err(), "twice");
    assert!(call(&file, &["remove", "hub"]).is_err(), "the gateway");
    assert!(call(&file, &["remove", "cellar"]).is_err(), "unknown");
    let mut now = first.clone();
    now[2].1 = None;
    assert_eq!(keys(&file), now);
    call(&file, &["add", "shed"]).unwrap();
    assert_eq!(keys(&file), first, "its key is still in its file");
    call(&file, &["rotate", "shed"]).unwrap();
    assert!(keys(&file)[2].1.is_some() && keys(&file)[2] != first[2]);
    let given = first[2].1.clone().unwrap();
    call(&file, &["add", "cellar", "--key", &given]).unwrap();
    assert_eq!(keys(&file)[4], ("cellar".into(), Some(given)));
    assert!(!key_file::of(dir.path(), "cellar").exists());
    assert_eq!(
        fs::read_to_string(&file)
            .unwrap()
            .matches("# a board")
            .count(),
        4
    );
    let secret = fs::read(dir.path().join("cluster.secret")).unwrap();
    call(&file, &["rotate", "--secret"]).unwrap();
    assert_ne!(fs::read(dir.path().join("cluster.secret")).unwrap(), secret);
    for wrong in [
        &["add", "../x"][..],
        &["add", "cellar"],
        &["add", "x", "--key", "none"],
        &["add", "x", "--roles", "gateway"],
    ] {
        assert!(call(&file, wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn a_described_cluster_gets_keys() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.toml");
    let text = "version = 1 # of the form\n\n[[board]]\nname = \"hub\" # in the hall\nroles = [\"gateway\", \"edge\"]\ntarget = \"armv7\"\n\n[[board]]\nname = \"porch\"\ntarget = \"armv7\"\n";
    fs::write(&file, text).unwrap();
    call(&file, &["init"]).unwrap();
    let private = key_file::read(&key_file::of(dir.path(), "hub")).unwrap();
    let found = keys(&file);
    assert_eq!(
        found[2],
        (
            "hub.edge".into(),
            Some(private.of_second_node().public().to_string())
        )
    );
    assert!(found[1].1.is_some());
    let after = fs::read_to_string(&file).unwrap();
    let kept = |l: &str| !l.contains("key = ") && !l.contains("operator = ");
    let kept: Vec<&str> = after.lines().filter(|l| kept(l)).collect();
    assert_eq!(kept.join("\n") + "\n", text);
    // What the planner reads.
    let (cluster, mistakes) =
        tessera_planner::cluster::read(after.as_bytes(), &|_, _| Err("none".into()));
    assert!(cluster.is_some(), "{mistakes:?}");
    assert!(
        call(&file, &["init", "--gateway", "x"]).is_err(),
        "it is there"
    );
    assert!(
        call(&dir.path().join("none.toml"), &["init"]).is_err(),
        "no boards"
    );
}
