//! Frames that people are to see: the gateway fetches them whole before they end.

use crate::{alerts::Stills, detect::ImageFrame};
use tessera_protocol::{FrameId, Micros};

/// Longest wait for a frame.
const WITHIN_US: Micros = 3_000_000;

/// Frames that are fetched, and who wants them.
#[derive(Debug)]
pub struct Pictures {
    stills: Option<Stills>,
    /// Until when they are waited for.
    fetched: Vec<(FrameId, Micros)>,
}

impl Pictures {
    /// Nothing is fetched yet.
    pub const fn new(stills: Option<Stills>) -> Self {
        Self {
            stills,
            fetched: Vec::new(),
        }
    }

    /// Whether a frame is to be fetched before it ends. It is waited for from now on.
    pub fn begin(&mut self, frame: FrameId, now: Micros) -> bool {
        let wanted = self.stills.as_ref().is_some_and(|s| s.wants(frame));
        if wanted {
            self.fetched.push((frame, now + WITHIN_US));
        }
        wanted
    }

    /// Hands a frame on, or says that it cannot be had. Returns whether it was waited for.
    pub fn end(&mut self, frame: FrameId, taken: ImageFrame, bytes: Option<&[u8]>) -> bool {
        let before = self.fetched.len();
        self.fetched.retain(|(f, _)| *f != frame);
        if let Some(stills) = &self.stills {
            stills.give(frame, taken, bytes);
        }
        self.fetched.len() < before
    }

    /// Gives up the next frame that has been waited for too long, or any one if the gateway ends.
    pub fn give_up(&mut self, now: Micros, ends: bool) -> Option<FrameId> {
        let over = |(_, until): &&(FrameId, Micros)| ends || *until <= now;
        let (frame, _) = *self.fetched.iter().find(over)?;
        self.end(frame, ImageFrame::default(), None);
        Some(frame)
    }

    /// When to call [`Pictures::give_up`].
    pub fn wake_at(&self) -> Micros {
        let times = self.fetched.iter().map(|(_, until)| *until);
        times.min().unwrap_or(Micros::MAX)
    }
}
