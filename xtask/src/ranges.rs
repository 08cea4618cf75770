//! Ranges of a network's values on calibration pictures: what `--wire u8` makes its scales of.
//!
//! The network runs here, in float32, layer by layer: a node of portable, exact code whose every layer is a stage of
//! one tile dumps all maps of a picture (`solo --dump`). Its sums have one order on every machine, so the same
//! pictures give the same plan everywhere.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use tessera_plan::{
    graph::Graph,
    plan::{ElementType, Plan, Tensor},
};
use tessera_planner::{
    boards::Board,
    ftp::StageGraph,
    make,
    options::{PlanOptions, Target},
    ranges::Ranges,
};

use crate::{
    children,
    compile::{self, Built},
    model::{self, Loaded},
    progress::Step,
    workspace,
};

/// Endings of pictures that nodes read.
const ENDINGS: [&str; 8] = ["png", "jpg", "jpeg", "bmp", "pnm", "ppm", "pgm", "pbm"];
/// Most pictures of a folder; each takes a run of the whole network.
const PICTURES_MAX: usize = 1000;

/// The options with the ranges that the pictures of `folder` give. Nothing runs where no object is of bytes.
///
/// # Errors
/// When objects of bytes are asked for and the folder has no pictures, the model has no weights, or the network
/// cannot be run on the pictures.
pub fn calibrated(
    mut options: PlanOptions,
    folder: Option<&Path>,
    loaded: &Loaded,
) -> Result<PlanOptions> {
    let Some(folder) = folder else {
        return Ok(options);
    };
    ensure!(
        options.wire.objects.contains(&ElementType::U8),
        "--calibrate-on is for objects of bytes: give --wire u8 too, or leave it out"
    );
    let found = pictures(folder)?;
    model::takes_pictures(&loaded.model.graph)?;
    ensure!(
        loaded.model.weights.is_some(),
        "--calibrate-on runs the network, which has no weights here: give --weights FILE"
    );
    let plan = every_layer(loaded)?;
    let built = compile::cached(&plan, loaded, Target::Portable)?;
    let ranges = measured(&plan, &built, &found)?;
    options.ranges = Some(ranges.into());
    let shown = folder.file_name().map(|n| n.to_string_lossy().into_owned());
    options.notes.push(format!(
        "objects of bytes: ranges of every channel seen on {} pictures of {}",
        found.len(),
        shown.unwrap_or_default()
    ));
    Ok(options)
}

/// The pictures of a folder, by name; a picture alone stands for itself.
fn pictures(folder: &Path) -> Result<Vec<PathBuf>> {
    if folder.is_file() {
        return Ok(vec![folder.to_owned()]);
    }
    let shown = workspace::show(folder);
    let entries = fs::read_dir(folder).with_context(|| format!("--calibrate-on {shown}"))?;
    let mut list = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
        if path.is_file() && ending.is_some_and(|e| ENDINGS.contains(&e.as_str())) {
            list.push(path);
        }
    }
    list.sort();
    if list.is_empty() || list.len() > PICTURES_MAX {
        bail!(
            "--calibrate-on {shown}: found {} pictures ({}); give a folder with 1 to {PICTURES_MAX} that look like those \
             to come",
            list.len(),
            ENDINGS.join(", ")
        );
    }
    Ok(list)
}

/// A plan whose layers are stages of one tile each.
fn every_layer(loaded: &Loaded) -> Result<Plan> {
    let graph = &loaded.model.graph;
    let options = PlanOptions {
        grids: vec![[1, 1]],
        cuts: ends(graph),
        exact: true,
        dump: true,
        command: format!("calibration of {}", graph.name),
        ..PlanOptions::of(1, &Board::new(Target::Portable))
    };
    make::plan(&loaded.model, &options).context("no plan for calibration")
}

/// Ends of the layers that make something.
fn ends(graph: &Graph) -> Vec<usize> {
    let mut list: Vec<usize> = Vec::new();
    for end in 1..=graph.layers.len() {
        let first = list.last().copied().unwrap_or(0);
        if !StageGraph::new(graph, first, end, &graph.outputs)
            .outputs
            .is_empty()
        {
            list.push(end);
        }
    }
    list
}

/// Runs the node on every picture.
fn measured(plan: &Plan, built: &Built, pictures: &[PathBuf]) -> Result<Ranges> {
    let step = Step::begin(format!("Calibrating on {} pictures", pictures.len()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut ranges = Ranges::default();
    for picture in pictures {
        let dump = tempfile::tempdir()?;
        let mut command = Command::new(&built.node);
        command.args(["solo", "--weights"]).arg(&built.weights);
        command
            .arg("--image")
            .arg(picture)
            .arg("--dump")
            .arg(dump.path());
        command.args(["--threads", &threads.to_string()]);
        let out = children::output(&mut command).context("cannot start the node")?;
        if !out.status.success() {
            let said = String::from_utf8_lossy(&out.stderr);
            bail!("{}: the node failed:\n{said}", picture.display());
        }
        for t in plan
            .dataflow
            .tensors
            .iter()
            .filter(|t| t.layer >= 0 && !t.is_strip())
        {
            add(&mut ranges, t, dump.path())
                .with_context(|| format!("{}: layer {}", picture.display(), t.layer))?;
        }
    }
    step.done("");
    Ok(ranges)
}

/// Adds a map of a dump: C, H, W, float32.
fn add(ranges: &mut Ranges, t: &Tensor, dump: &Path) -> Result<()> {
    let bytes = fs::read(dump.join(format!("layer_{}.f32", t.layer)))?;
    ensure!(
        bytes.len() == 4 * t.shape.len(),
        "a dump of {} bytes",
        bytes.len()
    );
    let (values, _) = bytes.as_chunks::<4>();
    let channels = values.chunks_exact((t.shape.h * t.shape.w).max(1));
    for (c, channel) in channels.enumerate() {
        ranges.add(t.id, c, channel.iter().map(|v| f32::from_le_bytes(*v)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_stands_for_itself() {
        let demo = workspace::root().join("models/demo/demo.png");
        let found = pictures(&demo).unwrap();
        assert_eq!(found, [demo]);
    }

    #[test]
    fn pictures_are_taken_by_name_and_files_of_other_kinds_are_left() -> Result<()> {
        let dir = tempfile::tempdir()?;
        assert!(pictures(dir.path()).is_err());
        for name in ["b.PNG", "a.jpg", "c.txt"] {
            fs::write(dir.path().join(name), "")?;
        }
        fs::create_dir(dir.path().join("d.png"))?;
        let found = pictures(dir.path())?;
        assert_eq!(found, ["a.jpg", "b.PNG"].map(|n| dir.path().join(n)));
        assert!(pictures(&dir.path().join("none")).is_err());
        Ok(())
    }
}
