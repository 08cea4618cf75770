//! A disk that is full for a while: frames wait, and none is lost.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{ErrorKind, Write},
    path::Path,
    process::Command,
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tessera_needs::needs;
use tessera_tests::rig::{Cluster, Edge, SHORT, Setup, wait_for};

use crate::common::{Frames, LONG, node};

/// Frames of the run.
const FRAMES: usize = 12;

/// A file system of 8 MiB.
struct Disk(TempDir);

impl Disk {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"])
            .arg(dir.path())
            .status()?;
        ensure!(mounted.success(), "mount: {mounted}");
        Ok(Self(dir))
    }

    fn at(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    /// Takes all room that is left.
    fn fill(&self) -> Result<()> {
        let mut file = File::create(self.at("filler"))?;
        loop {
            match file.write(&[0; 4096]) {
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::StorageFull => return Ok(()),
                Err(e) => return Err(e.into()),
            }
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(self.0.path())
            .status();
    }
}

/// The frames of all lines, every one whole.
fn frames(file: &Path) -> Result<Vec<u64>> {
    let text = fs::read_to_string(file)?;
    let frame = |line: &str| {
        let record: serde_json::Value = serde_json::from_str(line)?;
        record["frame"].as_u64().context("a frame's number")
    };
    text.lines().map(frame).collect()
}

#[needs(mounts)]
#[test]
fn a_full_disk_holds_frames_up_and_loses_none() -> Result<()> {
    let disk = Disk::new()?;
    let file = disk.at("records.jsonl");
    let node = node("one-2x3");
    let input = Frames::new(&node, FRAMES, 43)?;
    // A part of a line fits.
    fs::write(&file, "")?;
    disk.fill()?;
    let cluster = Cluster::start(
        &node,
        Setup {
            edges: vec![Edge::source(1, input.files.clone()), Edge::thief(1)],
            flags: ["--records".into(), file.display().to_string()].into(),
            ..Setup::default()
        },
    )?;
    wait_for(LONG, || {
        let said = cluster.gateway.errors();
        Ok(said.contains("records cannot be written").then_some(()))
    })?;
    ensure!(frames(&file)?.is_empty(), "nothing of a line stays");
    fs::remove_file(disk.at("filler"))?;
    wait_for(LONG, || {
        Ok((frames(&file).is_ok_and(|f| f.len() >= FRAMES)).then_some(()))
    })?;
    let all = frames(&file)?;
    assert_eq!(all.len(), FRAMES);
    let each: BTreeSet<u64> = all.into_iter().collect();
    assert_eq!(each, (0..FRAMES as u64).collect());
    let said = wait_for(SHORT, || {
        let said = cluster.gateway.errors();
        Ok(said.contains("records are written again").then_some(said))
    });
    said.context("it says that all is well again")?;
    cluster.stop()?;
    Ok(())
}
