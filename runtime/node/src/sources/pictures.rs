//! Frames from picture files, resized as Darknet does.

use std::path::{Path, PathBuf};

use super::{FrameSource, SourceFrame, files::Files};
use crate::{detect::ImageFrame, error::NodeError};
use tessera_picture::Picture;
use tessera_runtime::{element, program::TensorSpec};

/// A source that reads a list of picture files.
#[derive(Clone, Debug)]
pub struct Pictures {
    files: Files,
    input: &'static TensorSpec,
    letterbox: bool,
    options: tessera_picture::Options,
}

impl Pictures {
    /// A source of pictures with the size of the network's `input`.
    pub fn new(
        files: &[PathBuf],
        input: &'static TensorSpec,
        letterbox: bool,
        options: tessera_picture::Options,
    ) -> Self {
        Self {
            files: Files::new(files),
            input,
            letterbox,
            options,
        }
    }
}

impl FrameSource for Pictures {
    fn name(&self) -> String {
        self.files.name()
    }

    fn next(&mut self, into: &mut [u8]) -> Option<Result<SourceFrame, NodeError>> {
        let file = self.files.next()?;
        let image = read(file, self.input, self.letterbox, self.options, into);
        Some(image.map(SourceFrame::from))
    }

    fn is_over(&self) -> bool {
        self.files.is_over()
    }
}

fn read(
    file: &Path,
    input: &TensorSpec,
    letterbox: bool,
    options: tessera_picture::Options,
    into: &mut [u8],
) -> Result<ImageFrame, NodeError> {
    if input.c != 1 && input.c != 3 {
        return Err(tessera_picture::PictureError::Channels { channels: input.c }.into());
    }
    let p = tessera_picture::load_with(file, options)?;
    Ok(write(&p, input, letterbox, into))
}

/// Writes a picture as the network's input, which takes grey values or colours.
pub(super) fn write(
    p: &Picture,
    input: &TensorSpec,
    letterbox: bool,
    into: &mut [u8],
) -> ImageFrame {
    let (h, w, c) = (input.h, input.w, input.c);
    let size = input.element.bytes();
    tessera_picture::to_input(p, [h, w, c], letterbox, |at, row| {
        let place = &mut into[size * at..][..size * row.len()];
        element::store(input.element, row, place);
    });
    ImageFrame {
        width: p.width(),
        height: p.height(),
        letterbox,
    }
}
