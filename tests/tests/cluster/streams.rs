//! Videos, cameras and folders as sources of real nodes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use tessera_needs::needs;
use tessera_tests::rig::{Cluster, Edge, End, Process, SHORT, Setup, wait_for};

use crate::common::{LONG, node};

/// Makes what `lavfi` describes.
fn made(dir: &Path, name: &str, lavfi: &str, frames: u32) -> Result<PathBuf> {
    let path = dir.join(name);
    let status = Command::new("ffmpeg")
        .args(["-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", lavfi])
        .args(["-frames:v", &frames.to_string()])
        .arg(&path)
        .status()?;
    ensure!(status.success(), "{name}");
    Ok(path)
}

fn source(flags: &[&str]) -> Edge {
    Edge {
        workers: 1,
        flags: flags.iter().map(ToString::to_string).collect(),
        ..Edge::default()
    }
}

/// Processes that another one has started, with their command lines.
fn started(process: &Process) -> Result<Vec<(i32, String)>> {
    let children = process.children()?.into_iter().map(|id| {
        let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        (id, String::from_utf8_lossy(&line).replace('\0', " "))
    });
    Ok(children.collect())
}

fn ffmpeg(process: &Process) -> Result<i32> {
    wait_for(SHORT, || {
        let all = started(process)?;
        let found = all
            .iter()
            .find(|(_, line)| line.starts_with("ffmpeg ") && line.contains("rawvideo"));
        Ok(found.map(|(id, _)| *id))
    })
}

#[needs(ffmpeg)]
#[test]
fn a_folder_and_a_video_are_read_to_their_ends() -> Result<()> {
    let dir = tempfile::tempdir()?;
    made(dir.path(), "b.png", "testsrc2=size=96x64", 1)?;
    made(dir.path(), "a.png", "color=c=red:size=32x16", 1)?;
    let clip = made(dir.path(), "z.mkv", "testsrc2=size=80x60:rate=10", 7)?;
    let (folder, clip) = (dir.path().display().to_string(), clip.display().to_string());
    let setup = Setup {
        edges: vec![
            source(&[
                "--source",
                &folder,
                &format!("yard={clip}"),
                "--fps",
                "yard=5",
                "--thresh",
                "0.5",
            ]),
            Edge::thief(1),
        ],
        ..Setup::default()
    };
    let cluster = Cluster::start(&node("one-2x3"), setup)?;
    // Two pictures and seven frames of the folder; of the yard every other frame.
    let finished = cluster.edges[0].event("finished", LONG)?;
    ensure!(
        finished["detections"] == 13 && finished["skipped"] == 0,
        "{finished}"
    );
    let records = cluster.wait_records(13, LONG)?;
    let of = |name: Option<&str>| -> Vec<&Value> {
        let name = name.map_or(Value::Null, Value::from);
        records
            .iter()
            .filter(|r| r["source_name"] == name)
            .collect()
    };
    let (unnamed, yard) = (of(None), of(Some("yard")));
    ensure!((unnamed.len(), yard.len()) == (9, 4), "{records:?}");
    let mut files: Vec<&str> = unnamed.iter().filter_map(|r| r["file"].as_str()).collect();
    files.sort_unstable();
    ensure!(
        files[0].ends_with("a.png")
            && files[1].ends_with("b.png")
            && files[8].ends_with("z.mkv#000006")
    );
    for r in &records {
        let is_of_video = r["file"].as_str().is_some_and(|f| f.contains("z.mkv#"));
        ensure!(
            !is_of_video || (r["width"] == 80 && r["height"] == 60),
            "{r}"
        );
        let at = |key: &str| r[key].as_u64().context(key.to_owned());
        ensure!(at("captured_unix_ms")? <= at("started_unix_ms")?, "{r}");
        ensure!(at("started_unix_ms")? <= at("ended_unix_ms")?, "{r}");
    }
    let stats = cluster.edges[0].ask(SHORT)?;
    let streams = stats["frames"]["streams"].as_array().context("streams")?;
    let taken = |name: &str| {
        let found = streams
            .iter()
            .find(|s| s["name"].as_str().is_some_and(|n| n.ends_with(name)));
        found.map(|s| {
            (
                s["brought"].clone(),
                s["taken"].clone(),
                s["replaced"].clone(),
            )
        })
    };
    ensure!(
        taken("yard") == Some((4.into(), 4.into(), 0.into())),
        "{streams:?}"
    );
    ensure!(
        taken("z.mkv") == Some((7.into(), 7.into(), 0.into())),
        "{streams:?}"
    );
    cluster.stop()?;
    Ok(())
}

#[needs(ffmpeg)]
#[test]
fn a_camera_that_stands_still_comes_back_and_ffmpeg_ends_with_the_node() -> Result<()> {
    let setup = Setup {
        edges: vec![source(&[
            "--source",
            "front=test:64x48@20",
            "--timeout",
            "2",
        ])],
        ..Setup::default()
    };
    let cluster = Cluster::start(&node("one-2x3"), setup)?;
    let edge = &cluster.edges[0];
    edge.event("source", LONG)?;
    let first = ffmpeg(edge)?;
    edge.pause_child(first, true)?;
    wait_for(LONG, || {
        let lines = edge.lines();
        let stalled = lines.iter().position(|l| l.contains("\"stalled\""));
        let again =
            stalled.is_some_and(|at| lines[at..].iter().any(|l| l.contains("\"streaming\"")));
        Ok(again.then_some(()))
    })?;
    let before = cluster.records()?.len();
    wait_for(LONG, || {
        Ok((cluster.records()?.len() > before).then_some(()))
    })?;
    let record = cluster.records()?.pop().context("a record")?;
    ensure!(
        record["source_name"] == "front" && record.get("file").is_none(),
        "{record}"
    );
    // Killed, the node cannot end its ffmpeg: the system does.
    let second = ffmpeg(edge)?;
    ensure!(second != first);
    edge.kill()?;
    wait_for(SHORT, || {
        let stat = fs::read_to_string(format!("/proc/{second}/stat")).unwrap_or_default();
        Ok((stat.is_empty() || stat.contains(") Z ")).then_some(()))
    })
    .context("ffmpeg goes on without its node")
}

#[test]
fn without_ffmpeg_a_camera_is_refused_with_the_command_that_installs_it() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut command = node("one-2x3").command("edge");
    command.args(["--gateway", "127.0.0.1:9", "--id", "1", "--source", "test:"]);
    command.env("PATH", dir.path());
    let edge = Process::start(command, "edge", dir.path())?;
    ensure!(edge.wait(LONG)? == End::Code(1));
    let said = edge.errors();
    ensure!(
        said.contains("ffmpeg") && said.contains("sudo apt install ffmpeg"),
        "{said}"
    );
    Ok(())
}

#[test]
fn sources_that_are_wrong_are_refused_before_any_work() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let node = node("one-2x3");
    let tables = dir.path().join("cams.toml");
    fs::write(
        &tables,
        "[[source]]\nname = \"front\"\nfrom = \"rtsp://cam/a\"\nfsp = 5\n",
    )?;
    let tables = tables.display().to_string();
    for (flags, code, words) in [
        (
            &["--source", "none.mp4"][..],
            1,
            "none.mp4: nothing is there",
        ),
        (
            &["--source", "rstp://me:hidden@cam/live"][..],
            2,
            "rstp:// is no kind of stream",
        ),
        (
            &["--source", "front=a.jpg", "--fps", "frnt=2"][..],
            1,
            "nothing is there",
        ),
        (
            &["--source", "test:", "--fps", "0"][..],
            2,
            "frames per second above 0",
        ),
        (&["--source", &tables][..], 1, "unknown field `fsp`"),
    ] {
        let mut command = node.command("edge");
        command
            .args(["--gateway", "127.0.0.1:9", "--id", "1"])
            .args(flags);
        let edge = Process::start(command, "edge", dir.path())?;
        ensure!(
            edge.wait(LONG)? == End::Code(code),
            "{flags:?}: {}",
            edge.errors()
        );
        let said = edge.errors();
        ensure!(
            said.contains(words) && !said.contains("hidden"),
            "{flags:?}: {said}"
        );
    }
    Ok(())
}

/// A stand-in for `rpicam-vid`: says what it was asked for, and sends JPEG pictures as that does.
const RPICAM: &str = "#!/bin/sh
echo \"$@\" > \"$0.asked\"
exec ffmpeg -nostdin -loglevel error -re -f lavfi -i testsrc2=size=64x48:rate=10 -c:v mjpeg -f mjpeg pipe:1
";

#[needs(ffmpeg)]
#[test]
fn a_camera_at_the_ribbon_cable_is_read_through_rpicam() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir()?;
    let program = dir.path().join("rpicam-vid");
    fs::write(&program, RPICAM)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    let records = dir.path().join("records.jsonl");
    let path = std::env::var("PATH")?;
    let mut command = node("one-2x3").command("solo");
    command
        .args(["--source", "pi:1", "--frames", "3", "--records"])
        .arg(&records);
    command.env("PATH", format!("{}:{path}", dir.path().display()));
    let solo = Process::start(command, "solo", dir.path())?;
    ensure!(solo.wait(LONG)? == End::Code(0), "{}", solo.errors());
    ensure!(fs::read_to_string(&records)?.lines().count() == 3);
    let asked = fs::read_to_string(dir.path().join("rpicam-vid.asked"))?;
    ensure!(
        asked.contains("--camera 1") && asked.contains("--codec mjpeg"),
        "{asked}"
    );
    // Nothing is left of either.
    solo.wait_alone(SHORT)
}

#[needs(ffmpeg)]
#[test]
fn a_password_is_in_no_line_that_a_node_writes() -> Result<()> {
    let setup = Setup {
        // Nobody listens there.
        edges: vec![source(&["--source", "cams.streams"])],
        ..Setup::default()
    };
    let dir = tempfile::tempdir()?;
    let list = dir.path().join("cams.streams");
    fs::write(
        &list,
        "front=rtsp://me:open-sesame@127.0.0.1:9/live?key=abracadabra\n",
    )?;
    let mut setup = setup;
    setup.edges[0].flags[1] = list.display().to_string();
    setup.edges[0]
        .flags
        .extend(["--log".into(), "debug".into()]);
    let cluster = Cluster::start(&node("one-2x3"), setup)?;
    let edge = &cluster.edges[0];
    let lost = edge.event("source", LONG)?;
    ensure!(lost["state"] == "lost" && lost["name"] == "front", "{lost}");
    let why = lost["why"].as_str().context("why")?;
    ensure!(why.contains("is the camera on"), "{why}");
    let said = edge.errors() + &edge.lines().join("\n");
    for secret in ["sesame", "abracadabra"] {
        ensure!(!said.contains(secret), "{said}");
        for (_, line) in started(edge)? {
            ensure!(!line.contains(secret), "{line}");
        }
    }
    edge.signal(Signal::SIGTERM)?;
    ensure!(edge.wait(SHORT)? == End::Code(0));
    Ok(())
}

#[test]
fn a_node_without_mqtt_says_how_to_build_one_with_it() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut command = node("one-2x3").command("gateway");
    command.args(["--listen", "127.0.0.1:0", "--mqtt", "hub.local"]);
    let gateway = Process::start(command, "gateway", dir.path())?;
    ensure!(gateway.wait(LONG)? == End::Code(2));
    let said = gateway.errors();
    ensure!(said.contains("cargo xtask build --with mqtt"), "{said}");
    Ok(())
}
