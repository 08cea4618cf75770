//! A list of files that a source reads once.

use std::path::{Path, PathBuf};

/// A list of files and the position of the next file.
#[derive(Clone, Debug)]
pub struct Files {
    files: Vec<PathBuf>,
    next: usize,
}

impl Files {
    /// Starts at the first file.
    pub fn new(files: &[PathBuf]) -> Self {
        Self {
            files: files.to_vec(),
            next: 0,
        }
    }

    /// The name of the file that [`Files::next`] gave last; empty before the first one.
    pub fn name(&self) -> String {
        let last = self.next.checked_sub(1).and_then(|at| self.files.get(at));
        last.map_or_else(String::new, |p| p.display().to_string())
    }

    /// Returns the next file and moves on; `None` behind the last file.
    pub fn next(&mut self) -> Option<&Path> {
        let file = self.files.get(self.next)?;
        self.next += 1;
        Some(file)
    }

    /// Whether no file is left.
    pub fn is_over(&self) -> bool {
        self.next == self.files.len()
    }
}
