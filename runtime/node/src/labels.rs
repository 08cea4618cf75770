//! Names of the detected classes, for records.

use std::{
    fs::File,
    io::{ErrorKind, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use tessera_plan::files::names::{self, NotText};
use tessera_runtime::program::Program;

/// Names by class number. The list may be shorter than the number of classes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(Arc<[String]>);

/// Why a file of class names is unusable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabelsError {
    /// The system cannot read the file.
    #[error("--names {path}: {cause}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        cause: std::io::Error,
    },
    /// The path leads to a folder, a pipe or a device.
    #[error("--names {0}: this is no regular file; give a text file with one class per line")]
    NotAFile(PathBuf),
    /// The file is not text.
    #[error("--names {0}: {1}")]
    NotText(PathBuf, NotText),
}

impl Labels {
    /// The names in the file `given`; without one, those beside the weights (`weights.names` beside `weights.bin`), which
    /// may be missing. Logs a warning for every oddity of the list.
    ///
    /// # Errors
    /// When the file `given` cannot be used.
    pub fn load(
        program: &Program,
        given: Option<&Path>,
        weights: &Path,
    ) -> Result<Self, LabelsError> {
        let beside = weights.with_extension("names");
        let file = given.unwrap_or(&beside);
        let (list, warnings) = match read(file, classes(program)) {
            Ok(read) => read,
            Err(LabelsError::Io { cause, .. })
                if given.is_none() && cause.kind() == ErrorKind::NotFound =>
            {
                return Ok(Self::default());
            }
            Err(e) if given.is_none() => (Vec::new(), vec![format!("not used: {e}")]),
            Err(e) => return Err(e),
        };
        for w in warnings {
            tracing::warn!("{}: {w}", file.display());
        }
        Ok(Self(list.into()))
    }

    /// All names, by the numbers of their classes.
    #[cfg(any(feature = "mqtt", feature = "alerts"))]
    pub fn all(&self) -> &[String] {
        &self.0
    }

    /// The name of a class; `None` when the file holds no name for the class.
    pub fn of(&self, class: u32) -> Option<String> {
        self.0.get(class as usize).cloned()
    }
}

impl FromIterator<String> for Labels {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Self {
        Self(names.into_iter().collect())
    }
}

/// Classes of a detector's last head, or values of a classifier.
pub(crate) fn classes(program: &Program) -> usize {
    let outputs = || {
        program
            .tail
            .outputs
            .first()
            .map(|t| &program.tensors[*t as usize])
    };
    match program.heads.last() {
        Some(head) => head.classes,
        None => outputs().map_or(0, |t| t.region().len()),
    }
}

fn read(path: &Path, classes: usize) -> Result<(Vec<String>, Vec<String>), LabelsError> {
    let io = |cause| LabelsError::Io {
        path: path.into(),
        cause,
    };
    let is_file = |m: std::fs::Metadata| {
        let not = || LabelsError::NotAFile(path.into());
        m.is_file().then_some(()).ok_or_else(not)
    };
    is_file(std::fs::metadata(path).map_err(io)?)?;
    // Should it be a pipe by now, one without a writer does not hold this up.
    let mut options = File::options();
    options.read(true).custom_flags(nix::libc::O_NONBLOCK);
    let file = options.open(path).map_err(io)?;
    is_file(file.metadata().map_err(io)?)?;
    let mut bytes = Vec::new();
    file.take(names::BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    let not_text = |e| LabelsError::NotText(path.into(), e);
    if bytes.len() as u64 > names::BYTES_MAX {
        return Err(not_text(NotText));
    }
    names::parse(&bytes, classes).map_err(not_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_names() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.names");
        std::fs::write(&file, "dog\ncat\n").unwrap();
        assert_eq!(read(&file, 2).unwrap().0, ["dog", "cat"]);
        std::fs::write(&file, [1, 0, 0, 0, 2, 0, 0, 0]).unwrap();
        assert!(matches!(read(&file, 2), Err(LabelsError::NotText(..))));
        for path in [dir.path(), Path::new("/dev/zero")] {
            let e = read(path, 2).unwrap_err();
            assert!(e.to_string().contains("no regular file"), "{e}");
        }
        let e = read(&dir.path().join("none"), 2).unwrap_err();
        assert!(e.to_string().starts_with("--names "), "{e}");
    }

    #[test]
    fn a_class_without_a_name_has_no_label() {
        let labels: Labels = ["dog".to_string()].into_iter().collect();
        assert_eq!(labels.of(0).as_deref(), Some("dog"));
        assert_eq!(labels.of(1), None);
    }
}
