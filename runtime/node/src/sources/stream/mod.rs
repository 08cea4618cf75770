//! Frames that ffmpeg decodes and scales: videos, cameras, streams over a network.
//!
//! ```text
//!  ffmpeg ──rgb24 over a pipe──> thread of the stream ──mailbox (one frame)──> reader ──> slot
//!         ──text───────────────> thread that keeps the last lines
//! ```
//!
//! Of a live stream, the mailbox holds the newest frame, and counts those that it replaced: what the cluster does not
//! take is lost at once, so that nothing grows and no frame is old. Of a file, the thread waits until its frame was
//! taken, and ffmpeg waits for the thread. A stream that stands still or ends though it has no end is begun anew, with
//! longer and longer pauses. `docs/sources.md` is for users.

mod advice;
mod backoff;
mod bell;
mod child;
mod counts;
mod ffmpeg;
mod mailbox;
mod origin;
mod said;
mod supervise;
#[cfg(test)]
mod tests;
mod trial;

use std::sync::Arc;

use self::mailbox::{Content, Mailbox};
pub use self::{
    bell::Bell,
    counts::Counts,
    ffmpeg::{Ffmpeg, Recipe},
    origin::StreamOrigin,
    trial::first_frame,
};
use super::SourceFrame;
use crate::{detect::ImageFrame, error::NodeError};
use tessera_runtime::{element, program::TensorSpec};

/// A stream; ffmpeg is started when the first frame is asked for.
pub struct Stream {
    recipe: Recipe,
    ffmpeg: Ffmpeg,
    input: &'static TensorSpec,
    mailbox: Arc<Mailbox>,
    counts: Arc<Counts>,
    has_begun: bool,
}

/// What a stream has.
#[derive(Debug)]
pub enum Polled {
    /// A frame and its name.
    Frame(SourceFrame, String),
    /// The name of what could not be read, and why.
    Failed(String, NodeError),
    /// Nothing yet: the bell rings.
    Nothing,
    /// Nothing any more.
    Over,
}

impl Stream {
    /// A stream of frames for the network's `input`; `bell` rings whenever there is something new.
    pub fn new(
        recipe: Recipe,
        ffmpeg: Ffmpeg,
        input: &'static TensorSpec,
        bell: Bell,
        counts: Arc<Counts>,
    ) -> Self {
        Self {
            recipe,
            ffmpeg,
            input,
            mailbox: Arc::new(Mailbox::new(bell)),
            counts,
            has_begun: false,
        }
    }

    /// Writes the frame that is there into `into`.
    pub fn poll(&mut self, into: &mut [u8]) -> Polled {
        if !self.has_begun {
            self.has_begun = true;
            let begun = supervise::start(
                self.recipe.clone(),
                self.ffmpeg,
                Arc::clone(&self.mailbox),
                Arc::clone(&self.counts),
            );
            if let Err(e) = begun {
                self.mailbox.close();
                return Polled::Failed(self.recipe.how.file_name(), NodeError::Threads(e));
            }
        }
        match self.mailbox.take() {
            Content::Frame(frame) => {
                store(self.input, &frame.pixels, into);
                let image = ImageFrame {
                    width: frame.width,
                    height: frame.height,
                    letterbox: self.recipe.letterbox,
                };
                let name = self.recipe.how.frame_name(frame.number);
                let captured = Some(frame.captured);
                self.mailbox.give_back(frame.pixels);
                self.counts.took();
                Polled::Frame(SourceFrame { image, captured }, name)
            }
            Content::Failed(e) => Polled::Failed(self.recipe.how.file_name(), e),
            Content::Nothing => Polled::Nothing,
            Content::Over => Polled::Over,
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.mailbox.close();
    }
}

/// Writes pixels of 8 bits a channel, `[h, w, c]`, in the element type of the network's input: 255 is 1.
fn store(input: &TensorSpec, pixels: &[u8], into: &mut [u8]) {
    let row = input.w * input.c;
    let mut values = vec![0.0f32; row];
    let rows = into.chunks_exact_mut(row * input.element.bytes());
    for (from, to) in pixels.chunks_exact(row).zip(rows) {
        for (value, byte) in values.iter_mut().zip(from) {
            *value = f32::from(*byte) / 255.0;
        }
        element::store(input.element, &values, to);
    }
}
