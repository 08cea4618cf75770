//! Room for one frame between the thread that decodes and the one that reads.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::Bell;
use crate::error::NodeError;
use tessera_plan::files::sources::Keep;

/// A decoded frame.
#[derive(Debug)]
pub struct Frame {
    /// `[h, w, c]`, 8 bits a channel.
    pub pixels: Vec<u8>,
    /// When its last byte was there.
    pub captured: Instant,
    /// Counts the stream's frames from 0.
    pub number: u64,
    /// Width of the picture before it was scaled.
    pub width: u32,
    /// Height of that picture.
    pub height: u32,
}

/// What the mailbox holds.
#[derive(Debug)]
pub enum Content {
    /// A frame.
    Frame(Frame),
    /// Why the stream ended; told once.
    Failed(NodeError),
    /// Nothing yet.
    Nothing,
    /// Nothing any more.
    Over,
}

/// What became of a frame that was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It took a free place.
    Placed,
    /// It took the place of an older one.
    Replaced,
    /// Nobody reads any more.
    Closed,
}

#[derive(Debug, Default)]
struct State {
    frame: Option<Frame>,
    /// Memory for the next frame. There are three at most: one is filled, one waits, one is read.
    spare: Option<Vec<u8>>,
    failure: Option<NodeError>,
    is_over: bool,
    is_closed: bool,
}

/// The room.
#[derive(Debug)]
pub struct Mailbox {
    state: Mutex<State>,
    changed: Condvar,
    bell: Bell,
}

impl Mailbox {
    /// An empty mailbox; `bell` rings when something comes.
    pub fn new(bell: Bell) -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            bell,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a frame: in the place of one that is there, or when that was taken. `memory` becomes memory for the next frame.
    pub fn put(&self, frame: Frame, keep: Keep, memory: &mut Vec<u8>) -> Put {
        let mut state = self.state();
        if keep == Keep::All {
            let full = |s: &mut State| s.frame.is_some() && !s.is_closed;
            let waited = self.changed.wait_while(state, full);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        if state.is_closed {
            *memory = frame.pixels;
            return Put::Closed;
        }
        let bytes = frame.pixels.len();
        let old = state.frame.replace(frame);
        let put = if old.is_some() {
            Put::Replaced
        } else {
            Put::Placed
        };
        let spare = old.map(|f| f.pixels).or_else(|| state.spare.take());
        drop(state);
        *memory = spare.unwrap_or_else(|| vec![0; bytes]);
        self.bell.ring();
        put
    }

    /// Takes what is there.
    pub fn take(&self) -> Content {
        let mut state = self.state();
        if let Some(frame) = state.frame.take() {
            self.changed.notify_all();
            return Content::Frame(frame);
        }
        match state.failure.take() {
            Some(e) => Content::Failed(e),
            None if state.is_over || state.is_closed => Content::Over,
            None => Content::Nothing,
        }
    }

    /// Memory of a frame that was taken, for one to come.
    pub fn give_back(&self, memory: Vec<u8>) {
        self.state().spare = Some(memory);
    }

    /// No frame comes any more, because of `failure` or because the stream has ended.
    pub fn end(&self, failure: Option<NodeError>) {
        let mut state = self.state();
        state.failure = failure;
        state.is_over = true;
        drop(state);
        self.bell.ring();
    }

    /// Nobody reads any more.
    pub fn close(&self) {
        self.state().is_closed = true;
        self.changed.notify_all();
    }

    /// Waits for `pause`; true if somebody still reads then.
    pub fn pause(&self, pause: Duration) -> bool {
        let open = |s: &mut State| !s.is_closed;
        let waited = self.changed.wait_timeout_while(self.state(), pause, open);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !state.is_closed
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn frame(number: u64) -> Frame {
        Frame {
            pixels: vec![0; 4],
            captured: Instant::now(),
            number,
            width: 1,
            height: 1,
        }
    }

    fn number(content: Content) -> Option<u64> {
        match content {
            Content::Frame(frame) => Some(frame.number),
            _ => None,
        }
    }

    #[test]
    fn the_newest_frame_stays() {
        let mailbox = Mailbox::new(Bell::default());
        let mut memory = Vec::new();
        assert_eq!(
            mailbox.put(frame(0), Keep::Newest, &mut memory),
            Put::Placed
        );
        assert_eq!(
            mailbox.put(frame(1), Keep::Newest, &mut memory),
            Put::Replaced
        );
        assert_eq!(memory.len(), 4, "the older one's memory");
        assert_eq!(number(mailbox.take()), Some(1));
        assert!(matches!(mailbox.take(), Content::Nothing));
        mailbox.put(frame(2), Keep::Newest, &mut memory);
        mailbox.end(Some(NodeError::Decoder("a".into())));
        // What was there before the end is not lost, and the end is told once.
        assert_eq!(number(mailbox.take()), Some(2));
        assert!(matches!(mailbox.take(), Content::Failed(_)));
        assert!(matches!(mailbox.take(), Content::Over));
    }

    #[test]
    fn every_frame_is_waited_for() {
        let mailbox = Arc::new(Mailbox::new(Bell::default()));
        let puts = {
            let mailbox = Arc::clone(&mailbox);
            std::thread::spawn(move || {
                let mut memory = Vec::new();
                let puts: Vec<Put> = (0..50)
                    .map(|n| mailbox.put(frame(n), Keep::All, &mut memory))
                    .collect();
                mailbox.end(None);
                puts
            })
        };
        let mut got = Vec::new();
        loop {
            match mailbox.take() {
                Content::Frame(frame) => {
                    got.push(frame.number);
                    mailbox.give_back(frame.pixels);
                }
                Content::Over => break,
                _ => std::thread::yield_now(),
            }
        }
        assert_eq!(got, (0..50).collect::<Vec<u64>>());
        assert!(puts.join().unwrap().iter().all(|p| *p == Put::Placed));
    }

    #[test]
    fn whoever_waits_is_let_go() {
        let mailbox = Arc::new(Mailbox::new(Bell::default()));
        let mut memory = Vec::new();
        mailbox.put(frame(0), Keep::All, &mut memory);
        let waiting = {
            let mailbox = Arc::clone(&mailbox);
            std::thread::spawn(move || mailbox.put(frame(1), Keep::All, &mut Vec::new()))
        };
        mailbox.close();
        assert_eq!(waiting.join().unwrap(), Put::Closed);
        assert!(!mailbox.pause(Duration::from_secs(600)));
    }
}
