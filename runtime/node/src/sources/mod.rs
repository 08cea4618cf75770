//! Where frames come from. A new kind of source (a camera, a stream) is a file here that implements
//! [`FrameSource`], and a line in `open`.

mod files;
mod pictures;
mod reader;
mod tag;
mod tensors;
#[cfg(test)]
mod tests;

use crate::{args::Args, detect::ImageFrame, error::NodeError};
use tessera_plan::plan::ElementType;
use tessera_runtime::{element, program::Program};

pub(crate) use reader::{ReadFrame, Reader, Reading};
pub use tag::Tag;

/// Frames, one after the other.
///
/// A source is used by one thread, which may block in [`FrameSource::next`] as long as it likes. A frame that cannot be
/// had does not end a source: the frame is skipped, and the next call goes on behind it.
pub trait FrameSource: Send {
    /// What the frame is called that [`FrameSource::next`] brings: a file, or a camera and a time.
    fn name(&self) -> String;

    /// Writes the next frame into `into`: the network's whole input, `[h, w, c]`, in the input's element type.
    /// `None` when there are no more.
    ///
    /// # Errors
    /// Why this frame cannot be had. What `into` holds then is undefined.
    fn next(&mut self, into: &mut [u8]) -> Option<Result<ImageFrame, NodeError>>;

    /// Whether it is known that no frame is left. A source that cannot know says so by [`FrameSource::next`].
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

/// Lets `write` fill `into` with float32 values, whatever the element type there.
fn fill<T>(element: ElementType, into: &mut [u8], write: impl FnOnce(&mut [f32]) -> T) -> T {
    if element == ElementType::F32 {
        return write(element::floats_mut(into));
    }
    let mut values = vec![0.0; into.len() / element.bytes()];
    let result = write(&mut values);
    element::store(element, &values, into);
    result
}
