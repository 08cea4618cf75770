//! Makes a frame's record from the outputs of the tail.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::{
    args::Args,
    detect::{self, ImageFrame},
    error::NodeError,
    labels::Labels,
};
use tessera_plan::files::records::{
    ClassScore, Detection, DropReason, Ending, Found, Record, Subject, Timing,
};
use tessera_protocol::Micros;
use tessera_runtime::program::Program;

/// Most classes that the record of a classifier names.
const TOP_CLASSES: usize = 5;

/// The settings by which records report detections.
#[derive(Clone, Debug)]
pub struct Reporting {
    /// Score threshold: a record names the boxes that score above it.
    pub score: f32,
    /// The same for sources with names.
    pub scores: Vec<(String, f32)>,
    /// Most overlap of a box with a better one; boxes that overlap more are suppressed.
    pub nms: f32,
    /// Names of the classes.
    pub labels: Labels,
}

impl Reporting {
    /// Reads the settings from the command line.
    ///
    /// # Errors
    /// When the given file of class names is unusable.
    pub fn new(program: &Program, a: &Args) -> Result<Self, NodeError> {
        Ok(Self {
            score: a.thresh,
            scores: a.threshs.clone(),
            nms: a.nms,
            labels: Labels::load(program, a.names.as_deref(), &a.weights)?,
        })
    }

    /// The score threshold that holds for frames of this source; of two for one source, the later one.
    fn score_of(&self, source: Option<&str>) -> f32 {
        let own = self.scores.iter().rev();
        let own = source.and_then(|name| own.clone().find(|(n, _)| n == name));
        own.map_or(self.score, |(_, score)| *score)
    }
}

/// The time at which a frame was captured, on clocks that only run forwards.
#[derive(Clone, Copy, Debug)]
pub struct Captured {
    /// Age of the frame at the time `at`.
    age: Duration,
    /// Time at which the frame had the age `age`.
    at: Instant,
    /// From its capture to the beginning of the work on it.
    waited: Duration,
}

impl Captured {
    /// The capture time of a frame that is `age_us` old now.
    pub fn ago(age_us: Micros) -> Self {
        Self {
            age: Duration::from_micros(age_us),
            at: Instant::now(),
            waited: Duration::ZERO,
        }
    }

    /// The same frame, which waited for so long before work on it began.
    pub fn having_waited(self, waited: Duration) -> Self {
        Self { waited, ..self }
    }

    /// The capture time of a frame that work begins on now; without a time it is captured now, too.
    pub fn at(captured: Option<Instant>) -> Self {
        let age = captured.map_or(Duration::ZERO, |at| at.elapsed());
        Self {
            age,
            at: Instant::now(),
            waited: age,
        }
    }

    /// The timing of a record that is made now.
    fn timing(self) -> Timing {
        let latency = self.age.saturating_add(self.at.elapsed());
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let ended = since.unwrap_or_default();
        let captured = ended.saturating_sub(latency);
        let started = captured.saturating_add(self.waited).min(ended);
        let unix_ms = |at: Duration| u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        Timing {
            captured_unix_ms: unix_ms(captured),
            started_unix_ms: unix_ms(started),
            ended_unix_ms: unix_ms(ended),
            // Whole microseconds.
            latency_ms: (latency.as_secs_f64() * 1e6).round() / 1e3,
        }
    }
}

/// The record of a dropped frame.
pub fn dropped(
    subject: Subject,
    captured: Captured,
    image: ImageFrame,
    reason: DropReason,
) -> Record {
    record(
        subject,
        captured,
        image,
        Ending::Dropped { dropped: reason },
    )
}

/// The record of a computed frame. `outputs` are the tail's outputs, each a whole map.
pub fn computed(
    p: &Program,
    subject: Subject,
    captured: Captured,
    image: ImageFrame,
    outputs: &[&[u8]],
    how: &Reporting,
) -> Record {
    let maps: Vec<_> = p
        .tail
        .outputs
        .iter()
        .zip(outputs)
        .map(|(&tensor, map)| (tensor, p.tensors[tensor as usize].values(map)))
        .collect();
    let of = |tensor: u16| {
        let map = maps.iter().find(|(t, _)| *t == tensor);
        map.map_or(&[][..], |(_, map)| map)
    };
    let heads: Vec<&[f32]> = p.heads.iter().map(|h| of(h.tensor)).collect();
    let score = how.score_of(subject.source_name.as_deref());
    let detections = detect::detections(p, &heads, image, score, how.nms);
    let classifier = maps.first().filter(|_| p.heads.is_empty());
    let found = Found {
        detections: detections
            .iter()
            .map(|d| Detection {
                class: d.class,
                label: how.labels.of(d.class),
                score: d.score,
                objectness: d.objectness,
                bbox: d.bbox,
                box_px: image.pixels(d.bbox),
            })
            .collect(),
        top: classifier.map(|(_, scores)| {
            let best = detect::top(scores, TOP_CLASSES).into_iter();
            best.map(|(class, score)| ClassScore {
                class,
                label: how.labels.of(class),
                score,
            })
            .collect()
        }),
    };
    record(subject, captured, image, Ending::Computed(found))
}

fn record(subject: Subject, captured: Captured, image: ImageFrame, ending: Ending) -> Record {
    Record {
        subject,
        timing: Some(captured.timing()),
        width: image.width,
        height: image.height,
        ending,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_goes_on_and_hostile_ages_are_survived() {
        let second = Captured::ago(1_000_000);
        let (first, later) = (second.timing(), second.timing());
        assert!(first.latency_ms >= 1000.0 && later.latency_ms >= first.latency_ms);
        // The wall clock may be set meanwhile: nothing is said of it but that it is one.
        assert!(first.captured_unix_ms > 0);
        let endless = Captured::ago(Micros::MAX).timing();
        assert_eq!(endless.captured_unix_ms, 0);
        assert!(endless.latency_ms.is_finite());
    }

    #[test]
    fn a_frame_waits_between_its_capture_and_its_start() {
        let captured = Captured::ago(3_000_000).having_waited(Duration::from_secs(1));
        let t = captured.timing();
        assert_eq!(t.started_unix_ms - t.captured_unix_ms, 1000);
        assert!(t.ended_unix_ms - t.started_unix_ms >= 1999);
        // However long a source says that it waited, work does not begin after its end.
        let odd = Captured::ago(5)
            .having_waited(Duration::from_secs(1600))
            .timing();
        assert!(odd.started_unix_ms <= odd.ended_unix_ms);
    }

    #[test]
    fn sources_have_their_own_thresholds() {
        let how = Reporting {
            score: 0.25,
            scores: vec![("front".into(), 0.5), ("front".into(), 0.75)],
            nms: 0.45,
            labels: Labels::default(),
        };
        assert_eq!(how.score_of(None), 0.25);
        assert_eq!(how.score_of(Some("yard")), 0.25);
        assert_eq!(how.score_of(Some("front")), 0.75);
    }
}
