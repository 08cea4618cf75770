//! Results in other forms than records: COCO's array and YOLO text say what the records say, also across a gateway's restart.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tessera_tests::rig::{Cluster, Edge, Setup};

use crate::common::{Frames, LONG, node};

/// Most by which a number that was rounded for a form differs.
const ROUNDED: f64 = 1e-3;

fn numbers(line: &str) -> Result<Vec<f64>> {
    let words = line.split(' ');
    words.map(|w| w.parse().context("a number")).collect()
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= ROUNDED * a.abs().max(1.0)
}

/// The stem of the file that a record names.
fn stem(record: &Value) -> Result<&str> {
    let file = record["file"].as_str().context("file")?;
    let stem = Path::new(file).file_stem().and_then(|s| s.to_str());
    stem.context("stem")
}

/// Compares a record's detections with those of the other forms.
fn compare(record: &Value, coco: &[Value], labels: &Path) -> Result<()> {
    let found = record["detections"].as_array().context("detections")?;
    let stem = stem(record)?;
    let name = |o: &&Value| match &o["image_id"] {
        Value::Number(id) => stem.parse() == Ok(id.as_u64().unwrap_or(u64::MAX)),
        id => id.as_str() == Some(stem),
    };
    let objects: Vec<&Value> = coco.iter().filter(name).collect();
    let text = std::fs::read_to_string(labels.join(format!("{stem}.txt"))).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    ensure!(
        objects.len() == found.len() && lines.len() == found.len(),
        "{stem}"
    );
    for ((d, object), line) in found.iter().zip(objects).zip(lines) {
        let class = d["class"].as_f64().context("class")?;
        let score = d["score"].as_f64().context("score")?;
        let said = object["score"].as_f64().context("score")?;
        ensure!(near(said, score), "{object}: {score}");
        let bbox = d["box"].as_array().context("box")?;
        let bbox = bbox.iter().filter_map(Value::as_f64);
        let all: Vec<f64> = [class].into_iter().chain(bbox).chain([score]).collect();
        let line = numbers(line)?;
        ensure!(line.len() == all.len(), "{line:?}");
        let equal = line.iter().zip(&all).all(|(a, b)| near(*a, *b));
        ensure!(equal, "{line:?}: {all:?}");
    }
    Ok(())
}

#[test]
fn coco_and_yolo_say_what_records_say() -> Result<()> {
    let node = node("one-2x3");
    let frames = Frames::new(&node, 4, 43)?;
    let folder = frames.files[0].parent().context("folder")?;
    let (coco, labels) = (folder.join("coco.json"), folder.join("labels"));
    let late = frames.fifo("late")?;
    let mut files = frames.files[..3].to_vec();
    files.push(late.clone());
    let flag = |name: &str, path: &Path| [name.to_string(), path.display().to_string()];
    let setup = Setup {
        edges: vec![Edge::source(1, files), Edge::thief(1)],
        flags: [flag("--coco", &coco), flag("--yolo", &labels)]
            .into_iter()
            .flatten()
            .chain(["--yolo-scores".into(), "--thresh".into(), "0.001".into()])
            .collect(),
        ..Setup::default()
    };
    let mut cluster = Cluster::start(&node, setup)?;
    cluster.wait_records(3, LONG)?;
    // The array is whole while the gateway runs, and goes on after its end.
    let array = || -> Result<Vec<Value>> { Ok(serde_json::from_slice(&std::fs::read(&coco)?)?) };
    let before = array()?.len();
    cluster.restart_gateway()?;
    frames.feed(&late, 3)?;
    let records = cluster.wait_records(4, LONG)?;
    let objects = array()?;
    ensure!(objects.len() >= before, "{} {before}", objects.len());
    let mut found = 0;
    for record in &records {
        compare(record, &objects, &labels)?;
        found += record["detections"].as_array().map_or(0, Vec::len);
    }
    ensure!(
        found == objects.len() && found > 0,
        "{found} {}",
        objects.len()
    );
    cluster.stop()?;
    Ok(())
}
