//! Records as they come: outcomes of posted pictures, the last frames, the last picture.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use bytes::Bytes;
use tessera_plan::files::records::Record;
use tokio::sync::{mpsc::Receiver, watch};

use crate::{
    picture,
    posts::{Outcome, Posts, of_frame},
    state::About,
};

/// Frames that are remembered one by one.
const LAST_MAX: usize = 64;

/// A frame that has ended.
#[derive(Clone, Debug)]
pub struct LastFrame {
    /// When its record came.
    pub at: Instant,
    /// Its record.
    pub record: Arc<Record>,
}

/// A picture whose frame has detections.
#[derive(Debug)]
pub struct Seen {
    /// Its number among posted pictures.
    pub id: u64,
    /// The file as it was posted.
    pub picture: Bytes,
    /// The frame's record.
    pub record: Arc<Record>,
}

/// See the module.
#[derive(Debug)]
pub struct Hub {
    about: Arc<About>,
    posts: Arc<Posts>,
    last: Mutex<VecDeque<LastFrame>>,
    seen: watch::Sender<Option<Arc<Seen>>>,
    /// The last picture that was drawn, by its number.
    drawn: tokio::sync::Mutex<Option<(u64, Bytes)>>,
}

impl Hub {
    /// Nothing has come yet.
    pub fn new(about: Arc<About>, posts: Arc<Posts>) -> Self {
        Self {
            about,
            posts,
            last: Mutex::default(),
            seen: watch::Sender::new(None),
            drawn: tokio::sync::Mutex::new(None),
        }
    }

    /// Takes records until the gateway ends.
    pub async fn hear(self: Arc<Self>, mut heard: Receiver<Arc<Record>>) {
        while let Some(record) = heard.recv().await {
            self.take(record);
        }
    }

    fn take(&self, record: Arc<Record>) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() == LAST_MAX {
            last.pop_front();
        }
        last.push_back(LastFrame {
            at: Instant::now(),
            record: Arc::clone(&record),
        });
        drop(last);
        if let Some(id) = of_frame(&record.subject, self.about.own_edge)
            && let Some(picture) = self.posts.end(id, Outcome::Record(Arc::clone(&record)))
        {
            self.seen.send_replace(Some(Arc::new(Seen {
                id,
                picture,
                record,
            })));
        }
    }

    /// The last frames, the newest last.
    pub fn last(&self) -> Vec<LastFrame> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.iter().cloned().collect()
    }

    /// The last picture, and those that follow.
    pub fn seen(&self) -> watch::Receiver<Option<Arc<Seen>>> {
        self.seen.subscribe()
    }

    /// A picture with its boxes, as a JPEG file. It is drawn once, however many ask.
    ///
    /// # Errors
    /// When the picture cannot be decoded, in words.
    pub async fn drawn(&self, seen: &Arc<Seen>) -> Result<Bytes, String> {
        let mut drawn = self.drawn.lock().await;
        if let Some((_, jpeg)) = drawn.as_ref().filter(|(id, _)| *id == seen.id) {
            return Ok(jpeg.clone());
        }
        let of = Arc::clone(seen);
        let draw = move || picture::annotated(&of.picture, &of.record);
        let jpeg = tokio::task::spawn_blocking(draw).await;
        let jpeg = jpeg.unwrap_or_else(|e| Err(e.to_string()))?;
        *drawn = Some((seen.id, jpeg.clone()));
        Ok(jpeg)
    }
}
