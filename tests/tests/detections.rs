//! Boxes read off Darknet's own detection maps are the boxes that Darknet found.
//!
//! Cases come from `../shared/golden`; without that folder the tests are ignored. The planner's front
//! end supplies the heads.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tessera_needs::needs;
use tessera_node::detect::{self, Candidate, Detection, ImageFrame};
use tessera_plan::{graph, region::Shape};
use tessera_planner::cfg;
use tessera_runtime::program::{ElementType, Head, Placement, Program, TailSpec, TensorSpec};

const THRESH: f32 = 0.25;
const NMS: f32 = 0.45;
/// How far scores and relative boxes may lie from Darknet's, whose `exp` works in double.
const CLOSE: f32 = 2e-6;

/// A golden case: its program (heads only) and its maps as Darknet computed them.
struct Case {
    dir: PathBuf,
    program: Program,
    maps: Vec<Vec<f32>>,
    image: ImageFrame,
}

fn golden(name: &str) -> Case {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/golden")
        .join(name);
    let cfg = dir.join("model.cfg");
    let text = fs::read(&cfg).unwrap_or_else(|e| panic!("{}: {e}", cfg.display()));
    let (graph, complaints) = cfg::read(&text, name, graph::Darknet::Alexey);
    let graph = graph.unwrap_or_else(|| panic!("{name}: {complaints:?}"));
    let expected: serde_json::Value =
        serde_json::from_slice(&fs::read(dir.join("expected.json")).unwrap()).unwrap();
    let side =
        |i: usize| u32::try_from(expected["input"]["image_size"][i].as_u64().unwrap()).unwrap();
    let image = ImageFrame {
        width: side(0),
        height: side(1),
        letterbox: false,
    };
    let maps = graph
        .heads
        .iter()
        .map(|h| {
            let bytes = fs::read(dir.join(format!("layer_{}.f32", h.layer))).unwrap();
            let mut map = vec![0.0; h.shape.len()];
            tessera_picture::tensor_from_chw(&bytes, h.shape.h, h.shape.w, h.shape.c, &mut map)
                .unwrap();
            map
        })
        .collect();
    Case {
        dir,
        program: program(&graph),
        maps,
        image,
    }
}

/// A program that only has the graph's heads.
fn program(graph: &graph::Graph) -> Program {
    let spec = |layer: i32, s: Shape| TensorSpec {
        layer,
        h: s.h,
        w: s.w,
        c: s.c,
        element: ElementType::F32,
        scales: None,
    };
    let mut tensors = vec![spec(-1, graph.input)];
    let mut heads = Vec::new();
    for h in &graph.heads {
        heads.push(Head {
            layer: u16::try_from(h.layer).unwrap(),
            tensor: u16::try_from(tensors.len()).unwrap(),
            classes: h.classes,
            anchors: h.anchors.clone().leak(),
            kind: h.kind,
        });
        tensors.push(spec(i32::try_from(h.layer).unwrap(), h.shape));
    }
    Program {
        name: "golden",
        target: "portable",
        plan_hash: [0; 32],
        model_digest: [0; 32],
        tensors: tensors.leak(),
        tasks: &[],
        placement: Placement::Steal,
        boards: 1,
        frames_in_flight: 2,
        stage_starts: &[0],
        tail: TailSpec {
            inputs: &[],
            outputs: &[],
            arena_floats: 0,
            macs: 0,
            run: |_| {},
        },
        heads: heads.leak(),
        nms: graph.heads.last().unwrap().nms,
        letterbox: graph.letterbox,
        region_objectness_one: graph.darknet == graph::Darknet::Alexey,
        sections: &[],
        check_cpu: || Ok(()),
    }
}

/// Class, then score, objectness, x, y, w, h.
type Row = (u32, [f32; 6]);

fn rows(text: &str, label: &str) -> Vec<Row> {
    text.lines()
        .filter_map(|l| l.strip_prefix(label))
        .map(|l| {
            let mut words = l.split_whitespace();
            let class = words.next().unwrap().parse().unwrap();
            let values: Vec<f32> = words.map(|w| w.parse().unwrap()).collect();
            (class, values.try_into().unwrap())
        })
        .collect()
}

fn row(class: u32, score: f32, objectness: f32, b: [f32; 4]) -> Row {
    (class, [score, objectness, b[0], b[1], b[2], b[3]])
}

fn of_candidates(list: &[Candidate]) -> Vec<Row> {
    list.iter()
        .flat_map(|c| (0u32..).zip(&c.probs).map(move |(class, p)| (class, p, c)))
        .filter(|(_, p, _)| **p > 0.0)
        .map(|(class, p, c)| row(class, *p, c.objectness, c.bbox))
        .collect()
}

fn of_detections(list: &[Detection]) -> Vec<Row> {
    list.iter()
        .map(|d| row(d.class, d.score, d.objectness, d.bbox))
        .collect()
}

/// Pairs every expected row with a different row of `have`; values within `close` of the larger of
/// 1 and the value itself.
fn assert_same(mut have: Vec<Row>, want: &[Row], close: f32, what: &str) {
    assert_eq!(have.len(), want.len(), "{what}: number of boxes");
    for w in want {
        let near = |h: &Row| {
            h.0 == w.0
                && h.1
                    .iter()
                    .zip(w.1)
                    .all(|(a, b)| (a - b).abs() <= close * b.abs().max(1.0))
        };
        let at = have.iter().position(near);
        let at = at.unwrap_or_else(|| panic!("{what}: {w:?} is missing; left: {have:?}"));
        have.swap_remove(at);
    }
}

impl Case {
    fn maps(&self) -> Vec<&[f32]> {
        self.maps.iter().map(Vec::as_slice).collect()
    }

    fn detections(&self) -> Vec<Detection> {
        detect::detections(&self.program, &self.maps(), self.image, THRESH, NMS)
    }
}

fn check(name: &str) {
    let case = golden(name);
    let text = fs::read_to_string(case.dir.join("dets.txt")).unwrap();
    let raw = detect::candidates(&case.program, &case.maps(), case.image, THRESH);
    assert_same(of_candidates(&raw), &rows(&text, "raw "), CLOSE, name);
    let found = case.detections();
    assert_same(of_detections(&found), &rows(&text, "nms "), CLOSE, name);
    println!(
        "{name}: {} boxes, {} after suppression",
        raw.len(),
        found.len()
    );
}

#[needs(golden)]
#[test]
fn region_head() {
    check("yolov2-mini");
}

#[needs(golden)]
#[test]
fn two_yolo_heads() {
    check("yolov3-tiny-mini");
}

#[needs(golden)]
#[test]
fn yolo_heads_with_greedy_nms() {
    check("yolov4-tiny-mini");
}

#[needs(golden)]
#[test]
fn yolo_heads_behind_depthwise_convolutions() {
    check("fastest-mini");
}

#[needs(golden)]
#[test]
fn trained_network() {
    check("yolo-fastest-1.1-dog");
}

/// Labels, percentages, pixels and their order are those that Darknet printed.
#[needs(golden)]
#[test]
fn trained_network_prints_as_darknet_does() {
    let case = golden("yolo-fastest-1.1-dog");
    let names = fs::read_to_string(case.dir.join("coco.names")).unwrap();
    let names: Vec<&str> = names.lines().collect();
    let have: Vec<String> = case
        .detections()
        .iter()
        .map(|d| {
            let [left, top, width, height] = case.image.pixels(d.bbox);
            format!(
                "{}: {:.0}%\t(left_x: {left:4}   top_y: {top:4}   width: {width:4}   height: {height:4})",
                names[d.class as usize],
                d.score * 100.0
            )
        })
        .collect();
    let want = fs::read_to_string(case.dir.join("dets.printed.txt")).unwrap();
    assert_eq!(have, want.lines().collect::<Vec<_>>());
}

/// Another reader of the same files: its scores differ by its epsilon.
#[needs(golden)]
#[test]
fn trained_network_agrees_with_opencv() {
    let case = golden("yolo-fastest-1.1-dog");
    let without_objectness = |r: Row| (r.0, [r.1[0], 0.0, r.1[2], r.1[3], r.1[4], r.1[5]]);
    let text = fs::read_to_string(case.dir.join("dets.opencv.txt")).unwrap();
    let want: Vec<Row> = text
        .lines()
        .map(|l| {
            let v: Vec<f32> = l.split_whitespace().map(|t| t.parse().unwrap()).collect();
            row(v[0] as u32, v[1], 0.0, [v[2], v[3], v[4], v[5]])
        })
        .collect();
    let have = of_detections(&case.detections());
    let have = have.into_iter().map(without_objectness).collect();
    assert_same(have, &want, 1e-3, "OpenCV");
}
