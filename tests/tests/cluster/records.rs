//! What a record says beside boxes: the input's name, labels, times.

use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};
use tessera_tests::rig::{Cluster, Edge, Setup};

use crate::common::{Frames, LONG, node};

#[test]
fn records_name_their_input_and_classes_and_tell_the_times() -> Result<()> {
    let node = node("one-2x3");
    let mut frames = Frames::new(&node, 3, 41)?;
    // One name is longer than what travels: its end does.
    let long = frames.files[1].with_file_name(format!("{}.f32", "long-".repeat(40)));
    std::fs::rename(&frames.files[1], &long)?;
    frames.files[1] = long;
    let names = frames.files[0].with_file_name("classes");
    let mut text = String::new();
    for class in 0..200 {
        writeln!(text, "thing {class}")?;
    }
    std::fs::write(&names, text)?;
    let setup = Setup {
        edges: vec![Edge::source(1, frames.files.clone()), Edge::thief(1)],
        flags: vec!["--names".into(), names.display().to_string()],
        ..Setup::default()
    };
    let cluster = Cluster::start(&node, setup)?;
    let mut records = cluster.wait_records(frames.files.len(), LONG)?;
    for r in &mut records {
        let tag = usize::try_from(r["tag"].as_u64().context("tag")?)?;
        let path = frames.files[tag].display().to_string();
        let file = r["file"].as_str().context("file")?;
        let end = file.trim_start_matches('\u{2026}');
        ensure!(path.ends_with(end) && end.len() > 5, "{file}");
        ensure!((tag == 1) == file.starts_with('\u{2026}'), "{file}");
        for key in ["latency_ms", "captured_unix_ms"] {
            ensure!(r[key].as_f64().is_some_and(|v| v > 0.0), "{key}: {r}");
        }
        for d in r["detections"].as_array_mut().context("detections")? {
            let label = d.as_object_mut().and_then(|d| d.remove("label"));
            ensure!(label == Some(format!("thing {}", d["class"]).into()), "{d}");
        }
    }
    // Without the labels, they are those of one process, which had no names.
    frames.check(1, &records)?;
    cluster.stop()?;
    Ok(())
}
