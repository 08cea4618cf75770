//! Sources of frames. To add a kind of source (a camera, a stream), add a file here that implements
//! [`FrameSource`], and a line in `open`.

mod files;
mod pictures;
mod reader;
mod tag;
mod tensors;
#[cfg(test)]
mod tests;

use crate::{args::Args, detect::ImageFrame, error::NodeError};
use tessera_runtime::program::Program;

pub(crate) use reader::{ReadFrame, Reader, Reading};
pub use tag::Tag;

/// A sequence of frames.
///
/// One thread uses a source and may block in [`FrameSource::next`] for any time. A frame that the source cannot
/// read does not end the source: the source skips the frame, and the next call goes on behind it.
pub trait FrameSource: Send {
    /// The name of the frame that [`FrameSource::next`] brings: a file, or a camera and a time.
    fn name(&self) -> String;

    /// Writes the next frame into `into`: the network's whole input, `[h, w, c]`, in the input's element type.
    /// `None` when no frame is left.
    ///
    /// # Errors
    /// Why the source cannot read this frame. The content of `into` is undefined then.
    fn next(&mut self, into: &mut [u8]) -> Option<Result<ImageFrame, NodeError>>;

    /// Whether the source knows that no frame is left. A source that cannot know ends with `None` from
    /// [`FrameSource::next`].
    fn is_over(&self) -> bool {
        false
    }
}

/// The source that the command line names; `None` without inputs.
pub(crate) fn open(program: &'static Program, a: &Args) -> Option<Box<dyn FrameSource>> {
    let input = &program.tensors[0];
    if !a.images.is_empty() {
        let letterbox = a.letterbox || program.letterbox;
        let options = tessera_picture::Options {
            upright: a.upright,
            ..tessera_picture::Options::default()
        };
        return Some(Box::new(pictures::Pictures::new(
            &a.images, input, letterbox, options,
        )));
    }
    (!a.tensors.is_empty())
        .then(|| -> Box<dyn FrameSource> { Box::new(tensors::Tensors::new(&a.tensors, input)) })
}
