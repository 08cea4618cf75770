//! Frames from raw tensor files: C x H x W, little-endian float32.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

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
    let (h, w, c) = (input.h, input.w, input.c);
    let size = |source| NodeError::Tensor {
        path: file.into(),
        source,
    };
    // A file of another size is not read: there may be no memory for it.
    let (opened, file_bytes) = picture::open(file)?;
    let expected = 4 * h * w * c;
    if file_bytes != expected as u64 {
        return Err(size(picture::TensorSizeError {
            found: usize::try_from(file_bytes).unwrap_or(usize::MAX),
            expected,
            c,
            h,
            w,
        }));
    }
    let mut bytes = Vec::with_capacity(expected);
    opened
        .take(file_bytes)
        .read_to_end(&mut bytes)
        .map_err(NodeError::io(format!("cannot read {}", file.display())))?;
    fill(input.element, into, |values| {
        picture::tensor_from_chw(&bytes, h, w, c, values)
    })
    .map_err(size)?;
    Ok(ImageFrame {
        width: w as u32,
        height: h as u32,
        letterbox: false,
    })
}
