//! `NAME.deb`, by dpkg itself.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use tessera_needs::needs;

use crate::common::{demo, detects, file, packages, run, scratch};

const NAME: &str = "tessera-node";

/// dpkg for the system whose root is `root`. Scripts run here, and are told of the root.
fn dpkg(root: &Path) -> Command {
    let mut command = Command::new("dpkg");
    let mut flag = std::ffi::OsString::from("--root=");
    flag.push(root);
    command.arg(flag).arg("--force-script-chrootless");
    command
}

/// Every file below `dir`, but for what dpkg itself keeps.
fn files(dir: &Path, root: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path
            .strip_prefix(root)
            .unwrap()
            .to_string_lossy()
            .into_owned();
        if name == "var/lib/dpkg" || name.starts_with("var/log") {
            continue;
        }
        if path.is_dir() && !path.is_symlink() {
            files(&path, root, found);
        } else {
            found.push(name);
        }
    }
}

#[needs(dpkg)]
#[test]
fn dpkg_reads_the_package() {
    let deb = file(packages(), ".deb", "");
    let info = run(Command::new("dpkg-deb").arg("--info").arg(&deb));
    for line in [
        " Package: tessera-node",
        " Maintainer: Ada <ada@example.org>",
        " Recommends: ffmpeg",
        " Version: 0.1.0+",
    ] {
        assert!(info.contains(line), "{line}: {info}");
    }
    let native = run(Command::new("dpkg").arg("--print-architecture"));
    let architecture = run(Command::new("dpkg-deb")
        .arg("--field")
        .arg(&deb)
        .arg("Architecture"));
    assert_eq!(architecture, native);
    let contents = run(Command::new("dpkg-deb").arg("--contents").arg(&deb));
    for (mode, name) in [
        ("-rwxr-xr-x root/root", "./usr/bin/tessera-node"),
        ("-rw-r--r-- root/root", "./usr/share/tessera/weights.bin"),
        (
            "-rw-r--r-- root/root",
            "./usr/lib/systemd/system/tessera-node.service",
        ),
        ("drwx------ root/root", "./etc/tessera/"),
        (
            "-rw-r--r-- root/root",
            "./usr/share/man/man1/tessera-node.1.gz",
        ),
    ] {
        let line = contents.lines().find(|l| l.ends_with(name));
        assert!(
            line.is_some_and(|l| l.starts_with(mode)),
            "{name}: {contents}"
        );
    }
}

#[needs(dpkg)]
#[test]
fn dpkg_installs_and_removes_the_package() {
    let root = scratch("root");
    for dir in [
        "var/lib/dpkg/info",
        "var/lib/dpkg/updates",
        "var/lib/dpkg/triggers",
        "etc",
    ] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    for name in ["status", "available"] {
        fs::write(root.join("var/lib/dpkg").join(name), "").unwrap();
    }
    run(dpkg(&root)
        .arg("--install")
        .arg(file(packages(), ".deb", "")));
    let state = run(dpkg(&root).args(["--status", NAME]));
    assert!(state.contains("Status: install ok installed"), "{state}");
    // What was unpacked is what was packed.
    assert_eq!(run(dpkg(&root).args(["--verify", NAME])), "");
    let enabled = root.join("etc/systemd/system/multi-user.target.wants/tessera-node.service");
    assert!(enabled.is_symlink(), "it starts with the board");
    let keys = fs::metadata(root.join("etc/tessera")).unwrap();
    assert_eq!(keys.permissions().mode() & 0o777, 0o700);

    let share = root.join("usr/share/tessera");
    let mut node = Command::new(root.join("usr/bin/tessera-node"));
    let picture = demo().join("demo.png");
    detects(
        node.args(["solo", "--weights"])
            .arg(share.join("weights.bin"))
            .arg("--image")
            .arg(picture),
    );

    // What people changed stays with `remove`, and goes with `purge`; the board's own key stays.
    let default = root.join("etc/default/tessera-node");
    let changed = fs::read_to_string(&default).unwrap() + "TESSERA_ROLE=gateway\n";
    fs::write(&default, &changed).unwrap();
    fs::write(root.join("etc/tessera/node.key"), "key").unwrap();
    fs::create_dir_all(root.join("var/lib/private/tessera")).unwrap();
    fs::write(root.join("var/lib/private/tessera/records.jsonl"), "").unwrap();
    run(dpkg(&root).args(["--remove", NAME]));
    assert!(!share.exists());
    assert_eq!(fs::read_to_string(&default).unwrap(), changed);
    run(dpkg(&root).args(["--purge", NAME]));
    let mut left = Vec::new();
    files(&root, &root, &mut left);
    assert_eq!(left, ["etc/tessera/node.key"]);
}
