//! Anything as an output, at every role: a clear line, no harm, no hang.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    os::unix::{
        fs::{FileTypeExt, OpenOptionsExt, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use nix::{
    errno::Errno,
    fcntl::OFlag,
    sys::{
        signal::Signal,
        stat::{Mode, SFlag, makedev, mknod},
    },
    unistd::mkfifo,
};
use tempfile::TempDir;
use tessera_tests::rig::{Cluster, Edge, End, Group, NodeBinary, Process, SHORT, Setup, wait_for};

use crate::common::{Frames, LONG, node};

/// What may become of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The node says at once that it will not write there.
    Refused,
    /// Everything is written.
    Taken,
    /// Nothing is written: the disk is full, or nobody reads.
    Fails,
    /// A write waits.
    Waits,
}

/// Something that a path may lead to.
struct Kind {
    name: &'static str,
    path: PathBuf,
    fate: Fate,
}

/// All kinds, each with a symbolic link to it.
struct Kinds {
    dir: TempDir,
    kinds: Vec<Kind>,
    /// Keeps the full pipe from having no reader.
    _reader: File,
    _listener: UnixListener,
}

impl Kinds {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let at = |name: &str| dir.path().join(name);
        let mut kinds = Vec::new();
        let mut add = |name, path: PathBuf, fate| {
            let link = at(&format!("link to {name}"));
            symlink(&path, &link)?;
            kinds.push(Kind { name, path, fate });
            kinds.push(Kind {
                name,
                path: link,
                fate,
            });
            anyhow::Ok(())
        };
        fs::write(at("a file"), "")?;
        add("a file", at("a file"), Fate::Taken)?;
        add("a new file", at("a new file"), Fate::Taken)?;
        // Nodes of their own: should the test fail, this machine keeps its /dev/null.
        if device(&at("null"), 3)? {
            add("a device", at("null"), Fate::Taken)?;
        }
        let full = if device(&at("full"), 7)? {
            at("full")
        } else {
            "/dev/full".into()
        };
        add("a full disk", full, Fate::Fails)?;
        mkfifo(&at("pipe"), Mode::S_IRWXU)?;
        add("a pipe without a reader", at("pipe"), Fate::Waits)?;
        mkfifo(&at("full pipe"), Mode::S_IRWXU)?;
        let reader = fill(&at("full pipe"))?;
        add(
            "a pipe whose reader stands still",
            at("full pipe"),
            Fate::Waits,
        )?;
        let listener = UnixListener::bind(at("socket"))?;
        add("a socket", at("socket"), Fate::Refused)?;
        fs::create_dir(at("folder"))?;
        add("a folder", at("folder"), Fate::Refused)?;
        add("a missing folder", at("missing/file"), Fate::Refused)?;
        Ok(Self {
            dir,
            kinds,
            _reader: reader,
            _listener: listener,
        })
    }

    /// Checks that everything is still what it was.
    fn check(&self) -> Result<()> {
        let at = |name: &str| self.dir.path().join(name);
        let kind = |name: &str| fs::symlink_metadata(at(name)).map(|m| m.file_type());
        for device in ["null", "full"] {
            ensure!(
                kind(device).map_or(true, |t| t.is_char_device()),
                "{device}"
            );
        }
        for pipe in ["pipe", "full pipe"] {
            ensure!(kind(pipe)?.is_fifo(), "{pipe}");
        }
        ensure!(kind("socket")?.is_socket() && kind("folder")?.is_dir());
        for k in &self.kinds {
            let link = at(&format!("link to {}", k.name));
            ensure!(link.is_symlink(), "{}", link.display());
        }
        Ok(())
    }
}

/// Makes a character device like `/dev/null` (3) or `/dev/full` (7); `false` where that is not allowed.
fn device(path: &Path, minor: u64) -> Result<bool> {
    let made = mknod(path, SFlag::S_IFCHR, Mode::S_IRWXU, makedev(1, minor));
    match made {
        // A file system may take the node and not let it be opened.
        Ok(()) => Ok(File::open(path).is_ok() || {
            fs::remove_file(path)?;
            false
        }),
        Err(Errno::EPERM) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Fills a pipe's buffer; it stays so while the result lives.
fn fill(pipe: &Path) -> Result<File> {
    let mut open = OpenOptions::new();
    let open = open.read(true).write(true);
    let mut file = open.custom_flags(OFlag::O_NONBLOCK.bits()).open(pipe)?;
    while file.write(&[b'\n'; 4096]).is_ok() {}
    while file.write(b"\n").is_ok() {}
    Ok(file)
}

/// Runs a node to its end, alone.
fn run(command: Command, dir: &Path) -> Result<(End, String)> {
    let group = Group::start(command, "node", dir)?;
    let end = group.wait(LONG).context("it hangs")?;
    Ok((end, group.complaint()))
}

/// Checks an end against what may become of an output.
fn check(kind: &Kind, flag: &str, end: End, said: &str) -> Result<()> {
    let expected = if kind.fate == Fate::Taken {
        End::Code(0)
    } else {
        End::Code(1)
    };
    let path = kind.path.display().to_string();
    let what = format!("{flag} {} ({path}): {end:?}: {said}", kind.name);
    ensure!(end == expected, "{what}");
    ensure!(end == End::Code(0) || said.contains(&path), "{what}");
    ensure!(!said.contains("panicked"), "{what}");
    Ok(())
}

#[test]
fn solo_with_any_output() -> Result<()> {
    let node = node("one-2x3");
    let frames = Frames::new(&node, 1, 60)?;
    let kinds = Kinds::new()?;
    let dir = tempfile::tempdir()?;
    for kind in &kinds.kinds {
        for flag in ["--records", "--stats"] {
            let mut command = node.command("solo");
            command.arg(flag).arg(&kind.path).stdout(Stdio::null());
            command.arg("--input-f32").args(&frames.files);
            if flag == "--records" && kind.fate == Fate::Waits {
                // It waits for a reader, as any command does, and is ended by any signal.
                let group = Group::start(command, "node", dir.path())?;
                std::thread::sleep(std::time::Duration::from_millis(50));
                ensure!(group.stop(SHORT)? == End::Signal(Signal::SIGTERM));
                continue;
            }
            let (end, said) = run(command, dir.path())?;
            check(kind, flag, end, &said)?;
        }
    }
    kinds.check()
}

#[test]
fn dumps_that_fail_cost_no_frame() -> Result<()> {
    let node = node("one-2x3");
    let frames = Frames::new(&node, 1, 61)?;
    let kinds = Kinds::new()?;
    let dir = tempfile::tempdir()?;
    for kind in &kinds.kinds {
        let records = dir.path().join("records.jsonl");
        let _ = fs::remove_file(&records);
        let mut command = node.command("solo");
        command.arg("--input-f32").args(&frames.files);
        command.arg("--records").arg(&records);
        command.arg("--dump").arg(&kind.path);
        let (end, said) = run(command, dir.path())?;
        // A folder is what it wants; it makes one that is missing.
        if kind.name.contains("folder") || kind.name == "a new file" {
            ensure!(end == End::Code(0), "{}: {said}", kind.name);
        } else {
            ensure!(end == End::Code(1), "{}: {end:?}: {said}", kind.name);
            ensure!(said.contains("--dump"), "{said}");
        }
    }
    // Things that stand where a layer's file would: no frame is lost, and nothing hangs.
    let things = Kinds::new()?;
    for kind in things.kinds.iter().filter(|k| k.name != "a new file") {
        let dump = tempfile::tempdir()?;
        for layer in 0..10 {
            symlink(&kind.path, dump.path().join(format!("layer_{layer}.f32")))?;
        }
        let mut command = node.command("solo");
        command.arg("--input-f32").args(&frames.files);
        command.arg("--dump").arg(dump.path());
        command.stdout(File::create(dir.path().join("out"))?);
        let (end, said) = run(command, dir.path())?;
        ensure!(end == End::Code(0), "{}: {end:?}: {said}", kind.name);
        ensure!(
            (kind.fate == Fate::Taken) != said.contains("not dumped"),
            "{}: {said}",
            kind.name
        );
        let out = fs::read_to_string(dir.path().join("out"))?;
        ensure!(out.lines().count() == 1, "{}: {out}", kind.name);
    }
    things.check()
}

/// A source with one frame.
fn source(frames: &Frames) -> Edge {
    Edge::source(1, frames.files.clone())
}

fn cluster(node: &NodeBinary, frames: &Frames, flags: &[&str], path: &Path) -> Result<Cluster> {
    let mut flags: Vec<String> = flags.iter().map(|f| (*f).into()).collect();
    flags.push(path.display().to_string());
    let setup = Setup {
        edges: vec![source(frames)],
        flags,
        ..Setup::default()
    };
    Cluster::start(node, setup)
}

#[test]
fn gateways_with_any_records() -> Result<()> {
    let node = node("one-2x3");
    let frames = Frames::new(&node, 1, 62)?;
    let kinds = Kinds::new()?;
    for kind in &kinds.kinds {
        let what = format!("{} ({})", kind.name, kind.path.display());
        let started = cluster(&node, &frames, &["--records"], &kind.path);
        let (Fate::Refused, Err(e)) = (kind.fate, &started) else {
            let cluster = started.with_context(|| what.clone())?;
            ensure!(kind.fate != Fate::Refused, "{what}: not refused");
            let (gateway, edge) = (&cluster.gateway, &cluster.edges[0]);
            edge.event("joined", SHORT)?;
            match kind.fate {
                Fate::Taken => {
                    edge.event("finished", LONG)?;
                    ensure!(gateway.stop(SHORT)? == End::Code(0), "{what}");
                }
                Fate::Fails => {
                    ensure!(gateway.wait(LONG)? == End::Code(1), "{what}");
                    let said = gateway.complaint();
                    ensure!(said.contains(&kind.path.display().to_string()), "{said}");
                }
                _ => {
                    // The frame is computed, and its record waits; the gateway answers all the while.
                    wait_for(LONG, || {
                        let stats = gateway.ask(SHORT)?;
                        let tail_us = crate::common::number(&stats, "/frames/tail_us");
                        Ok((tail_us > 0).then_some(()))
                    })
                    .with_context(|| what.clone())?;
                    let stats = gateway.ask(SHORT)?;
                    ensure!(stats["frames"]["detections"] == 0, "{what}: {stats}");
                    wait_for(SHORT, || {
                        let said = gateway.errors();
                        Ok(said.contains("records cannot be written").then_some(()))
                    })
                    .with_context(|| what.clone())?;
                    ensure!(gateway.stop(SHORT)? == End::Code(0), "{what}");
                }
            }
            // The gateway ended alone.
            ensure!(edge.end()?.is_none(), "{what}: {}", edge.complaint());
            ensure!(edge.stop(SHORT)? == End::Code(0), "{what}");
            continue;
        };
        let said = format!("{e:#}");
        ensure!(said.contains(&kind.path.display().to_string()), "{said}");
    }
    kinds.check()
}

#[test]
fn statistics_anywhere_cost_nothing() -> Result<()> {
    let node = node("one-2x3");
    let frames = Frames::new(&node, 1, 63)?;
    let kinds = Kinds::new()?;
    let dir = tempfile::tempdir()?;
    for kind in &kinds.kinds {
        let what = format!("{} ({})", kind.name, kind.path.display());
        let records = dir.path().join("records.jsonl");
        let _ = fs::remove_file(&records);
        let mut command = node.command("gateway");
        command.args(["--listen", "127.0.0.1:0", "--records"]);
        command.arg(&records).arg("--stats").arg(&kind.path);
        command.stdout(File::create(dir.path().join("gateway.out"))?);
        let gateway = Group::start(command, "gateway", dir.path())?;
        let mut command = node.command("edge");
        if kind.fate == Fate::Refused {
            let end = gateway.wait(SHORT)?;
            check(kind, "--stats", end, &gateway.complaint())?;
            command.args(["--id", "1", "--gateway", "127.0.0.1:9", "--stats"]);
            command.arg(&kind.path);
            let (end, said) = run(command, dir.path())?;
            check(kind, "--stats", end, &said)?;
            continue;
        }
        let listening = wait_for(SHORT, || {
            let text = fs::read_to_string(dir.path().join("gateway.out"))?;
            Ok(text
                .ends_with('\n')
                .then(|| serde_json::from_str::<serde_json::Value>(text.trim()))
                .transpose()?)
        })?;
        let addr = listening["addr"].as_str().context("an address")?;
        command.args(["--id", "1", "--gateway", addr, "--stats"]);
        command.arg(&kind.path);
        command.arg("--input-f32").args(&frames.files);
        let edge = Group::start(command, "edge", dir.path())?;
        let asked = wait_for(LONG, || {
            let text = fs::read_to_string(&records).unwrap_or_default();
            Ok(text.ends_with('\n').then_some(()))
        });
        asked.with_context(|| what.clone())?;
        for node in [&gateway, &edge] {
            let before = node.errors().len();
            node.signal(Signal::SIGUSR1)?;
            if kind.fate != Fate::Taken {
                wait_for(SHORT, || Ok((node.errors().len() > before).then_some(())))?;
            }
            ensure!(node.end()?.is_none(), "{what}: {}", node.complaint());
        }
        for node in [&edge, &gateway] {
            check(kind, "--stats", node.stop(SHORT)?, &node.complaint())?;
        }
        ensure!(fs::read_to_string(&records)?.lines().count() == 1);
    }
    kinds.check()
}

#[test]
fn a_full_or_stalled_standard_error_costs_nothing() -> Result<()> {
    let node = node("one-2x3");
    let frames = Frames::new(&node, 2, 64)?;
    let bad = frames.files[0].with_file_name("bad.f32");
    fs::write(&bad, [1, 2, 3])?;
    let kinds = Kinds::new()?;
    let places = ["a full disk", "a pipe whose reader stands still"];
    let mut count = 0;
    for kind in kinds.kinds.iter().filter(|k| places.contains(&k.name)) {
        count += 1;
        let dir = tempfile::tempdir()?;
        let records = dir.path().join("records.jsonl");
        // The shell opens it: the rig keeps standard error for itself.
        let quiet = |command: &Command| {
            let mut shell = Command::new("sh");
            shell.args(["-c", "where=$1; shift; exec \"$@\" 2>>\"$where\"", "sh"]);
            shell.arg(&kind.path).arg(command.get_program());
            shell.args(command.get_args());
            shell
        };
        let mut command = node.command("gateway");
        command.args(["--listen", "127.0.0.1:0", "--log", "debug", "--records"]);
        command.arg(&records);
        let gateway = Process::start(quiet(&command), "gateway", dir.path())?;
        let addr = gateway.event("listening", SHORT)?["addr"].clone();
        let mut command = node.command("edge");
        command.args(["--id", "1", "--gateway", addr.as_str().context("addr")?]);
        command.args(["--log", "debug", "--input-f32"]).arg(&bad);
        command.args(&frames.files);
        let edge = Process::start(quiet(&command), "edge", dir.path())?;
        edge.event("finished", LONG)?;
        ensure!(edge.stop(SHORT)? == End::Code(1), "one input was skipped");
        ensure!(gateway.stop(SHORT)? == End::Code(0));
        ensure!(fs::read_to_string(&records)?.lines().count() == 2);
    }
    assert_eq!(count, 4);
    Ok(())
}

/// A node under a shell's word: a limit, a closed stream.
fn under(words: &str, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", words, "sh"]).arg(command.get_program());
    shell.args(command.get_args());
    shell
}

#[test]
fn records_are_not_lost_without_a_word() -> Result<()> {
    let node = node("one-2x3");
    let frames = Frames::new(&node, 1, 65)?;
    let dir = tempfile::tempdir()?;
    let mut solo = node.command("solo");
    solo.arg("--input-f32").args(&frames.files);
    for (words, what) in [
        ("exec \"$@\" >&-", "standard output"),
        ("exec \"$@\" >/dev/full", "standard output"),
        // The limit counts blocks of 512 bytes.
        (
            "ulimit -f 0; exec \"$@\" --records \"$PWD/records.jsonl\"",
            "records.jsonl",
        ),
    ] {
        let mut command = under(words, &solo);
        command.current_dir(dir.path());
        // A limit of nothing holds for the file of complaints too.
        let mut command = under("\"$@\" 2>&1 | cat >&2; exit 0", &command);
        command.current_dir(dir.path());
        let (end, said) = run(command, dir.path())?;
        assert_eq!(end, End::Code(0));
        assert!(
            said.contains(what) && said.contains("error:"),
            "{words}: {said}"
        );
    }
    // And without the pipe, for the code.
    for words in ["exec \"$@\" >&-", "exec \"$@\" >/dev/full"] {
        let (end, _) = run(under(words, &solo), dir.path())?;
        assert_eq!(end, End::Code(1), "{words}");
    }
    let (end, said) = run(under("exec \"$@\" >/dev/null", &solo), dir.path())?;
    assert_eq!(end, End::Code(0), "wanted: {said}");
    Ok(())
}

#[test]
fn help_ends_quietly_when_nobody_reads_on() -> Result<()> {
    let node = node("one-2x3");
    let mut command = Command::new(&node.path);
    command
        .arg("--help")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn()?;
    drop(child.stdout.take());
    let mut said = String::new();
    child
        .stderr
        .take()
        .context("piped")?
        .read_to_string(&mut said)?;
    assert!(child.wait()?.success());
    assert_eq!(said, "");
    Ok(())
}
