//! Where the frames of a run come from.

use clap::Args;
use tessera_plan::files::sources::{Fps, Keep, Named, Origin};

/// Sources of a run, and what holds for them.
#[derive(Clone, Debug, Default, Args)]
pub struct SourceArgs {
    /// Where frames come from: a picture, a video, a folder, a pattern, a list, a camera's number, v4l2:DEVICE, pi:, a URL, -
    /// or test: (docs/sources.md); with a name as NAME=FROM [default: the sources of --cluster]
    #[arg(long, num_args = 1.., value_name = "[NAME=]FROM", conflicts_with = "input_f32")]
    pub source: Vec<Named<Origin>>,
    /// At most so many frames a second, of the source NAME or of all
    #[arg(long, value_name = "[NAME=]N")]
    pub fps: Vec<Named<Fps>>,
    /// all: no frame is left out; newest: those that come too fast are [default: all of files, the newest of cameras]
    #[arg(long, value_name = "[NAME=]WHICH")]
    pub keep: Vec<Named<Keep>>,
    /// End after so many frames: cameras and streams have no end of their own
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub frames: Option<u64>,
}
