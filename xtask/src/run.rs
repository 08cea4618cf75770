//! `cargo xtask run`: a local cluster on pictures or tensors.

use std::{
    io::Cursor,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};
use image::{Rgb, RgbImage};
use serde_json::json;
use tessera_annotate::{LabelledBox, annotate};
use tessera_plan::{files::records::Detection, graph::Graph, plan::Plan};
use tessera_planner::{boards::Board, options::Target};

use crate::{
    cluster::{self, ClusterRun, Config, EdgeProcess, Http, Inputs, Program},
    compile::{self, Built},
    exit,
    files::{self, Output},
    flags::RunArgs,
    images::{Image, images},
    measured, model, names,
    out::{note, out},
    plan,
    predicted::Comparison,
    progress::Step,
    ranges, sources, start, summary, workspace,
};

/// Checks inputs before minutes are spent on planning and compiling.
fn check_inputs(inputs: &Inputs, options: tessera_picture::Options, graph: &Graph) -> Result<()> {
    match inputs {
        Inputs::Images(files) => {
            model::takes_pictures(graph)?;
            for f in files {
                tessera_picture::check(f, options)?;
            }
        }
        Inputs::Sources(_) => model::takes_pictures(graph)?,
        Inputs::Tensors(files) => {
            let s = graph.input;
            let want = 4 * s.len() as u64;
            for f in files {
                let have = files::length(f)?;
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

/// Results of a finished run.
#[derive(Debug)]
pub struct RunResult {
    /// The plan that ran.
    pub plan: Plan,
    /// Records and statistics of the cluster.
    pub run: ClusterRun,
    /// Labelled images, as in `--json`.
    pub images: Vec<Image>,
    /// For each requested file that could not be written, the reason.
    pub unwritten: Vec<anyhow::Error>,
}

/// Files that receive results in addition to standard output.
struct Outputs {
    json: Option<Output>,
    coco: Option<Output>,
    stats: Option<Output>,
    annotate: Option<Output>,
}

impl Outputs {
    /// Checks all files before any work.
    fn check(args: &RunArgs) -> Result<Self> {
        let file = |flag, path: &Option<PathBuf>| {
            let path = path.as_deref();
            path.map(|p| Output::check(flag, p)).transpose()
        };
        if let Some(folder) = &args.dump {
            files::check_folder("--dump", folder)?;
        }
        if let Some(folder) = &args.yolo {
            files::check_folder("--yolo", folder)?;
        }
        Ok(Self {
            json: file("--json", &args.json)?,
            coco: file("--coco", &args.coco)?,
            stats: file("--stats", &args.stats)?,
            annotate: file("--annotate", &args.annotate)?,
        })
    }

    /// Writes all requested files; returns an error for each file that could not be written.
    fn write(
        &self,
        (plan, run): (&Plan, &ClusterRun),
        images: &[Image],
        first: Option<&PathBuf>,
        reading: tessera_picture::Options,
    ) -> Vec<anyhow::Error> {
        let json = self.json.as_ref().map(|file| {
            let text = serde_json::to_string_pretty(&json!({ "images": images }))? + "\n";
            file.write(text.as_bytes())
        });
        let coco = self.coco.as_ref().zip(run.coco.as_ref());
        let coco = coco.map(|(file, array)| file.write(array));
        let stats = self.stats.as_ref();
        let stats = stats.map(|file| file.write(measured::file(plan, run)?.as_bytes()));
        let annotate = self.annotate.as_ref().zip(first);
        let annotate = annotate.map(|(file, picture)| {
            file.write(&annotated(picture, reading, images.first())?)?;
            note!("wrote {}", workspace::show(file.path()));
            Ok(())
        });
        let done = [json, coco, stats, annotate].into_iter().flatten();
        done.filter_map(Result::err).collect()
    }
}

/// Command of the emulator for nodes of another architecture; empty for this machine's own.
fn runner(target: Target) -> &'static [&'static str] {
    match target.triple() {
        t if t.starts_with(std::env::consts::ARCH) => &[],
        "armv7-unknown-linux-gnueabihf" => &["qemu-arm", "-L", "/usr/arm-linux-gnueabihf"],
        "aarch64-unknown-linux-gnu" => &["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"],
        _ => &[],
    }
}

/// Plans, emits, builds and runs a model; writes the requested files.
///
/// # Errors
/// When a step fails; the message names the step.
pub fn execute(args: &RunArgs) -> Result<RunResult> {
    let flags = if args.input_f32.is_empty() {
        args.plan.clone()
    } else {
        plan::of_tensors(args.plan.clone())
    };
    let options = plan::options(&flags, &args.model, args.dump.is_some())?;
    let sources = options.boards.iter().filter(|b| b.source).count();
    if usize::from(args.sources) > sources {
        bail!(
            "--sources {} needs as many edges that bring frames; there are {sources}",
            args.sources
        );
    }
    let mut found = Vec::new();
    if args.image.is_empty() && args.input_f32.is_empty() {
        found = sources::of(&args.from, flags.cluster.as_deref())?;
        if found.is_empty() && args.service.http.is_none() {
            bail!(
                "nothing to look at: give --source, --image or --input-f32, or a [[source]] in the cluster file"
            );
        }
    }
    let of_file = found.iter().filter_map(|s| Some(s.edge? + 1)).max();
    let source_edges = usize::from(args.sources).max(of_file.unwrap_or(0));
    let own_threshs = found
        .iter()
        .filter_map(|s| Some((s.name.as_ref()?.to_string(), s.thresh?.get())));
    let own_threshs: Vec<(String, f64)> = own_threshs.collect();
    let outputs = Outputs::check(args)?;
    let shown = args
        .model
        .model
        .file_name()
        .map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let loaded = model::load(&args.model)?;
    plan::require_weights(&loaded.source, &shown)?;
    let labels = names::of(args.names.as_deref(), &loaded.cfg, &loaded.model.graph)?;
    let absolute = |files: &[PathBuf]| {
        files
            .iter()
            .map(std::path::absolute)
            .collect::<std::io::Result<Vec<_>>>()
    };
    let inputs = if !args.input_f32.is_empty() {
        Inputs::Tensors(absolute(&args.input_f32)?)
    } else if !args.image.is_empty() {
        Inputs::Images(absolute(&args.image)?)
    } else {
        Inputs::Sources(found)
    };
    let reading = tessera_picture::Options {
        upright: !args.ignore_orientation,
        ..tessera_picture::Options::default()
    };
    check_inputs(&inputs, reading, &loaded.model.graph)?;
    let options = measured::refined(options, &flags.from_run, &loaded.model)?;
    let options = ranges::calibrated(options, flags.calibrate_on.as_deref(), &loaded)?;
    let made = plan::make_plan(&loaded.model, &options)?;
    let targets = options.targets();
    let built: Vec<Built> = (targets.iter())
        .map(|target| {
            // One binary for all nodes of a local cluster.
            let with: Vec<String> = args.service.http.iter().map(|_| "service".into()).collect();
            compile::cached_with(&made, &loaded, *target, &with)
        })
        .collect::<Result<_>>()?;
    drop(loaded);
    let program = |board: &Board| {
        let at = targets.iter().position(|t| *t == board.target);
        let built = &built[at.unwrap_or(0)];
        Program {
            node: &built.node,
            weights: &built.weights,
            runner: runner(board.target),
        }
    };
    let edges = options.boards.iter().filter(|b| !b.is_gateway);
    let threads = args
        .threads
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let one_tile = start::one_tile(&made);
    let edges = (1..).zip(edges).map(|(id, board)| {
        let (workers, planned) = start::cores(&made, id, board);
        EdgeProcess {
            program: program(board),
            workers,
            threads: if one_tile || planned > 1 { threads } else { 1 },
        }
    });
    let dump = args.dump.as_ref().map(std::path::absolute).transpose()?;
    let yolo = args.yolo.as_ref().map(std::path::absolute).transpose()?;
    let token = args.service.http_token.as_ref().map(std::path::absolute);
    let token = token.transpose()?;
    let class_names = args.service.http.map(|_| names_file(&labels)).transpose()?;
    let config = Config {
        http: args.service.http.map(|at| Http {
            at,
            token: token.as_deref(),
            names: class_names.as_ref().map(|f| f.path()),
            zmq: args.service.zmq.as_deref(),
            zmq_allow: args.service.zmq_allow.as_deref(),
        }),
        gateway: program(&options.gateway),
        edges: edges.collect(),
        sources: source_edges,
        frames: args.from.frames,
        gateway_edge: start::gateway_edge(&options, &made),
        threads,
        inputs,
        thresh: args.thresh,
        threshs: own_threshs,
        nms: args.nms,
        letterbox: args.letterbox,
        upright: reading.upright,
        dump: dump.as_deref(),
        trace: args.trace.as_deref(),
        coco: outputs.coco.is_some(),
        yolo: yolo.as_deref(),
        yolo_scores: args.yolo_scores,
    };
    let step = Step::begin("Running");
    let run = cluster::run(&config, &|seen, total| match total {
        Some(total) => step.note(&format!("{seen} of {total} frames")),
        None => step.note(&format!("{seen} frames")),
    })?;
    step.done(&format!("{} frame(s)", run.records.len()));
    let images = images(&run, &labels);
    let unwritten = outputs.write((&made, &run), &images, args.image.first(), reading);
    Ok(RunResult {
        plan: made,
        run,
        images,
        unwritten,
    })
}

/// The class names, for a gateway that tells them itself.
fn names_file(labels: &[String]) -> Result<tempfile::NamedTempFile> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), labels.join("\n") + "\n")?;
    Ok(file)
}

/// The picture with its boxes, as a PNG file.
fn annotated(
    from: &Path,
    reading: tessera_picture::Options,
    image: Option<&Image>,
) -> Result<Vec<u8>> {
    // The picture as the nodes read it: boxes refer to that picture.
    let seen = tessera_picture::load_with(from, reading)?;
    let rgb = RgbImage::from_fn(seen.width(), seen.height(), |x, y| {
        Rgb(seen.pixel(x as usize, y as usize))
    });
    let found = image.map_or(&[][..], |i| &i.detections);
    let boxes = found.iter().map(labelled_box);
    let drawn = annotate(&rgb, &boxes.collect::<Vec<_>>());
    let mut png = Cursor::new(Vec::new());
    drawn.write_to(&mut png, image::ImageFormat::Png)?;
    Ok(png.into_inner())
}

/// Reports files that could not be written, after all other output.
///
/// # Errors
/// When `unwritten` is not empty.
pub fn all_written(unwritten: &[anyhow::Error]) -> Result<()> {
    for e in unwritten {
        note!("error: {}", exit::with_causes(e));
    }
    if !unwritten.is_empty() {
        bail!("the results above are complete, but not every file could be written");
    }
    Ok(())
}

/// Runs the command.
///
/// # Errors
/// As [`execute`].
pub fn run(args: &RunArgs) -> Result<()> {
    let RunResult {
        plan,
        run,
        images,
        unwritten,
    } = execute(args)?;
    out!("{}", summary::detections(&images))?;
    out!("{}", summary::cluster(&run))?;
    out!("\n{}", Comparison::of(&plan, &run)?.render(&plan))?;
    for s in &run.skipped {
        note!("error: skipped {}: {}", s.file, s.error);
    }
    all_written(&unwritten)?;
    if !run.skipped.is_empty() {
        bail!("not every input could be read");
    }
    if images.iter().all(|i| i.dropped.is_some()) {
        bail!("every frame was dropped");
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "pixels fit float32")]
fn labelled_box(d: &Detection) -> LabelledBox {
    let [left, top, width, height] = d.box_px.map(|v| v as f32);
    LabelledBox {
        class: d.class as usize,
        label: d.label.clone().unwrap_or_default(),
        score: d.score,
        left,
        top,
        width,
        height,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tessera_plan::files::records::Detection;

    #[test]
    fn pictures_are_annotated_whatever_their_names_say() {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("street.jpg");
        let grey = RgbImage::from_pixel(64, 48, Rgb([9, 9, 9]));
        grey.save_with_format(&from, image::ImageFormat::Png)
            .unwrap();
        let dog = Detection {
            class: 0,
            label: Some("dog".into()),
            score: 0.5,
            objectness: 0.5,
            bbox: [0.36, 0.63, 0.47, 0.42],
            box_px: [8, 20, 30, 20],
        };
        let found = Image {
            file: None,
            source_name: None,
            timing: None,
            width: 64,
            height: 48,
            dropped: None,
            top: None,
            detections: vec![dog],
        };
        let drawn = |reading| {
            let png = annotated(&from, reading, Some(&found)).unwrap();
            image::load_from_memory_with_format(&png, image::ImageFormat::Png)
                .unwrap()
                .to_rgb8()
        };
        let plain = drawn(tessera_picture::Options::default());
        assert_eq!(plain.dimensions(), grey.dimensions());
        assert!(plain != grey);
        // A camera's picture is drawn as it is seen: EXIF orientation 6 is a quarter turn.
        let mut jpeg = std::io::Cursor::new(Vec::new());
        grey.write_to(&mut jpeg, image::ImageFormat::Jpeg).unwrap();
        let jpeg = jpeg.into_inner();
        let exif = b"\xff\xe1\x00\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        std::fs::write(&from, [&jpeg[..2], exif, &jpeg[2..]].concat()).unwrap();
        for (upright, size) in [(true, (48, 64)), (false, (64, 48))] {
            let reading = tessera_picture::Options {
                upright,
                ..tessera_picture::Options::default()
            };
            assert_eq!(drawn(reading).dimensions(), size);
        }
    }
}
