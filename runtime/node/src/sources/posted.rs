//! Frames from pictures that were posted to the gateway on this board. They come by the line between both
//! ([`tessera_service::edge_line`]), one after the other, as fast as frames may enter.

use std::{
    io::{self, Read, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    time::Duration,
};

use tessera_picture::{Options, PictureError};
use tessera_runtime::program::TensorSpec;
use tessera_service::{
    edge_line::{HEAD_BYTES, PICTURE_BYTES_MAX, TEXT_BYTES_MAX, head, read_head},
    posts::frame_name,
};

use super::{FrameSource, SourceFrame, pictures};
use crate::{detect::ImageFrame, error::NodeError};

/// Longest time to tell the gateway that a picture is refused.
const TELL_WITHIN: Duration = Duration::from_secs(1);

/// A picture file and its number.
struct Post {
    id: u64,
    file: Vec<u8>,
}

/// A source of posted pictures.
pub struct Posted {
    line: UnixStream,
    input: &'static TensorSpec,
    letterbox: bool,
    /// Number of the picture that came last.
    last: Option<u64>,
}

impl Posted {
    /// The pictures that come by standard input.
    ///
    /// # Errors
    /// When that is no line.
    pub fn on_stdin(input: &'static TensorSpec, letterbox: bool) -> io::Result<Self> {
        let line = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        line.set_write_timeout(Some(TELL_WITHIN))?;
        Ok(Self {
            line,
            input,
            letterbox,
            last: None,
        })
    }

    /// Waits for the next picture; `None` when the line is over.
    fn receive(&self) -> Option<Post> {
        let mut head = [0; HEAD_BYTES];
        (&self.line).read_exact(&mut head).ok()?;
        let (id, len) = read_head(&head, PICTURE_BYTES_MAX)?;
        let mut file = vec![0; len];
        (&self.line).read_exact(&mut file).ok()?;
        Some(Post { id, file })
    }

    /// Tells the gateway why there is no frame of a picture. Who asked for it hears of it, or of a time that is over.
    fn refuse(&self, id: u64, why: &NodeError) {
        let text = why.to_string();
        let text = &text.as_bytes()[..text.len().min(TEXT_BYTES_MAX)];
        let _ = (&self.line).write_all(&[&head(id, text.len())[..], text].concat());
    }

    fn read(&self, post: &Post, into: &mut [u8]) -> Result<ImageFrame, NodeError> {
        let (input, name) = (self.input, frame_name(post.id));
        if input.c != 1 && input.c != 3 {
            return Err(PictureError::Channels { channels: input.c }.into());
        }
        // As they are stored: who posts a picture expects boxes in the pixels that were sent.
        let options = Options {
            upright: false,
            ..Options::default()
        };
        let picture = tessera_picture::load_bytes(&name, &post.file, options)?;
        Ok(pictures::write(&picture, input, self.letterbox, into))
    }
}

impl FrameSource for Posted {
    fn name(&self) -> String {
        self.last.map_or_else(String::new, frame_name)
    }

    fn next(&mut self, into: &mut [u8]) -> Option<Result<SourceFrame, NodeError>> {
        let post = self.receive()?;
        self.last = Some(post.id);
        let read = self.read(&post, into);
        if let Err(e) = &read {
            self.refuse(post.id, e);
        }
        Some(read.map(SourceFrame::from))
    }
}
