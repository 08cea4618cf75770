//! The front end on real networks: shipped cfgs and the golden cases of the real Darknet.

use std::path::{Path, PathBuf};

use tessera_needs::needs;
use tessera_plan::graph::{Darknet, Graph};
use tessera_planner::{cfg, weights};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_path_buf()
}

fn read(path: &Path, darknet: Darknet) -> Graph {
    let text = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let (graph, diagnostics) = cfg::read(&text, "net", darknet);
    graph.unwrap_or_else(|| {
        panic!(
            "{}",
            diagnostics
                .iter()
                .map(|d| format!("{}: {d}\n", path.display()))
                .collect::<String>()
        )
    })
}

#[test]
fn shipped_networks_have_the_real_counts() {
    for (name, floats) in [
        ("yolov2", 50_983_561),
        ("yolov2-tiny", 11_237_145),
        ("yolov3", 62_001_757),
        ("yolov3-tiny", 8_858_734),
        ("yolov4-tiny", 6_062_814),
        ("darknet19", 20_856_776),
    ] {
        let g = read(
            &root().join("models").join(name).with_extension("cfg"),
            Darknet::Alexey,
        );
        assert_eq!(
            g.layers.iter().map(|l| l.weights).sum::<usize>(),
            floats,
            "{name}"
        );
    }
}

#[needs(golden)]
#[test]
fn golden_networks_have_darknets_shapes_and_weights() {
    let golden = root().join("../shared/golden");
    let mut seen = 0;
    for entry in std::fs::read_dir(golden).unwrap() {
        let dir = entry.unwrap().path();
        let (cfg, expected) = (dir.join("model.cfg"), dir.join("expected.json"));
        if !cfg.is_file() {
            continue;
        }
        let expected: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(expected).unwrap()).unwrap();
        let darknet = if expected["fork"] == "pj" {
            Darknet::Pjreddie
        } else {
            Darknet::Alexey
        };
        let g = read(&cfg, darknet);
        let total: usize = g.layers.iter().map(|l| l.weights).sum();
        assert_eq!(
            Some(total as u64),
            expected["weights_floats"].as_u64(),
            "{}",
            dir.display()
        );
        for (i, l) in expected["layers"].as_array().unwrap().iter().enumerate() {
            let want: Vec<u64> = l["shape"]
                .as_array()
                .unwrap()
                .iter()
                .map(|v| v.as_u64().unwrap())
                .collect();
            let s = g.layers[i].shape;
            let have = if s.h * s.w == 1 || want[1..] == [1, 1] {
                vec![s.len() as u64, 1, 1]
            } else {
                vec![s.c as u64, s.h as u64, s.w as u64]
            };
            assert_eq!(have, want, "{} layer {i} {}", dir.display(), l["type"]);
        }
        let (model, warnings) = weights::load(&dir.join("model.weights"), g).unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        assert!(model.weights.is_some());
        seen += 1;
    }
    assert!(seen >= 7, "only {seen} cases");
}

#[test]
fn random_weights_fit_their_cfg_and_repeat() {
    let g = read(&root().join("models/yolov3-tiny.cfg"), Darknet::Alexey);
    let file = weights::random_file(&g, 7);
    assert_eq!(file.len(), 20 + 4 * 8_858_734);
    assert_eq!(file, weights::random_file(&g, 7));
    assert_ne!(file[20..4000], weights::random_file(&g, 8)[20..4000]);
    let (model, _) = weights::from_bytes("random", &file, g).unwrap();
    let (again, _) = weights::from_bytes("random", &file, model.graph.clone()).unwrap();
    assert_eq!(model.digest, again.digest);
}
