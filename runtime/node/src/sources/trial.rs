//! Whether each source brings a frame.

use super::{
    expand::Item,
    stream::{Ffmpeg, Recipe, StreamOrigin, first_frame},
    takes_colours, wanted,
};
use crate::{args::Args, error::NodeError};
use tessera_runtime::program::Program;

/// A source that was tried.
#[derive(Debug)]
pub(crate) struct Trial {
    /// What it is called.
    pub name: String,
    /// From where, without secrets.
    pub from: String,
    /// Why it brings nothing; `None` if it does.
    pub failure: Option<String>,
}

/// Tries all sources that are streams, one after the other. Pictures are only looked for, and standard input is left alone.
///
/// # Errors
/// When a source leads nowhere, or ffmpeg is missing.
pub(crate) fn trials(program: &'static Program, a: &Args) -> Result<Vec<Trial>, NodeError> {
    let input = &program.tensors[0];
    let mut all = Vec::new();
    for wanted in wanted::all(a, a.letterbox || program.letterbox)? {
        // Of a folder's videos, the first one is enough.
        let stream = wanted.items.into_iter().find_map(|item| match item {
            Item::Stream(how) if how != StreamOrigin::Input => Some(how),
            _ => None,
        });
        let Some(how) = stream else { continue };
        takes_colours(input)?;
        let ffmpeg = Ffmpeg::find()?;
        let name = wanted.name.unwrap_or_else(|| how.name()).to_string();
        let from = how.to_string();
        let recipe = Recipe {
            keep: how.usual_keep(),
            how,
            size: [input.h, input.w, input.c],
            letterbox: wanted.letterbox,
            fps: wanted.fps,
            timeout: wanted.timeout,
        };
        all.push(Trial {
            name,
            from,
            failure: first_frame(&recipe, ffmpeg).err(),
        });
    }
    Ok(all)
}
