//! A list of files that is read once.

use std::path::{Path, PathBuf};

/// The files, and which of them is next.
#[derive(Clone, Debug)]
pub struct Files {
    files: Vec<PathBuf>,
    next: usize,
}

impl Files {
    /// A list from its beginning.
    pub fn new(files: &[PathBuf]) -> Self {
        Self {
            files: files.to_vec(),
            next: 0,
        }
    }

    /// The next file's name; empty behind the last.
    pub fn name(&self) -> String {
        let next = self.files.get(self.next);
        next.map_or_else(String::new, |p| p.display().to_string())
    }

    /// Moves on; gives the file that was next.
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
