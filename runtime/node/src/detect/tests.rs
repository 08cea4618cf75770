//! Small vectors, worked out by hand from the formulas of Darknet's layers.

use super::*;
use tessera_runtime::program::{ElementType, Head, HeadKind, Placement, TailSpec, TensorSpec};

const SQUARE: ImageFrame = ImageFrame {
    width: 100,
    height: 100,
    letterbox: false,
};

/// A program of one head: input 100 x 100, a map of `shape` (rows, columns, channels).
fn program(kind: HeadKind, anchors: &'static [(f32, f32)], shape: [usize; 3]) -> Program {
    let tensor = |layer, [h, w, c]: [usize; 3]| TensorSpec {
        layer,
        h,
        w,
        c,
        element: ElementType::F32,
        scales: None,
    };
    let entries = match kind {
        HeadKind::Gaussian { .. } => 9,
        _ => 5,
    };
    let classes = match kind {
        HeadKind::Detection { side, num, .. } => shape[2] / (side * side) - 5 * num,
        _ => shape[2] / anchors.len() - entries,
    };
    Program {
        name: "test",
        target: "portable",
        plan_hash: [0; 32],
        model_digest: [0; 32],
        tensors: Box::leak(Box::new([tensor(-1, [100, 100, 3]), tensor(0, shape)])),
        tasks: &[],
        placement: Placement::Steal,
        boards: 1,
        frames_in_flight: 2,
        stage_starts: &[0],
        tail: TailSpec {
            inputs: &[0],
            outputs: &[1],
            arena_floats: 0,
            macs: 0,
            run: |_| {},
        },
        heads: Box::leak(Box::new([Head {
            layer: 0,
            tensor: 1,
            classes,
            anchors,
            kind,
        }])),
        nms: NmsKind::Default,
        letterbox: false,
        region_objectness_one: true,
        sections: &[],
        check_cpu: || Ok(()),
    }
}

fn close(a: [f32; 4], b: [f32; 4]) -> bool {
    a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6)
}

#[test]
fn yolo_boxes_are_read_cell_by_cell_and_slot_by_slot() {
    let p = program(
        HeadKind::Yolo { new_coords: false },
        &[(10.0, 20.0), (30.0, 40.0)],
        [2, 1, 14],
    );
    let mut map = vec![0.0f32; 28];
    // Row 1, column 0, slot 1: two classes above the threshold.
    map[21..28].copy_from_slice(&[0.25, 0.5, 0.0, 2f32.ln(), 0.8, 0.5, 0.75]);
    // Row 0, slot 0: the objectness equals the threshold, which is not enough.
    map[..7].copy_from_slice(&[0.5, 0.5, 0.0, 0.0, 0.25, 1.0, 1.0]);
    let found = detections(&p, &[&map], SQUARE, 0.25, 0.45);
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].class, found[1].class), (1, 0));
    assert!((found[0].score - 0.6).abs() < 1e-6 && (found[1].score - 0.4).abs() < 1e-6);
    assert_eq!(found[0].objectness, 0.8);
    assert!(close(found[0].bbox, [0.25, 0.75, 0.3, 0.8]));
}

#[test]
fn new_coords_square_instead_of_exp() {
    let p = program(
        HeadKind::Yolo { new_coords: true },
        &[(10.0, 20.0)],
        [1, 1, 6],
    );
    let found = detections(&p, &[&[0.5, 0.5, 0.5, 1.0, 1.0, 1.0]], SQUARE, 0.25, 0.45);
    assert!(close(found[0].bbox, [0.5, 0.5, 0.1, 0.8]));
}

#[test]
fn gaussian_scores_shrink_with_uncertainty_and_points_shift_boxes() {
    let map = [0.5, 0.1, 0.5, 0.1, 0.0, 0.1, 0.0, 0.1, 0.9, 1.0];
    for (point, x, y) in [(0, 0.5, 0.5), (1, 0.6, 0.7), (-1, 0.4, 0.3)] {
        let p = program(HeadKind::Gaussian { point }, &[(20.0, 40.0)], [1, 1, 10]);
        let found = detections(&p, &[&map], SQUARE, 0.25, 0.45);
        assert!((found[0].score - 0.81).abs() < 1e-6);
        assert!(close(found[0].bbox, [x, y, 0.2, 0.4]), "{point}");
    }
}

#[test]
fn region_applies_the_logistic_and_counts_anchors_in_cells() {
    let p = program(HeadKind::Region, &[(1.0, 2.0)], [2, 4, 7]);
    let mut map = vec![0.0f32; 56];
    map[7 * 6..7 * 7].copy_from_slice(&[0.0, 0.0, 0.0, 0.0, 0.9, 0.2, 0.8]);
    let found = detections(&p, &[&map], SQUARE, 0.25, 0.45);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].class, found[0].objectness), (1, 1.0));
    assert!((found[0].score - 0.72).abs() < 1e-6);
    assert!(close(found[0].bbox, [2.5 / 4.0, 0.75, 0.25, 1.0]));
}

#[test]
fn version_1_maps_are_classes_then_confidences_then_boxes() {
    let kind = HeadKind::Detection {
        side: 2,
        num: 1,
        sqrt: true,
    };
    // 4 cells, 1 class: 4 class scores, 4 confidences, 4 boxes.
    let p = program(kind, &[], [1, 1, 24]);
    let mut map = vec![0.0f32; 24];
    map[2] = 0.9;
    map[4 + 2] = 0.5;
    map[8 + 8..8 + 12].copy_from_slice(&[0.5, 0.5, 0.5, 0.1]);
    let found = detections(&p, &[&map], SQUARE, 0.2, 0.4);
    assert_eq!(found.len(), 1);
    assert!((found[0].score - 0.45).abs() < 1e-6);
    assert!(close(found[0].bbox, [0.25, 0.75, 0.25, 0.01]));
}

#[test]
fn letterboxed_boxes_return_to_the_picture() {
    // 200 x 100 in 100 x 100: half the height, 25 rows of border on either side.
    let wide = ImageFrame {
        width: 200,
        height: 100,
        letterbox: true,
    };
    assert!(close(
        wide.correct([0.5, 0.375, 0.1, 0.2], 100, 100),
        [0.5, 0.25, 0.1, 0.4]
    ));
    assert_eq!(wide.pixels([0.5, 0.25, 0.1, 0.5]), [90, 0, 20, 50]);
}

#[test]
fn boxes_are_listed_from_left_to_right() {
    let p = program(
        HeadKind::Yolo { new_coords: false },
        &[(10.0, 10.0)],
        [1, 3, 7],
    );
    let cell = |objectness, a, b| [0.5, 0.5, 0.0, 0.0, objectness, a, b];
    let map = [
        cell(0.9, 0.5, 0.4),
        cell(0.5, 0.7, 0.8),
        cell(1.0, 1.0, 0.9),
    ]
    .concat();
    let order: Vec<(f32, u32)> = detections(&p, &[&map], SQUARE, 0.25, 0.45)
        .iter()
        .map(|d| (d.objectness, d.class))
        .collect();
    assert_eq!(
        order,
        [(0.9, 0), (0.9, 1), (0.5, 1), (0.5, 0), (1.0, 0), (1.0, 1)]
    );
}

#[test]
fn not_a_number_is_nowhere_a_detection() {
    let nan = f32::NAN;
    let yolo = program(
        HeadKind::Yolo { new_coords: false },
        &[(10.0, 10.0)],
        [1, 4, 6],
    );
    let cells = [
        [nan; 6],
        [0.5, 0.5, nan, 0.0, 0.9, 0.9],
        [0.5, 0.5, 1e3, 0.0, 0.9, 0.9],
        [0.5, 0.5, 0.0, 0.0, 0.9, nan],
    ];
    assert_eq!(
        detections(&yolo, &[&cells.concat()], SQUARE, 0.25, 0.45),
        []
    );
    let region = program(HeadKind::Region, &[(1.0, 1.0)], [1, 1, 7]);
    assert_eq!(detections(&region, &[&[nan; 7]], SQUARE, 0.0, 0.45), []);
    assert_eq!(top(&[0.1, nan, 0.7, 0.2], 2), [(2, 0.7), (3, 0.2)]);
    // Suppression meets it only as a library.
    let odd = |objectness, x| Candidate {
        bbox: [x, 0.5, nan, 0.2],
        objectness,
        probs: vec![0.5, nan],
    };
    let mut all = vec![odd(nan, 0.5), odd(0.5, 0.5), odd(1.0, nan)];
    suppress(&mut all, 0.45, Overlap::Distance(0.6));
    suppress_by_objectness(&mut all, 0.45);
    assert_eq!(all.len(), 3);
}

#[test]
fn a_map_of_another_size_holds_no_boxes() {
    let p = program(
        HeadKind::Yolo { new_coords: false },
        &[(10.0, 10.0)],
        [1, 2, 6],
    );
    assert_eq!(detections(&p, &[&[1.0; 6]], SQUARE, 0.25, 0.45), []);
    assert_eq!(detections(&p, &[], SQUARE, 0.25, 0.45), []);
}
