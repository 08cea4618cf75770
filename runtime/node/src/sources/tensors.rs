//! Frames from raw tensor files: C x H x W, little-endian float32.

use std::{
    io::{BufReader, Read},
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
};

use super::{FrameSource, SourceFrame, files::Files};
use crate::{detect::ImageFrame, error::NodeError};
use tessera_plan::element::ElementType;
use tessera_runtime::{element, program::TensorSpec};

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

    fn next(&mut self, into: &mut [u8]) -> Option<Result<SourceFrame, NodeError>> {
        let file = self.files.next()?;
        Some(read(file, self.input, into).map(SourceFrame::from))
    }

    fn is_over(&self) -> bool {
        self.files.is_over()
    }
}

fn read(file: &Path, input: &TensorSpec, into: &mut [u8]) -> Result<ImageFrame, NodeError> {
    let (h, w, c) = (input.h, input.w, input.c);
    let expected = 4 * h * w * c;
    let other = |found: u64| NodeError::Tensor {
        path: file.into(),
        source: tessera_picture::TensorSizeError {
            found: usize::try_from(found).unwrap_or(usize::MAX),
            expected,
            c,
            h,
            w,
        },
    };
    let mut opened = BufReader::new(open(file, expected as u64, other)?);
    let failed = |e| NodeError::io(format!("cannot read {}", file.display()))(e);
    let size = input.element.bytes();
    let mut row = vec![0; 4 * w];
    // One row at a time: a whole tensor of float32 takes several times a frame's memory.
    for (k, at) in (0..c * h).map(|k| (k, (k % h * w) * c + k / h)) {
        let found = read_full(&mut opened, &mut row).map_err(failed)?;
        if found < row.len() {
            return Err(other((4 * w * k + found) as u64));
        }
        for (x, value) in row.as_chunks().0.iter().enumerate() {
            let value = f32::from_le_bytes(*value);
            if input.element == ElementType::U8 && !(0.0..=1.0).contains(&value) {
                let path = file.into();
                return Err(NodeError::Values { path, value });
            }
            let place = &mut into[size * (at + x * c)..][..size];
            element::store(input.element, &[value], place);
        }
    }
    // A byte more than expected shows that there are too many.
    match read_full(&mut opened, &mut [0]).map_err(failed)? {
        0 => {}
        more => return Err(other((expected + more) as u64)),
    }
    Ok(ImageFrame {
        width: w as u32,
        height: h as u32,
        letterbox: false,
    })
}

/// Reads as many bytes as there are, at most as many as fit.
fn read_full(from: &mut impl Read, into: &mut [u8]) -> std::io::Result<usize> {
    let mut found = 0;
    while found < into.len() {
        match from.read(&mut into[found..]) {
            Ok(0) => break,
            Ok(n) => found += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(found)
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
