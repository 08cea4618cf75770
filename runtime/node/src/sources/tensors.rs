//! Frames from raw tensor files: C x H x W, little-endian float32.

use std::{
    io::Read,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
};

use super::{FrameSource, files::Files, fill};
use crate::{detect::ImageFrame, error::NodeError};
use tessera_runtime::program::TensorSpec;

/// A source that reads a list of tensor files.
#[derive(Clone, Debug)]
pub struct Tensors {
    files: Files,
    input: &'static TensorSpec,
}

impl Tensors {
    /// A source of tensors with the size of the network's `input`.
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
    let expected = 4 * h * w * c;
    let other = |found: u64| {
        size(tessera_picture::TensorSizeError {
            found: usize::try_from(found).unwrap_or(usize::MAX),
            expected,
            c,
            h,
            w,
        })
    };
    let opened = open(file, expected as u64, other)?;
    // A byte more than expected shows that there are too many.
    let mut bytes = Vec::with_capacity(expected + 1);
    opened
        .take(expected as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(NodeError::io(format!("cannot read {}", file.display())))?;
    if bytes.len() != expected {
        return Err(other(bytes.len() as u64));
    }
    fill(input.element, into, |values| {
        tessera_picture::tensor_from_chw(&bytes, h, w, c, values)
    })
    .map_err(size)?;
    Ok(ImageFrame {
        width: w as u32,
        height: h as u32,
        letterbox: false,
    })
}

/// Opens a tensor's file. A pipe is waited for: frames may come through it, and the reader's thread holds up
/// nobody. A regular file of another size than `expected` bytes is not read; `other` says so.
fn open(
    file: &Path,
    expected: u64,
    other: impl Fn(u64) -> NodeError,
) -> Result<std::fs::File, NodeError> {
    let is_pipe = std::fs::metadata(file).is_ok_and(|m| m.file_type().is_fifo());
    if is_pipe {
        return std::fs::File::open(file)
            .map_err(NodeError::io(format!("cannot open {}", file.display())));
    }
    let (opened, file_bytes) = tessera_picture::open(file)?;
    if file_bytes == expected {
        Ok(opened)
    } else {
        Err(other(file_bytes))
    }
}
