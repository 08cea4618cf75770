//! Frames from raw tensor files: C x H x W, little-endian float32.

use std::path::{Path, PathBuf};

use super::{FrameSource, files::Files, fill};
use crate::{detect::ImageFrame, error::NodeError, picture};
use tessera_runtime::program::TensorSpec;

/// Tensor files.
#[derive(Clone, Debug)]
pub struct Tensors {
    files: Files,
    input: &'static TensorSpec,
}

impl Tensors {
    /// Tensors for a network's `input`.
    pub fn new(files: &[PathBuf], input: &'static TensorSpec) -> Self {
        Self {
            files: Files::new(files),
            input,
        }
    }
}

impl FrameSource for Tensors {
    fn name(&self) -> String {
        self.files.name()
    }

    fn next(&mut self, into: &mut [u8]) -> Option<Result<ImageFrame, NodeError>> {
        let file = self.files.next()?;
        Some(read(file, self.input, into))
    }

    fn is_over(&self) -> bool {
        self.files.is_over()
    }
}

fn read(file: &Path, input: &TensorSpec, into: &mut [u8]) -> Result<ImageFrame, NodeError> {
    let bytes =
        std::fs::read(file).map_err(NodeError::io(format!("cannot read {}", file.display())))?;
    let (h, w, c) = (input.h, input.w, input.c);
    fill(input.element, into, |values| {
        picture::tensor_from_chw(&bytes, h, w, c, values)
    })
    .map_err(|source| NodeError::Tensor {
        path: file.into(),
        source,
    })?;
    Ok(ImageFrame {
        width: w as u32,
        height: h as u32,
        letterbox: false,
    })
}
