//! Sources of frames. To add a kind of source, add a file here that implements [`FrameSource`], and a line in `open`.
//!
//! | module | is |
//! |---|---|
//! | `wanted` | which sources the command line and `cluster.toml` ask for |
//! | `expand` | what a path, a folder, a pattern or a list leads to |
//! | `pictures`, `tensors`, `files` | frames that lie in files |
//! | `stream` | frames that ffmpeg decodes: videos, cameras, URLs |
//! | `several` | several sources as one, each in its turn |
//! | `reader` | the thread that reads frames into slots |
//! | `trial` | whether each source brings a frame |
//! | `tag` | what travels to the gateway with a frame |

mod expand;
mod files;
mod pictures;
#[cfg(feature = "service")]
mod posted;
mod reader;
mod several;
mod stream;
mod tag;
mod tensors;
#[cfg(test)]
mod tests;
mod trial;
mod wanted;

use std::{sync::Arc, time::Instant};

use crate::{args::Args, detect::ImageFrame, error::NodeError};
use tessera_plan::files::statistics::StreamCounts;
use tessera_runtime::program::{Program, TensorSpec};

use self::{
    expand::Item,
    several::{Feed, Lane, Several},
    stream::{Bell, Counts, Ffmpeg, Recipe, Stream},
};
pub(crate) use reader::{ReadFrame, Reader, Reading};
pub use tag::Tag;
pub(crate) use tag::split;
pub(crate) use trial::{Trial, trials};

/// A frame that a source has written.
#[derive(Clone, Copy, Debug, Default)]
pub struct SourceFrame {
    /// The picture that it was made of.
    pub image: ImageFrame,
    /// When it was captured; `None`: now, as it is read.
    pub captured: Option<Instant>,
}

impl From<ImageFrame> for SourceFrame {
    fn from(image: ImageFrame) -> Self {
        Self {
            image,
            captured: None,
        }
    }
}

/// A sequence of frames.
///
/// One thread uses a source and may block in [`FrameSource::next`] for any time. A frame that the source cannot
/// read does not end the source: the source skips the frame, and the next call goes on behind it.
pub trait FrameSource: Send {
    /// The name of the frame that [`FrameSource::next`] brought last, or could not read: a file, or empty.
    fn name(&self) -> String;

    /// The name of the source of that frame; `None` for a source without a name.
    fn source(&self) -> Option<&str> {
        None
    }

    /// Writes the next frame into `into`: the network's whole input, `[h, w, c]`, in the input's element type.
    /// `None` when no frame is left.
    ///
    /// # Errors
    /// Why the source cannot read this frame. The content of `into` is undefined then.
    fn next(&mut self, into: &mut [u8]) -> Option<Result<SourceFrame, NodeError>>;

    /// Whether the source knows that no frame is left. A source that cannot know ends with `None` from
    /// [`FrameSource::next`].
    fn is_over(&self) -> bool {
        false
    }
}

/// The frames that a node brings, and what is counted of them.
pub(crate) struct Opened {
    /// All sources as one.
    pub source: Box<dyn FrameSource>,
    streams: Vec<Arc<Counts>>,
}

impl Opened {
    /// What the streams have brought so far, as often as it is asked for.
    pub fn counts(&self) -> impl Fn() -> Vec<StreamCounts> + Send + 'static {
        let streams = self.streams.clone();
        move || streams.iter().map(|s| s.now()).collect()
    }
}

/// The sources that the command line and the cluster file name; `None` without inputs.
///
/// # Errors
/// When a source cannot be had: nothing is at a path, or ffmpeg is missing.
pub(crate) fn open(program: &'static Program, a: &Args) -> Result<Option<Opened>, NodeError> {
    let input = &program.tensors[0];
    if a.posts {
        return Ok(Some(Opened {
            source: posted(program, a)?,
            streams: Vec::new(),
        }));
    }
    if !a.tensors.is_empty() {
        return Ok(Some(Opened {
            source: Box::new(tensors::Tensors::new(&a.tensors, input)),
            streams: Vec::new(),
        }));
    }
    let letterbox = a.letterbox || program.letterbox;
    let options = tessera_picture::Options {
        upright: a.upright,
        ..tessera_picture::Options::default()
    };
    let bell = Bell::default();
    let mut streams = Vec::new();
    let mut lanes = Vec::new();
    let mut ffmpeg: Option<Ffmpeg> = None;
    for wanted in wanted::all(a, letterbox)? {
        let mut lane = Lane::new(wanted.name.as_ref(), wanted.fps);
        let mut counts = None;
        for item in wanted.items {
            let how = match item {
                Item::Pictures(files) => {
                    let pictures =
                        pictures::Pictures::new(&files, input, wanted.letterbox, options);
                    lane.push(Feed::Files(Box::new(pictures)));
                    continue;
                }
                Item::Stream(how) => how,
            };
            takes_colours(input)?;
            let found = match ffmpeg {
                Some(found) => found,
                None => Ffmpeg::find()?,
            };
            ffmpeg = Some(found);
            // Videos of one folder are counted together.
            let counts = counts.get_or_insert_with(|| {
                let shown = wanted
                    .name
                    .as_ref()
                    .map_or_else(|| how.to_string(), ToString::to_string);
                let counts = Arc::new(Counts::new(shown));
                streams.push(Arc::clone(&counts));
                counts
            });
            let recipe = Recipe {
                keep: wanted.keep.unwrap_or_else(|| how.usual_keep()),
                how,
                size: [input.h, input.w, input.c],
                letterbox: wanted.letterbox,
                fps: wanted.fps,
                timeout: wanted.timeout,
            };
            let stream = Stream::new(recipe, found, input, bell.clone(), Arc::clone(counts));
            lane.push(Feed::Stream(Box::new(stream)));
        }
        lanes.push(lane);
    }
    let source = Several::new(lanes, bell);
    Ok((!source.is_empty()).then(|| Opened {
        source: Box::new(source),
        streams,
    }))
}

/// Videos have colours or grey values, so a network must take the one or the other.
fn takes_colours(input: &TensorSpec) -> Result<(), NodeError> {
    match input.c {
        1 | 3 => Ok(()),
        channels => Err(tessera_picture::PictureError::Channels { channels }.into()),
    }
}

/// Pictures that are posted to the gateway on this board.
fn posted(program: &'static Program, a: &Args) -> Result<Box<dyn FrameSource>, NodeError> {
    #[cfg(feature = "service")]
    {
        let letterbox = a.letterbox || program.letterbox;
        let source = posted::Posted::on_stdin(&program.tensors[0], letterbox);
        let source = source.map_err(NodeError::io("cannot hear of posted pictures"))?;
        Ok(Box::new(source))
    }
    #[cfg(not(feature = "service"))]
    {
        let _ = (program, a);
        Err(NodeError::no_service("--posts"))
    }
}
