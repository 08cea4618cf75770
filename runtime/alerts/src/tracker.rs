//! Objects that are followed from frame to frame by the overlap of their boxes.
//!
//! The method is that of ByteTrack (Zhang et al., ECCV 2022) without its Kalman filter. Sure boxes are matched first, with
//! the tracks as they are expected to have moved; boxes that the network is less sure of then go on tracks that are left, but
//! begin none: an object that is half hidden keeps its number, and a shadow gets none. Pairs are taken from the largest
//! overlap down. A track that is not seen is kept for a while and expected to move on.

use tessera_plan::files::records::Detection;

use crate::bbox::BBox;

/// Most tracks of a source.
pub const TRACKS_MAX: usize = 256;
/// Boxes with this score at least are sure.
const SURE: f32 = 0.5;
/// Least overlap with a sure box.
const IOU_SURE: f32 = 0.2;
/// Least overlap with another box: what is unsure must lie where something is expected.
const IOU_UNSURE: f32 = 0.5;
/// Seconds that a track is kept unseen, and frames.
const KEPT_S: f64 = 2.0;
const KEPT_FRAMES: u32 = 5;
/// Share of the last step in the speed.
const NEWEST: f32 = 0.5;

/// A box of a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Class number.
    pub class: u32,
    /// Its name, if it has one.
    pub label: Option<String>,
    /// From 0 to 1.
    pub score: f32,
    /// Where.
    pub bbox: BBox,
}

impl Seen {
    /// `None` for what is no box.
    pub fn of(d: &Detection) -> Option<Self> {
        Some(Self {
            class: d.class,
            label: d.label.clone(),
            score: Some(d.score).filter(|s| s.is_finite())?,
            bbox: BBox::new(d.bbox)?,
        })
    }
}

/// An object.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// Its number, counted from 1 for each source.
    pub id: u64,
    /// As it was seen last.
    pub seen: Seen,
    /// For each rule: frames, one after the other, in which the object met it.
    pub met: Vec<u32>,
    /// For each rule: it was counted.
    pub counted: Vec<bool>,
    /// Relative to the picture, in a frame.
    speed: [f32; 2],
    /// Frames since it was seen.
    unseen: u32,
    /// When it was seen, in seconds.
    at: f64,
}

impl Track {
    /// Where the object should be in the next frame.
    fn expected(&self) -> BBox {
        #[expect(clippy::cast_precision_loss, reason = "a few frames")]
        let frames = (self.unseen + 1) as f32;
        self.seen.bbox.moved(self.speed.map(|v| v * frames))
    }

    fn see(&mut self, seen: Seen, at: f64) {
        #[expect(clippy::cast_precision_loss, reason = "a few frames")]
        let frames = (self.unseen + 1) as f32;
        let step = [
            (seen.bbox.x - self.seen.bbox.x) / frames,
            (seen.bbox.y - self.seen.bbox.y) / frames,
        ];
        for (speed, step) in self.speed.iter_mut().zip(step) {
            *speed = NEWEST * step + (1.0 - NEWEST) * *speed;
        }
        self.seen = seen;
        self.unseen = 0;
        self.at = at;
    }
}

/// The objects of one source.
#[derive(Clone, Debug)]
pub struct Tracker {
    tracks: Vec<Track>,
    last: u64,
    rules: usize,
}

impl Tracker {
    /// Nothing is there yet; `rules` rules are looked at.
    pub const fn new(rules: usize) -> Self {
        Self {
            tracks: Vec::new(),
            last: 0,
            rules,
        }
    }

    /// Takes the boxes of a frame that ended at `now`, in seconds.
    pub fn update(&mut self, boxes: impl Iterator<Item = Seen>, now: f64) {
        // Records have few boxes; a network with broken weights has thousands.
        let mut boxes: Vec<Seen> = boxes.collect();
        boxes.sort_by(|a, b| b.score.total_cmp(&a.score));
        boxes.truncate(TRACKS_MAX);
        let unsure = boxes.split_off(boxes.partition_point(|b| b.score >= SURE));
        let mut free: Vec<usize> = (0..self.tracks.len()).collect();
        let mut matched = Vec::new();
        let new = self.pair(boxes, &mut free, IOU_SURE, &mut matched);
        // What was not seen a moment ago is not found again by a box that may be a shadow.
        let mut visible = free.clone();
        visible.retain(|t| self.tracks[*t].unseen == 0);
        let _ = self.pair(unsure, &mut visible, IOU_UNSURE, &mut matched);
        for track in &mut self.tracks {
            track.unseen = track.unseen.saturating_add(1);
        }
        for (track, seen) in matched {
            let track = &mut self.tracks[track];
            track.unseen -= 1;
            track.see(seen, now);
        }
        self.tracks
            .retain(|t| t.unseen <= KEPT_FRAMES || now - t.at <= KEPT_S);
        for seen in new {
            if self.tracks.len() == TRACKS_MAX {
                break;
            }
            self.last += 1;
            self.tracks.push(Track {
                id: self.last,
                seen,
                met: vec![0; self.rules],
                counted: vec![false; self.rules],
                speed: [0.0; 2],
                unseen: 0,
                at: now,
            });
        }
    }

    /// The objects of the last frame.
    pub fn seen_now(&mut self) -> impl Iterator<Item = &mut Track> {
        self.tracks.iter_mut().filter(|t| t.unseen == 0)
    }

    /// Pairs `boxes` with `free` tracks of their class whose overlap is `least` at least, from the largest down, into
    /// `matched`. Returns the boxes that are left; the tracks that are left stay in `free`.
    fn pair(
        &self,
        boxes: Vec<Seen>,
        free: &mut Vec<usize>,
        least: f32,
        matched: &mut Vec<(usize, Seen)>,
    ) -> Vec<Seen> {
        let mut pairs: Vec<(f32, usize, usize)> = Vec::new();
        for &t in free.iter() {
            let expected = self.tracks[t].expected();
            for (b, seen) in boxes.iter().enumerate() {
                let iou = expected.iou(&seen.bbox);
                if iou >= least && seen.class == self.tracks[t].seen.class {
                    pairs.push((iou, t, b));
                }
            }
        }
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut boxes: Vec<Option<Seen>> = boxes.into_iter().map(Some).collect();
        for (_, t, b) in pairs {
            let Some(at) = free.iter().position(|f| *f == t) else {
                continue;
            };
            if let Some(seen) = boxes[b].take() {
                free.swap_remove(at);
                matched.push((t, seen));
            }
        }
        boxes.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(class: u32, x: f32, y: f32, score: f32) -> Seen {
        Seen {
            class,
            label: None,
            score,
            bbox: BBox::new([x, y, 0.2, 0.2]).unwrap(),
        }
    }

    fn ids(tracker: &mut Tracker) -> Vec<u64> {
        tracker.seen_now().map(|t| t.id).collect()
    }

    #[test]
    fn two_that_cross_keep_their_numbers() {
        let mut tracker = Tracker::new(0);
        for k in 0..10_u8 {
            let step = 0.08 * f32::from(k);
            let boxes = [
                seen(0, 0.1 + step, 0.5, 0.9),
                seen(0, 0.9 - step, 0.55, 0.8),
            ];
            tracker.update(boxes.into_iter(), f64::from(k));
            let mut there: Vec<(u64, f32)> =
                tracker.seen_now().map(|t| (t.id, t.seen.bbox.y)).collect();
            there.sort_by_key(|t| t.0);
            assert_eq!(there, [(1, 0.5), (2, 0.55)], "frame {k}");
        }
    }

    #[test]
    fn who_is_hidden_for_a_moment_is_the_same_behind() {
        let mut tracker = Tracker::new(0);
        for k in 0..4_u8 {
            let x = 0.1 + 0.1 * f32::from(k);
            tracker.update([seen(0, x, 0.5, 0.9)].into_iter(), f64::from(k));
        }
        for k in 4..7_u8 {
            tracker.update(std::iter::empty(), f64::from(k));
            assert_eq!(ids(&mut tracker), [0; 0]);
        }
        tracker.update([seen(0, 0.8, 0.5, 0.9)].into_iter(), 7.0);
        assert_eq!(ids(&mut tracker), [1]);
        // And is another one much later.
        for k in 8..16_u8 {
            tracker.update(std::iter::empty(), f64::from(k));
        }
        tracker.update([seen(0, 0.8, 0.5, 0.9)].into_iter(), 16.0);
        assert_eq!(ids(&mut tracker), [2]);
    }

    #[test]
    fn unsure_boxes_go_on_tracks_and_begin_none() {
        let mut tracker = Tracker::new(0);
        tracker.update([seen(0, 0.5, 0.5, 0.9)].into_iter(), 0.0);
        let both = [seen(0, 0.51, 0.5, 0.3), seen(0, 0.1, 0.1, 0.4)];
        tracker.update(both.into_iter(), 1.0);
        assert_eq!(ids(&mut tracker), [1]);
    }

    #[test]
    fn other_classes_are_other_objects() {
        let mut tracker = Tracker::new(0);
        tracker.update([seen(0, 0.5, 0.5, 0.9)].into_iter(), 0.0);
        tracker.update([seen(1, 0.5, 0.5, 0.9)].into_iter(), 1.0);
        assert_eq!(ids(&mut tracker), [2]);
    }

    #[test]
    fn there_are_not_more_than_so_many() {
        let mut tracker = Tracker::new(1);
        for k in 0..4_u8 {
            let of = |j: u16| seen(u32::from(k), f32::from(j) / 1000.0, 0.5, 0.9);
            tracker.update((0..1000).map(of), f64::from(k));
            assert!(tracker.tracks.len() <= TRACKS_MAX);
        }
    }
}
