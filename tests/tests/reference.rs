//! The reference interpreter computes what the real Darknet computed: only then does agreeing with
//! it mean anything.

use std::fs;

use anyhow::{Context, Result, ensure};
use tessera_needs::needs;
use tessera_plan::graph::Darknet;
use tessera_tests::{
    compare,
    golden::{self, NETS},
    reference::{self, Fork, Layer},
};

/// Float32 sums of Darknet itself lie this far from sums in double precision.
const CLOSE: f64 = 1e-4;

fn check(name: &str) -> Result<()> {
    let case = golden::case(name)?;
    let text = fs::read_to_string(case.dir.join("model.cfg"))?;
    let weights = fs::read(case.dir.join("model.weights"))?;
    let fork = match case.model.graph.darknet {
        Darknet::Alexey => Fork::Alexey,
        Darknet::Pjreddie => Fork::Original,
    };
    let input = compare::read_f32(&case.input())?;
    let layers = reference::run(&text, &weights, &input, fork)?;
    for (k, layer) in layers.iter().enumerate() {
        let shape = [layer.map.c, layer.map.h, layer.map.w];
        ensure!(
            case.shape(k) == shape,
            "layer {k} is {shape:?}, not {:?}",
            case.shape(k)
        );
    }
    let dump = tempfile::tempdir()?;
    for (k, layer) in layers.iter().enumerate() {
        // Samples of a region layer follow Darknet's own, location-major order.
        if layer.kind != "region" || case.dir.join(format!("layer_{k}.f32")).exists() {
            let file = dump.path().join(format!("layer_{k}.f32"));
            compare::write_f32(&file, &layer.map.to_f32())?;
        }
    }
    ensure!(case.tolerance >= CLOSE, "a tolerance to stay below");
    let (whole, sampled) = case.check_dump(dump.path())?;
    ensure!(
        whole + sampled >= layers.len(),
        "{whole} and {sampled} of {} layers",
        layers.len()
    );
    if let Ok(all) = case.all_layers() {
        for (k, (want, layer)) in all.iter().zip(&layers).enumerate() {
            let d = compare::distance(&layer.map.to_f32(), want);
            ensure!(d <= CLOSE, "layer {k} is {d:.2e} away");
        }
    }
    check_boxes(&text, &layers, &case.dir.join("dets.txt"))
}

/// Before suppression: the lines `raw class score objectness x y w h`.
fn check_boxes(text: &str, layers: &[Layer], file: &std::path::Path) -> Result<()> {
    let Ok(want) = fs::read_to_string(file) else {
        return Ok(());
    };
    let mut found = reference::boxes(text, layers, 0.25)?;
    let raw = want.lines().filter_map(|l| l.strip_prefix("raw "));
    for line in raw {
        let v: Vec<f64> = line
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        let near = |f: &reference::Found| {
            f.class == v[0] as usize
                && (f.score - v[1]).abs() < CLOSE
                && f.bbox
                    .iter()
                    .zip(&v[3..])
                    .all(|(a, b)| (a - b).abs() < CLOSE * b.max(1.0))
        };
        let at = found.iter().position(near);
        found.swap_remove(at.with_context(|| format!("no box {line}"))?);
    }
    ensure!(found.is_empty(), "Darknet has no {found:?}");
    Ok(())
}

#[needs(golden)]
#[test]
fn the_reference_is_darknet() -> Result<()> {
    for name in NETS {
        check(name).context(name)?;
    }
    Ok(())
}
