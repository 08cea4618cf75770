//! A cluster whose boards have wrong wall clocks, as after a power cut without a network: an hour behind, an
//! hour ahead, another time after every restart. Everybody takes part, and every frame has its record.
//!
//! Without the usual test harness, because this binary is its own node. It is linked to the C library at run
//! time, so that `libfaketime` (Debian: `faketime`) can move its clock; without that library the test is ignored.

mod elements {
    pub mod files;
    pub mod node;
    pub mod program;
}

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::{Instant, UNIX_EPOCH},
};

use tessera_plan::files::{
    events::Event,
    records::{Ending, Record},
    statistics::{EdgeStatistics, GatewayStatistics},
};

use crate::elements::{
    files::{write_pictures, write_weights},
    node::{self, Node, PATIENCE},
};

/// Pictures of every life of the source.
const FRAMES: usize = 3;

fn main() -> ExitCode {
    node::main("clocks_an_hour_off_keep_nobody_out", || {
        let library = faketime().ok_or("needs libfaketime (Debian: apt install faketime)")?;
        clocks_an_hour_off_keep_nobody_out(&library);
        Ok(())
    })
}

/// Path of a library that moves a process's wall clock.
fn faketime() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?;
    let in_folder = |f: std::io::Result<std::fs::DirEntry>| {
        let path = f.ok()?.path().join("faketime/libfaketime.so.1");
        path.exists().then_some(path)
    };
    folders.into_iter().find_map(in_folder)
}

fn clocks_an_hour_off_keep_nobody_out(library: &Path) {
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    write_weights(&dir.join("weights.bin"));
    let pictures = write_pictures(dir, FRAMES);
    let records = dir.join("records.jsonl");
    // The monotonic clock stays right, as a board's does.
    let clock = |command: &mut Command, ahead_h: i64| {
        command
            .env("LD_PRELOAD", library)
            .env("FAKETIME", format!("{:+}", ahead_h * 3600))
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("DONT_FAKE_MONOTONIC", "1");
    };
    let gateway = |at: &str, ahead_h, more: &[&str]| {
        let mut node = Node::start(dir, "gateway", &["--listen", at], |c| {
            clock(c, ahead_h);
            c.arg("--records").arg(&records).args(more);
        });
        match node.event() {
            Event::Listening { addr, .. } => (node, addr),
            other => panic!("a gateway says first where it listens, not {other:?}"),
        }
    };
    let (first, at) = gateway("127.0.0.1:0", 0, &[]);
    let edge = |id: &str, ahead_h, pictures: &[PathBuf]| {
        let flags = ["--gateway", &at, "--id", id];
        Node::start(dir, "edge", &flags, |c| {
            clock(c, ahead_h);
            if !pictures.is_empty() {
                c.arg("--image").args(pictures);
            }
        })
    };
    let mut thief = edge("2", 1, &[]);
    assert!(matches!(thief.event(), Event::Joined { id: 2, .. }));
    let source = edge("1", -1, &pictures);
    wait_for(&records, FRAMES);

    // The source fails and comes back with an earlier time than it had.
    drop(source);
    let source = edge("1", -2, &pictures);
    wait_for(&records, 2 * FRAMES);

    // Then the gateway; the thief lives through it. The source comes back as a board without a clock.
    drop((first, source));
    let (gateway, again) = gateway(&at, -2, &["--frames", &FRAMES.to_string()]);
    assert_eq!(again, at);
    // A gateway that has its frames ends the edges that it knows: who joins later waits for another one.
    gateway.says("node 2 joined");
    let source = edge("1", -300_000, &pictures);
    let records = wait_for(&records, 3 * FRAMES);
    let gateway: GatewayStatistics = gateway.end();
    let (thief, source): (EdgeStatistics, EdgeStatistics) = (thief.end(), source.end());

    // Everybody took part to the end.
    assert_eq!(gateway.frames.detections, FRAMES as u64);
    assert!(
        source.counters.tasks_by_node[&2] >= 1,
        "{:?}",
        source.counters
    );
    assert!(thief.counters.tasks_stolen >= 3, "{:?}", thief.counters);
    for (i, r) in records.iter().enumerate() {
        let Ending::Computed(found) = &r.ending else {
            panic!("{r:?}");
        };
        let Ending::Computed(same) = &records[i % FRAMES].ending else {
            panic!("{r:?}");
        };
        assert_eq!(r.subject.tag as usize, i % FRAMES);
        assert_eq!(found.top, same.top, "frame {i}");
        assert!(found.top.is_some(), "frame {i}");
        // The clocks were wrong indeed: times in records are the gateway's.
        let now_ms = UNIX_EPOCH.elapsed().expect("after 1970").as_secs_f64() * 1e3;
        let timing = r.timing.expect("a computed frame has times");
        let behind_h = (now_ms - timing.captured_unix_ms as f64) / 3.6e6;
        let right = if i < 2 * FRAMES { -0.1..0.9 } else { 1.9..2.9 };
        assert!(right.contains(&behind_h), "{behind_h} hours: {r:?}");
    }
}

/// Waits until the file has exactly `count` records.
fn wait_for(path: &Path, count: usize) -> Vec<Record> {
    let began = Instant::now();
    loop {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let records: Vec<Record> = whole
            .lines()
            .map(|l| serde_json::from_str(l).expect("a record"))
            .collect();
        if records.len() >= count {
            assert_eq!(records.len(), count);
            return records;
        }
        assert!(began.elapsed() < PATIENCE, "{} records", records.len());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
