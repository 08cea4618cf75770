//! Posted pictures that wait for their detections. Their number is bounded; each has one answer.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::SyncSender,
    },
};

use bytes::Bytes;
use tessera_plan::files::records::{Record, Subject};
use tokio::sync::oneshot;

/// Most pictures that wait at a time. Further ones are refused at once: their senders do better to try again.
pub const POSTS_MAX: usize = 8;

/// What the name of a posted frame begins with.
const NAME: &str = "post-";

/// The name under which a picture enters the cluster.
pub fn frame_name(id: u64) -> String {
    format!("{NAME}{id}")
}

/// The number of the posted picture that a frame was made of, if its source is the board's own edge.
pub fn of_frame(subject: &Subject, own_edge: Option<u16>) -> Option<u64> {
    own_edge.filter(|n| *n == subject.source)?;
    subject.file.as_ref()?.strip_prefix(NAME)?.parse().ok()
}

/// What became of a posted picture.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Its frame has a record.
    Record(Arc<Record>),
    /// The edge could not make a frame of it, and why.
    Refused(String),
    /// The edge that had it ended.
    EdgeLost,
}

/// How posted pictures ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With detections.
    Ok,
    /// What was sent is no picture, or the form is wrong.
    Invalid,
    /// Too many others waited.
    Full,
    /// Not in time.
    Late,
    /// The frame was dropped, or the edge lost.
    Failed,
}

impl End {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Ok, "ok"),
        (Self::Invalid, "invalid"),
        (Self::Full, "full"),
        (Self::Late, "late"),
        (Self::Failed, "failed"),
    ];
}

/// The way by which a picture came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// Posted over HTTP.
    Http,
    /// As a tensor of Frigate's.
    Zmq,
}

/// Numbers of posted pictures at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PostCounts {
    ended: [[u64; End::ALL.len()]; 2],
    /// Pictures that wait.
    pub in_flight: u64,
}

impl PostCounts {
    /// Numbers by result, of those that came by one way.
    pub fn results(&self, via: Via) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let names = End::ALL.iter().map(|(_, name)| *name);
        names.zip(self.ended[via as usize])
    }
}

/// Counts that two threads read and one writes.
#[derive(Debug, Default)]
pub struct Counts {
    ended: [[AtomicU64; End::ALL.len()]; 2],
    in_flight: AtomicU64,
}

impl Counts {
    /// Counts the end of a picture.
    pub fn ended(&self, via: Via, how: End) {
        let at = End::ALL.iter().position(|(e, _)| *e == how).unwrap_or(0);
        self.ended[via as usize][at].fetch_add(1, Ordering::Relaxed);
    }

    /// The numbers now.
    pub fn now(&self) -> PostCounts {
        let load = |n: &AtomicU64| n.load(Ordering::Relaxed);
        PostCounts {
            ended: self.ended.each_ref().map(|of| of.each_ref().map(load)),
            in_flight: load(&self.in_flight),
        }
    }
}

/// A picture that waits.
#[derive(Debug)]
struct Waiting {
    picture: Bytes,
    answer: oneshot::Sender<Outcome>,
    /// The edge that has it, counted from 1; 0 while it is here.
    edge: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Posts {
    waiting: Mutex<BTreeMap<u64, Waiting>>,
    next: AtomicU64,
    /// Tells the loop the score above which the boxes of a picture are wanted.
    scores: SyncSender<(u64, f32)>,
    counts: Arc<Counts>,
}

/// A picture's place among those that wait; free again when this is dropped.
#[derive(Debug)]
pub struct Place<'a> {
    posts: &'a Posts,
    /// The picture's number.
    pub id: u64,
    /// Where its outcome arrives.
    pub outcome: oneshot::Receiver<Outcome>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.posts.take(self.id);
    }
}

impl Posts {
    /// No pictures yet.
    pub fn new(scores: SyncSender<(u64, f32)>, counts: Arc<Counts>) -> Self {
        Self {
            waiting: Mutex::default(),
            next: AtomicU64::new(1),
            scores,
            counts,
        }
    }

    fn table(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a picture its place; `None` when all are taken.
    pub fn enter(&self, picture: Bytes, score: f32) -> Option<Place<'_>> {
        let mut table = self.table();
        if table.len() >= POSTS_MAX {
            return None;
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.scores.try_send((id, score)).ok()?;
        let (answer, outcome) = oneshot::channel();
        let waiting = Waiting {
            picture,
            answer,
            edge: 0,
        };
        table.insert(id, waiting);
        self.count(&table);
        Some(Place {
            posts: self,
            id,
            outcome,
        })
    }

    fn count(&self, table: &BTreeMap<u64, Waiting>) {
        let waiting = table.len() as u64;
        self.counts.in_flight.store(waiting, Ordering::Relaxed);
    }

    fn take(&self, id: u64) -> Option<Waiting> {
        let mut table = self.table();
        let taken = table.remove(&id);
        self.count(&table);
        taken
    }

    /// A picture that is to be sent to an edge, which has it from now on; `None` when nobody waits for it any more.
    pub fn send(&self, id: u64, edge: u64) -> Option<Bytes> {
        let mut table = self.table();
        let waiting = table.get_mut(&id)?;
        waiting.edge = edge;
        Some(waiting.picture.clone())
    }

    /// Gives a picture its outcome; returns the picture, if anybody waited.
    pub fn end(&self, id: u64, outcome: Outcome) -> Option<Bytes> {
        let waiting = self.take(id)?;
        // Whoever gave up waiting does not hear it.
        let _ = waiting.answer.send(outcome);
        Some(waiting.picture)
    }

    /// An edge has ended, with the pictures that it had.
    pub fn lose(&self, edge: u64) {
        let of = |w: &Waiting| w.edge == edge;
        let ids: Vec<u64> = (self.table().iter())
            .filter(|(_, w)| of(w))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            self.end(id, Outcome::EdgeLost);
        }
    }

    /// Where ends are counted.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn places_are_bounded_and_free_again() {
        let (scores, told) = sync_channel(100);
        let posts = Posts::new(scores, Arc::default());
        let mut places: Vec<_> = (0..POSTS_MAX)
            .map(|_| posts.enter(Bytes::from_static(b"p"), 0.5).unwrap())
            .collect();
        assert!(posts.enter(Bytes::new(), 0.5).is_none());
        assert_eq!(posts.counts().now().in_flight, POSTS_MAX as u64);
        assert_eq!(told.try_iter().count(), POSTS_MAX);
        let gone = places.pop().unwrap().id;
        assert!(posts.send(gone, 1).is_none(), "nobody waits");
        assert!(posts.enter(Bytes::new(), 0.5).is_some());
        // An edge takes its pictures along, and no others.
        let lost = places[0].id;
        assert_eq!(posts.send(lost, 1).unwrap(), "p");
        posts.send(places[1].id, 2).unwrap();
        posts.lose(1);
        assert!(matches!(
            places[0].outcome.try_recv(),
            Ok(Outcome::EdgeLost)
        ));
        assert!(places[1].outcome.try_recv().is_err());
    }

    #[test]
    fn only_the_own_edges_frames_are_posts() {
        let subject = |source, file: &str| Subject {
            source,
            file: Some(file.into()),
            ..Subject::default()
        };
        assert_eq!(of_frame(&subject(3, &frame_name(17)), Some(3)), Some(17));
        assert_eq!(of_frame(&subject(2, "post-17"), Some(3)), None);
        assert_eq!(of_frame(&subject(3, "post-17"), None), None);
        for name in ["post-", "post-x", "post--1", "a.jpg"] {
            assert_eq!(of_frame(&subject(3, name), Some(3)), None, "{name}");
        }
    }
}
