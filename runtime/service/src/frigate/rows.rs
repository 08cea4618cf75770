//! A record as the plug-in reads it: 20 rows of 6 float32 values.
//!
//! ```text
//! class  score  y_min  x_min  y_max  x_max       parts of the picture's height and width
//! ```
//! The plug-in stops at the first row below 0.4, so the surest come first and the rest is zero.

use tessera_plan::files::records::{Detection, Ending, Record};

/// Rows of a reply.
const ROWS: usize = 20;
/// Values of a row.
const VALUES: usize = 6;
/// Bytes of a reply.
pub const REPLY_BYTES: usize = 4 * ROWS * VALUES;
/// The least score that the plug-in reads.
pub const SCORE_MIN: f32 = 0.4;
/// The greatest class number that the plug-in can look up in every table of labels.
const CLASS_MAX: u32 = 90;

/// A reply.
pub type Reply = [u8; REPLY_BYTES];

/// No objects.
pub const NOTHING: Reply = [0; REPLY_BYTES];

/// What a record found; `None` of a frame that was dropped.
pub fn rows(record: &Record) -> Option<Reply> {
    let Ending::Computed(found) = &record.ending else {
        return None;
    };
    let mut best: Vec<(&Detection, [f32; 4])> = (found.detections.iter())
        .filter(|d| d.score >= SCORE_MIN && d.class <= CLASS_MAX)
        .filter_map(|d| Some((d, edges(d)?)))
        .collect();
    best.sort_by(|a, b| b.0.score.total_cmp(&a.0.score));
    let mut reply = NOTHING;
    for (row, (d, edges)) in reply.chunks_exact_mut(4 * VALUES).zip(best) {
        #[expect(clippy::cast_precision_loss, reason = "at most 90")]
        let class = d.class as f32;
        let values = [class, d.score.min(1.0)].into_iter().chain(edges);
        for (place, value) in row.chunks_exact_mut(4).zip(values) {
            place.copy_from_slice(&value.to_le_bytes());
        }
    }
    Some(reply)
}

/// Top, left, bottom and right of what lies inside the picture; `None` of a box that does not, or whose numbers are none.
fn edges(d: &Detection) -> Option<[f32; 4]> {
    let [x, y, w, h] = d.bbox;
    let edges = [y - h / 2.0, x - w / 2.0, y + h / 2.0, x + w / 2.0];
    if !d.score.is_finite() || edges.iter().any(|e| !e.is_finite()) {
        return None;
    }
    let edges = edges.map(|e| e.clamp(0.0, 1.0));
    (edges[0] < edges[2] && edges[1] < edges[3]).then_some(edges)
}

#[cfg(test)]
mod tests {
    use tessera_plan::files::records::{DropReason, Found, Subject};

    use super::*;

    fn record(ending: Ending) -> Record {
        Record {
            subject: Subject::default(),
            timing: None,
            width: 4,
            height: 4,
            ending,
        }
    }

    fn of(detections: Vec<Detection>) -> Vec<[f32; VALUES]> {
        let found = Found {
            detections,
            ..Found::default()
        };
        let reply = rows(&record(Ending::Computed(found))).unwrap();
        let value = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().unwrap());
        let row = |bytes: &[u8]| {
            let values: Vec<f32> = bytes.chunks(4).map(value).collect();
            <[f32; VALUES]>::try_from(values).unwrap()
        };
        reply.chunks(4 * VALUES).map(row).collect()
    }

    fn object(class: u32, score: f32, bbox: [f32; 4]) -> Detection {
        Detection {
            class,
            label: None,
            score,
            objectness: score,
            bbox,
            box_px: [0; 4],
        }
    }

    const SOMEWHERE: [f32; 4] = [0.5, 0.25, 0.5, 0.5];

    #[test]
    fn rows_fall_and_end_with_zeros() {
        let rows = of(vec![
            object(2, 0.5, SOMEWHERE),
            object(7, 0.399, SOMEWHERE),
            object(0, 0.9, [0.5, 0.5, 2.0, 0.5]),
        ]);
        assert_eq!(rows.len(), ROWS);
        assert_eq!(rows[0], [0.0, 0.9, 0.25, 0.0, 0.75, 1.0]);
        assert_eq!(rows[1], [2.0, 0.5, 0.0, 0.25, 0.5, 0.75]);
        assert!(rows[2..].iter().flatten().all(|v| *v == 0.0));
    }

    #[test]
    fn what_would_end_frigate_is_left_out() {
        let rows = of(vec![
            object(91, 0.9, SOMEWHERE),
            object(1, f32::NAN, SOMEWHERE),
            object(1, f32::INFINITY, SOMEWHERE),
            object(1, 0.9, [f32::NAN, 0.5, 0.5, 0.5]),
            object(1, 0.9, [0.5, 0.5, f32::INFINITY, 0.5]),
            object(1, 0.9, [2.0, 0.5, 0.5, 0.5]),
            object(90, 0.8, SOMEWHERE),
        ]);
        assert_eq!(rows[0][..2], [90.0, 0.8]);
        assert!(rows[1..].iter().flatten().all(|v| *v == 0.0));
        let many = of((0_u8..30)
            .map(|n| object(1, 0.5 + f32::from(n) / 100.0, SOMEWHERE))
            .collect());
        assert_eq!(many.len(), ROWS);
        assert!(many.windows(2).all(|w| w[0][1] > w[1][1]));
        let dropped = DropReason::TaskFailed;
        assert_eq!(super::rows(&record(Ending::Dropped { dropped })), None);
    }
}
