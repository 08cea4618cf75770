//! Non-maximum suppression (Darknet `do_nms_sort`, `diounms_sort`, `do_nms_obj`;
//! `docs/darknet.md#nms`).

use super::{
    Candidate,
    iou::{distance_iou, iou},
};

/// The measure of overlap between two boxes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Overlap {
    /// IoU alone.
    Plain,
    /// IoU minus the centre-distance term with this exponent.
    Distance(f32),
}

impl Overlap {
    fn overlap(self, a: [f32; 4], b: [f32; 4]) -> f32 {
        match self {
            Self::Plain => iou(a, b),
            Self::Distance(beta) => distance_iou(a, b, beta),
        }
    }
}

/// Drops boxes with objectness 0, then, class by class in order of score, zeroes the score of every
/// box that overlaps a better one by more than `thresh`.
pub fn suppress(all: &mut Vec<Candidate>, thresh: f32, kind: Overlap) {
    all.retain(|c| c.objectness != 0.0);
    let classes = all.iter().map(|c| c.probs.len()).max().unwrap_or(0);
    let mut order: Vec<usize> = Vec::new();
    for class in 0..classes {
        let prob = |c: &Candidate| c.probs.get(class).copied().unwrap_or(0.0);
        order.clear();
        order.extend((0..all.len()).filter(|i| prob(&all[*i]) > 0.0));
        order.sort_by(|a, b| prob(&all[*b]).total_cmp(&prob(&all[*a])));
        for i in 0..order.len() {
            if prob(&all[order[i]]) == 0.0 {
                continue;
            }
            let better = all[order[i]].bbox;
            for &j in &order[i + 1..] {
                if kind.overlap(better, all[j].bbox) > thresh {
                    all[j].probs[class] = 0.0;
                }
            }
        }
    }
}

/// The variant of Darknet's library: boxes are sorted by objectness, and a suppressed box loses all its classes.
pub fn suppress_by_objectness(all: &mut Vec<Candidate>, thresh: f32) {
    all.retain(|c| c.objectness != 0.0);
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by(|a, b| all[*b].objectness.total_cmp(&all[*a].objectness));
    for i in 0..order.len() {
        if all[order[i]].objectness == 0.0 {
            continue;
        }
        let better = all[order[i]].bbox;
        for &j in &order[i + 1..] {
            if all[j].objectness != 0.0 && iou(better, all[j].bbox) > thresh {
                all[j].objectness = 0.0;
                all[j].probs.fill(0.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Boxes, and which of them Darknet's suppressions leave.
    fn golden() -> (Vec<Candidate>, String) {
        let dir =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden/nms");
        let read = |name: &str| {
            let file = dir.join(name);
            std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
        };
        let boxes = read("boxes.txt");
        let list = boxes
            .lines()
            .filter(|l| !l.starts_with('#') && !l.trim().is_empty())
            .map(|l| {
                let v: Vec<f32> = l.split_whitespace().map(|t| t.parse().unwrap()).collect();
                Candidate {
                    objectness: v[0],
                    bbox: [v[1], v[2], v[3], v[4]],
                    probs: v[5..].to_vec(),
                }
            })
            .collect();
        (list, read("expected.txt"))
    }

    #[tessera_needs::needs(golden)]
    #[test]
    fn golden_suppression_leaves_the_same_boxes() {
        let (boxes, expected) = golden();
        for kind in ["sort", "obj", "greedynms", "diounms0.6", "diounms1.0"] {
            let mut left = boxes.clone();
            match kind {
                "sort" => suppress(&mut left, 0.45, Overlap::Plain),
                "obj" => suppress_by_objectness(&mut left, 0.45),
                "diounms1.0" => suppress(&mut left, 0.45, Overlap::Distance(1.0)),
                _ => suppress(&mut left, 0.45, Overlap::Distance(0.6)),
            }
            let mut have = Vec::new();
            for c in &left {
                let number = boxes.iter().position(|b| b.bbox == c.bbox).unwrap();
                have.extend(
                    c.probs
                        .iter()
                        .enumerate()
                        .filter(|(_, p)| **p > 0.0)
                        .map(|(k, p)| (number, k, *p)),
                );
            }
            let mut want: Vec<(usize, usize, f32)> = expected
                .lines()
                .filter_map(|l| {
                    let t: Vec<&str> = l.split_whitespace().collect();
                    (t[0] == kind).then(|| {
                        (
                            t[1].parse().unwrap(),
                            t[2].parse().unwrap(),
                            t[3].parse().unwrap(),
                        )
                    })
                })
                .collect();
            assert!(!want.is_empty(), "{kind}");
            let key = |v: &(usize, usize, f32)| (v.0, v.1);
            have.sort_by_key(key);
            want.sort_by_key(key);
            assert_eq!(
                have.iter().map(key).collect::<Vec<_>>(),
                want.iter().map(key).collect::<Vec<_>>(),
                "{kind}"
            );
            assert!(
                have.iter()
                    .zip(&want)
                    .all(|(a, b)| (a.2 - b.2).abs() < 1e-5),
                "{kind}"
            );
        }
    }

    #[test]
    fn a_better_box_removes_its_overlaps_class_by_class() {
        let b = |x: f32, probs: &[f32]| Candidate {
            bbox: [x, 0.5, 0.2, 0.2],
            objectness: 1.0,
            probs: probs.to_vec(),
        };
        let mut all = vec![
            b(0.5, &[0.9, 0.0]),
            b(0.51, &[0.8, 0.7]),
            b(0.9, &[0.3, 0.0]),
        ];
        suppress(&mut all, 0.45, Overlap::Plain);
        let left: Vec<Vec<f32>> = all.iter().map(|c| c.probs.clone()).collect();
        assert_eq!(left, [vec![0.9, 0.0], vec![0.0, 0.7], vec![0.3, 0.0]]);
    }
}
