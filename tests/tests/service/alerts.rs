//! `[[alert]]`: a drawn video with known truth. Two balls roll through the picture, one behind the other, and a box stands
//! where nobody asked for boxes.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tessera_tests::{
    keys::Keys,
    rig::{Cluster, Edge, Setup, wait_for},
    shipped::folder,
};

use crate::common::{LONG, node};

/// Side of the pictures, in pixels.
const SIDE: usize = 256;
/// Frames in which a ball rolls from the left to the right, and frames without any behind it.
const ROLLS: usize = 12;
const EMPTY: usize = 8;

/// Where the ball of frame `k` is, in pixels.
fn ball(k: usize) -> Option<[f32; 2]> {
    let k = k % (ROLLS + EMPTY);
    (k < ROLLS).then_some([30.0 + 18.0 * k as f32, 90.0])
}

fn draw(k: usize, path: &Path) -> Result<()> {
    let mut bytes = format!("P6\n{SIDE} {SIDE}\n255\n").into_bytes();
    for y in 0..SIDE {
        for x in 0..SIDE {
            let (fx, fy) = (x as f32, y as f32);
            let is_ball = ball(k).is_some_and(|[cx, cy]| (fx - cx).hypot(fy - cy) < 26.0);
            let is_box = (150..210).contains(&x) && (180..230).contains(&y);
            let shade = (y / 8) as u8;
            bytes.extend(match (is_ball, is_box) {
                (true, _) => [230, 120, 30],
                (_, true) => [40, 60, 190],
                _ => [170 - shade, 175 - shade, 165 - shade],
            });
        }
    }
    Ok(fs::write(path, bytes)?)
}

/// Takes one posted alert.
fn hook(listener: &TcpListener) -> Result<Value> {
    let (mut stream, _) = listener.accept()?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.ends_with('}') {
        let n = stream.read(&mut buffer)?;
        ensure!(n > 0, "an alert ends early: {text}");
        text.push_str(std::str::from_utf8(&buffer[..n])?);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
    let (_, body) = text.split_once("\r\n\r\n").context("a body")?;
    Ok(serde_json::from_str(body)?)
}

/// The picture of an alert is its frame, and the box lies around the ball.
fn shows(picture: &Path, alert: &Value) -> Result<()> {
    let seen = tessera_picture::load(picture)?;
    // As the network saw it, in the shape of what was taken: a square.
    let side = seen.width();
    ensure!(
        side == seen.height() && side >= 64,
        "{side} x {}",
        seen.height()
    );
    let scale = side as f32 / SIDE as f32;
    let frame = alert["frame"].as_u64().context("a frame")?;
    let [x, y] = ball(usize::try_from(frame)?).context("its ball")?;
    let at = |v: f32| ((v * scale) as usize).min(side as usize - 1);
    let pixel = |x: f32, y: f32| seen.pixel(at(x), at(y)).map(i32::from);
    let near = |p: [i32; 3], q: [i32; 3]| p.iter().zip(q).all(|(a, b)| (a - b).abs() < 40);
    ensure!(
        near(pixel(x, y), [230, 120, 30]),
        "{:?}: a ball",
        pixel(x, y)
    );
    ensure!(
        near(pixel(180.0, 205.0), [40, 60, 190]),
        "the box that nobody asked for"
    );
    let part = |k: usize| alert["box"][k].as_f64().context("a box");
    let (left, middle) = (part(0)? - part(2)? / 2.0, part(1)?);
    // The edge that is drawn is a few pixels wide: some column there has one colour from top to bottom, which is not the ball's.
    let [left, middle] = [left, middle].map(|v| (v * SIDE as f64) as f32);
    let drawn = (-2..6).any(|dx| {
        let at = |dy: i32| pixel(left + dx as f32, middle + dy as f32);
        (-8..8).all(|dy| near(at(dy), at(0)))
            && !near(at(0), pixel(left - 8.0, middle))
            && !near(at(0), [20, 20, 20])
    });
    ensure!(drawn, "no edge of a box at {left}, {middle}");
    Ok(())
}

#[test]
fn every_ball_is_told_of_once() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let frames = 2 * (ROLLS + EMPTY);
    let pictures: Vec<PathBuf> = (0..frames)
        .map(|k| {
            let path = dir.path().join(format!("{k:02}.ppm"));
            draw(k, &path)?;
            Ok(path)
        })
        .collect::<Result<_>>()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let hooks = listener.local_addr()?;
    let stills = dir.path().join("stills");
    let keys = Keys::new(&[("porch", &["edge", "source"])])?;
    keys.add(&format!(
        "[[alert]]
name = \"a ball on the right\"
classes = [\"ball\"]
zone = [[0.5, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 1.0]]
frames = 2
cooldown = 0
webhook = \"http://{hooks}/ball\"
stills = \"{}\"
stills_max = 1
",
        stills.display()
    ))?;
    let heard = thread::spawn(move || (0..2).map(|_| hook(&listener)).collect::<Result<Vec<_>>>());
    let file = dir.path().join("alerts.jsonl");
    let names = folder().join("demo.names").display().to_string();
    let mut source = Edge::thief(1);
    source.flags.push("--image".into());
    source
        .flags
        .extend(pictures.iter().map(|p| p.display().to_string()));
    source.flags.extend(keys.flags("porch"));
    let own = ["--names", &names, "--alerts", &file.display().to_string()].map(str::to_owned);
    let setup = Setup {
        edges: vec![source],
        flags: own.into_iter().chain(keys.flags("hub")).collect(),
        ..Setup::default()
    };
    let cluster = Cluster::start(node(), setup)?;
    cluster.wait_records(frames, LONG)?;
    let lines = || -> Result<Vec<Value>> {
        let text = fs::read_to_string(&file)?;
        Ok(text
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()?)
    };
    let alerts = wait_for(LONG, || Ok(Some(lines()?).filter(|l| l.len() >= 2)))?;
    cluster.stop()?;
    let alerts_at_end = lines()?;
    ensure!(alerts_at_end == alerts, "more than two: {alerts_at_end:?}");
    let posted = heard.join().ok().context("the hook's thread")??;
    ensure!(posted == alerts, "{posted:?} posted, {alerts:?} written");
    for (n, alert) in alerts.iter().enumerate() {
        ensure!(alert["alert"] == "a ball on the right", "{alert}");
        ensure!(
            alert["label"] == "ball" && alert["count"] == n + 1,
            "{alert}"
        );
        // Its second frame on the right, or a little later: frames may overtake each other, and the first one there may
        // show it half way.
        let begin = n * (ROLLS + EMPTY);
        let on_right = |k: &usize| ball(*k).is_some_and(|[x, _]| x >= SIDE as f32 / 2.0);
        let first = (begin..).find(on_right).context("it gets there")?;
        let frame = alert["frame"].as_u64().context("a frame")? as usize;
        ensure!((first + 1..begin + ROLLS).contains(&frame), "{alert}");
    }
    // The folder keeps one picture: the last alert's.
    let kept: Vec<_> = fs::read_dir(&stills)?.collect::<Result<_, _>>()?;
    let [last] = &kept[..] else { bail!("{kept:?}") };
    let named = alerts
        .iter()
        .map(|a| a["still"].as_str().context("a picture"));
    let named: Vec<&str> = named.collect::<Result<_>>()?;
    ensure!(
        named[0] != named[1] && last.file_name() == named[1],
        "{named:?}, {last:?}"
    );
    shows(&last.path(), &alerts[1])
}
