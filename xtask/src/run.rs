//! `cargo xtask run`: a local cluster on pictures or tensors.

use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use image::ImageReader;
use serde_json::{Value, json};
use tessera_plan::graph::Graph;
use tessera_planner::{names, options::Target};

use crate::{
    annotate::{LabelledBox, annotate},
    build,
    cluster::{self, Config, Frames, Outcome},
    flags::RunArgs,
    model, plan,
    progress::Step,
    summary, workspace,
};

/// Class names for `graph`: `--names`, the file beside the cfg, `coco.names` for 80 classes, or none.
///
/// # Errors
/// When a file given by the user cannot be read.
pub fn labels(given: Option<&Path>, cfg: &Path, graph: &Graph) -> Result<Vec<String>> {
    let Some(classes) = graph.heads.last().map(|h| h.classes) else {
        // A classifier's names are given, or not shown.
        let Some(file) = given else {
            return Ok(Vec::new());
        };
        return read_names(file, graph.outputs_len());
    };
    let beside = cfg.with_extension("names");
    let coco = workspace::root().join("models").join("coco.names");
    let file = match given {
        Some(p) => p.to_path_buf(),
        None if beside.is_file() => beside,
        None if classes == 80 && coco.is_file() => coco,
        None => return Ok(Vec::new()),
    };
    read_names(&file, classes)
}

/// The names in `file`; says when there are too few or too many.
fn read_names(file: &Path, classes: usize) -> Result<Vec<String>> {
    let (list, warnings) =
        names::read(file, classes).with_context(|| format!("cannot use {}", file.display()))?;
    for w in warnings {
        eprintln!("warning: {}: {w}", file.display());
    }
    Ok(list)
}

/// The `images` entries of `--json`, labelled.
pub fn images(outcome: &Outcome, labels: &[String]) -> Vec<Value> {
    let mut list: Vec<(String, Value)> = outcome
        .records
        .iter()
        .map(|r| {
            let order = format!(
                "{:08}/{:08}",
                r["source"].as_u64().unwrap_or(0),
                r["frame"].as_u64().unwrap_or(0)
            );
            let mut image =
                json!({ "file": r["file"], "width": r["width"], "height": r["height"] });
            if let Some(reason) = r.get("dropped") {
                image["dropped"] = reason.clone();
            }
            if let Some(top) = r.get("top") {
                image["top"] = top.clone();
            }
            let labelled = r["detections"].as_array().into_iter().flatten().map(|d| {
                let mut d = d.clone();
                let class = d["class"].as_u64().unwrap_or(0);
                let label = usize::try_from(class)
                    .ok()
                    .and_then(|c| labels.get(c))
                    .cloned();
                d["label"] = Value::from(label.unwrap_or_else(|| class.to_string()));
                d
            });
            image["detections"] = labelled.collect();
            (order, image)
        })
        .collect();
    list.sort_by(|a, b| a.0.cmp(&b.0));
    list.into_iter().map(|(_, v)| v).collect()
}

/// A picture, of the format that its contents say, as nodes read it: names may say another.
fn picture(file: &Path) -> Result<ImageReader<BufReader<File>>> {
    let reader = ImageReader::open(file)
        .and_then(ImageReader::with_guessed_format)
        .with_context(|| format!("cannot read {}", file.display()))?;
    Ok(reader)
}

/// Checks inputs before minutes are spent on planning and compiling.
fn check_inputs(frames: &Frames, graph: &Graph) -> Result<()> {
    match frames {
        Frames::Images(files) => {
            for f in files {
                picture(f)?.into_dimensions().with_context(|| {
                    format!(
                        "{} is no picture that can be decoded (PNG, JPEG, BMP or PNM)",
                        f.display()
                    )
                })?;
            }
        }
        Frames::Tensors(files) => {
            let s = graph.input;
            let want = 4 * s.len() as u64;
            for f in files {
                let have = std::fs::metadata(f)
                    .with_context(|| format!("cannot read {}", f.display()))?
                    .len();
                if have != want {
                    bail!(
                        "{} has {have} bytes; the network's input {}x{}x{} (C,H,W float32) takes {want}",
                        f.display(),
                        s.c,
                        s.h,
                        s.w
                    );
                }
            }
        }
    }
    Ok(())
}

/// Everything of a finished run.
#[derive(Debug)]
pub struct Finished {
    /// What the cluster gave.
    pub outcome: Outcome,
    /// Labelled images, as in `--json`.
    pub images: Vec<Value>,
}

/// An emulator for nodes of another architecture.
fn runner(target: Target) -> Vec<String> {
    let words: &[&str] = match target.triple() {
        t if t.starts_with(std::env::consts::ARCH) => &[],
        "armv7-unknown-linux-gnueabihf" => &["qemu-arm", "-L", "/usr/arm-linux-gnueabihf"],
        "aarch64-unknown-linux-gnu" => &["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"],
        _ => &[],
    };
    words.iter().map(ToString::to_string).collect()
}

/// Plans, emits, builds, runs; writes what was asked for.
///
/// # Errors
/// When any step fails; the message says which.
pub fn execute(args: &RunArgs) -> Result<Finished> {
    if args.sources > args.plan.edges {
        bail!(
            "--sources {} needs as many edges; --edges is {}",
            args.sources,
            args.plan.edges
        );
    }
    let shown = args
        .model
        .model
        .file_name()
        .map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let loaded = model::load(&args.model)?;
    plan::require_weights(&loaded.source, &shown)?;
    let labels = labels(args.names.as_deref(), &loaded.cfg, &loaded.model.graph)?;
    let absolute = |files: &[PathBuf]| {
        files
            .iter()
            .map(std::path::absolute)
            .collect::<std::io::Result<Vec<_>>>()
    };
    let frames = if args.input_f32.is_empty() {
        Frames::Images(absolute(&args.image)?)
    } else {
        Frames::Tensors(absolute(&args.input_f32)?)
    };
    check_inputs(&frames, &loaded.model.graph)?;
    let options = plan::options(&args.plan, &args.model, args.dump.is_some())?;
    let made = plan::make_plan(&loaded.model, &options)?;
    let target = options.target();
    let built = build::cached(&made, &loaded, target)?;
    drop(loaded);

    let threads = args
        .threads
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    // A single tile leaves a board's other cores nothing but a share of it.
    let one_tile = made.dataflow.stages.iter().any(|s| s.tiles.len() == 1);
    let worker_threads = if one_tile { threads } else { 1 };
    let dump = args.dump.as_ref().map(std::path::absolute).transpose()?;
    let config = Config {
        node: &built.node,
        weights: &built.weights,
        edges: usize::from(args.plan.edges),
        sources: usize::from(args.sources),
        workers: usize::from(args.plan.workers),
        threads,
        worker_threads,
        frames,
        thresh: args.thresh,
        nms: args.nms,
        letterbox: args.letterbox,
        dump: dump.as_deref(),
        runner: runner(target),
    };
    let step = Step::begin("Running");
    let outcome = cluster::run(&config, &|seen, total| {
        step.note(&format!("{seen} of {total} frames"))
    })?;
    step.done(&format!("{} frame(s)", outcome.records.len()));
    let images = images(&outcome, &labels);
    if let Some(file) = &args.json {
        let text = serde_json::to_string_pretty(&json!({ "images": images }))? + "\n";
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    if let (Some(file), Some(picture)) = (&args.annotate, args.image.first()) {
        write_annotated(picture, images.first(), file)?;
    }
    Ok(Finished { outcome, images })
}

fn write_annotated(from: &Path, image: Option<&Value>, file: &Path) -> Result<()> {
    let rgb = picture(from)?
        .decode()
        .with_context(|| format!("cannot read {}", from.display()))?
        .to_rgb8();
    let boxes = image
        .and_then(|i| i["detections"].as_array())
        .into_iter()
        .flatten()
        .filter_map(labelled_box);
    let drawn = annotate(&rgb, &boxes.collect::<Vec<_>>());
    if let Some(parent) = file.parent() {
        std::fs::create_dir_all(parent)?;
    }
    drawn
        .save_with_format(file, image::ImageFormat::Png)
        .with_context(|| format!("cannot write {}", file.display()))?;
    eprintln!("wrote {}", workspace::show(file));
    Ok(())
}

/// Runs the command.
///
/// # Errors
/// As [`execute`].
pub fn run(args: &RunArgs) -> Result<()> {
    let finished = execute(args)?;
    print!("{}", summary::detections(&finished.images));
    print!("{}", summary::cluster(&finished.outcome));
    for s in &finished.outcome.skipped {
        let text = |key: &str| s[key].as_str().unwrap_or("?").to_string();
        eprintln!("error: skipped {}: {}", text("file"), text("error"));
    }
    if !finished.outcome.skipped.is_empty() {
        bail!("not every input could be read");
    }
    if finished.images.iter().all(|i| i.get("dropped").is_some()) {
        bail!("every frame was dropped");
    }
    Ok(())
}

#[expect(clippy::cast_possible_truncation, reason = "boxes fit float32")]
fn labelled_box(d: &Value) -> Option<LabelledBox> {
    let px = |k: usize| d["box_px"].get(k).and_then(Value::as_f64).map(|v| v as f32);
    Some(LabelledBox {
        class: usize::try_from(d["class"].as_u64()?).ok()?,
        label: d["label"].as_str()?.to_string(),
        score: d["score"].as_f64()? as f32,
        left: px(0)?,
        top: px(1)?,
        width: px(2)?,
        height: px(3)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_annotated_whatever_their_names_say() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (
            dir.path().join("street.jpg"),
            dir.path().join("out/found.png"),
        );
        let grey = image::RgbImage::from_pixel(64, 48, image::Rgb([9, 9, 9]));
        grey.save_with_format(&from, image::ImageFormat::Png)
            .unwrap();
        let found = json!({ "detections": [
            { "class": 0, "label": "dog", "score": 0.5, "box_px": [8.0, 20.0, 30.0, 20.0] }
        ] });
        write_annotated(&from, Some(&found), &to).unwrap();
        let drawn = image::open(&to).unwrap().to_rgb8();
        assert_eq!(drawn.dimensions(), grey.dimensions());
        assert!(drawn != grey);
    }
}
