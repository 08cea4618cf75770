//! Frames from files: pictures and raw tensors.

use std::path::PathBuf;

use super::{NodeError, args::Args};
use crate::{detect::ImageFrame, picture};
use tessera_runtime::program::Program;

/// The frames of a source, read one after the other.
#[derive(Clone, Debug)]
pub struct Frames {
    files: Vec<PathBuf>,
    pictures: bool,
    letterbox: bool,
}

impl Frames {
    /// The frames that the flags name.
    pub fn new(program: &Program, a: &Args) -> Self {
        let pictures = a.tensors.is_empty();
        Self {
            files: if pictures {
                a.images.clone()
            } else {
                a.tensors.clone()
            },
            pictures,
            letterbox: pictures && (a.letterbox || program.letterbox),
        }
    }

    /// Number of frames.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// File name of frame `i`.
    pub fn name(&self, i: usize) -> String {
        self.files
            .get(i)
            .map_or_else(String::new, |p| p.display().to_string())
    }

    /// Reads frame `i` into an `[h, w, c]` input.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn read(
        &self,
        i: usize,
        program: &Program,
        out: &mut [f32],
    ) -> Result<ImageFrame, NodeError> {
        let t = &program.tensors[0];
        let (h, w, c) = (t.h as usize, t.w as usize, t.c as usize);
        let path = &self.files[i];
        if self.pictures {
            if c != 1 && c != 3 {
                return Err(picture::PictureError::Channels { channels: c }.into());
            }
            let p = picture::load(path)?;
            picture::to_tensor(&p, h, w, c, self.letterbox, out);
            return Ok(ImageFrame {
                width: p.width,
                height: p.height,
                letterbox: self.letterbox,
            });
        }
        let bytes = std::fs::read(path)
            .map_err(NodeError::io(format!("cannot read {}", path.display())))?;
        picture::tensor_from_chw(&bytes, h, w, c, out).map_err(|source| NodeError::Tensor {
            path: path.clone(),
            source,
        })?;
        Ok(ImageFrame {
            width: w as u32,
            height: h as u32,
            letterbox: false,
        })
    }
}
