//! Several sources as one: each in its turn, as far as it has a frame.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{
    FrameSource, SourceFrame,
    stream::{Bell, Polled, Stream},
};
use crate::error::NodeError;
use tessera_plan::files::sources::SourceName;

/// A part of a source.
pub enum Feed {
    /// Frames that are there at any time.
    Files(Box<dyn FrameSource>),
    /// Frames that come when they do.
    Stream(Box<Stream>),
}

/// A source: its parts, one behind the other.
pub struct Lane {
    name: Option<String>,
    feeds: VecDeque<Feed>,
    /// Least time between two frames of files.
    pause: Duration,
    /// When the next frame of files may come.
    next_at: Option<Instant>,
}

/// What a source has.
enum Step {
    /// A frame, or a reason why there is none.
    Frame(Result<SourceFrame, NodeError>),
    /// Nothing yet; until then, if it is known.
    Nothing(Option<Instant>),
    /// Nothing any more.
    Over,
}

impl Lane {
    /// A source without parts, for at most `fps` frames of files a second. Streams keep their rate themselves.
    pub fn new(name: Option<&SourceName>, fps: Option<f64>) -> Self {
        Self {
            name: name.map(ToString::to_string),
            feeds: VecDeque::new(),
            pause: fps.map_or(Duration::ZERO, |f| Duration::from_secs_f64(1.0 / f)),
            next_at: None,
        }
    }

    /// Adds a part.
    pub fn push(&mut self, feed: Feed) {
        self.feeds.push_back(feed);
    }

    /// Whether it is known that no frame is left.
    fn is_over(&self) -> bool {
        self.feeds.iter().all(|f| match f {
            Feed::Files(files) => files.is_over(),
            Feed::Stream(_) => false,
        })
    }

    /// `frame_name` becomes the name of the frame.
    fn step(&mut self, into: &mut [u8], frame_name: &mut String) -> Step {
        while let Some(feed) = self.feeds.front_mut() {
            match feed {
                Feed::Files(files) => {
                    if let Some(at) = self.next_at.filter(|at| *at > Instant::now()) {
                        return Step::Nothing(Some(at));
                    }
                    if !files.is_over() {
                        // Known to whoever asks, should the decoder panic.
                        let frame = files.next(into);
                        *frame_name = files.name();
                        if let Some(frame) = frame {
                            self.next_at = Some(Instant::now() + self.pause);
                            return Step::Frame(frame);
                        }
                    }
                }
                Feed::Stream(stream) => match stream.poll(into) {
                    Polled::Frame(frame, name) => {
                        *frame_name = name;
                        return Step::Frame(Ok(frame));
                    }
                    Polled::Failed(name, e) => {
                        *frame_name = name;
                        return Step::Frame(Err(e));
                    }
                    Polled::Nothing => return Step::Nothing(None),
                    Polled::Over => {}
                },
            }
            self.feeds.pop_front();
        }
        Step::Over
    }
}

/// Several sources, each in its turn.
pub struct Several {
    lanes: Vec<Lane>,
    /// The source that is asked first.
    first: usize,
    /// The source of the last frame, and the frame's name.
    last: Option<usize>,
    frame_name: String,
    bell: Bell,
}

impl Several {
    /// Wraps sources whose streams ring `bell`.
    pub const fn new(lanes: Vec<Lane>, bell: Bell) -> Self {
        Self {
            lanes,
            first: 0,
            last: None,
            frame_name: String::new(),
            bell,
        }
    }

    /// True without any source.
    pub const fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }
}

impl FrameSource for Several {
    fn name(&self) -> String {
        self.frame_name.clone()
    }

    fn source(&self) -> Option<&str> {
        self.last.and_then(|at| self.lanes.get(at)?.name.as_deref())
    }

    fn next(&mut self, into: &mut [u8]) -> Option<Result<SourceFrame, NodeError>> {
        loop {
            let mut all_over = true;
            let mut until: Option<Instant> = None;
            for turn in 0..self.lanes.len() {
                let at = (self.first + turn) % self.lanes.len();
                self.last = Some(at);
                match self.lanes[at].step(into, &mut self.frame_name) {
                    Step::Frame(frame) => {
                        self.first = (at + 1) % self.lanes.len();
                        return Some(frame);
                    }
                    Step::Nothing(known) => {
                        all_over = false;
                        until = until.into_iter().chain(known).min();
                    }
                    Step::Over => {}
                }
            }
            if all_over {
                return None;
            }
            self.bell.wait(until);
        }
    }

    fn is_over(&self) -> bool {
        self.lanes.iter().all(Lane::is_over)
    }
}
