//! The input files of sources.

use std::path::PathBuf;

use tessera_plan::files::records::Record;

/// Files from which sources make frames.
#[derive(Clone, Debug)]
pub enum Inputs {
    /// Picture files.
    Images(Vec<PathBuf>),
    /// Raw C, H, W float32 files.
    Tensors(Vec<PathBuf>),
}

impl Inputs {
    /// Number of frames.
    pub fn len(&self) -> usize {
        self.files().len()
    }

    /// The files.
    pub fn files(&self) -> &[PathBuf] {
        match self {
            Self::Images(f) | Self::Tensors(f) => f,
        }
    }

    /// The files of source `i` of `n`: every n-th file, or all files when there are fewer files than sources.
    pub fn share(&self, i: usize, n: usize) -> Self {
        let pick = |files: &[PathBuf]| -> Vec<PathBuf> {
            if files.len() < n {
                files.to_vec()
            } else {
                files.iter().skip(i).step_by(n).cloned().collect()
            }
        };
        match self {
            Self::Images(f) => Self::Images(pick(f)),
            Self::Tensors(f) => Self::Tensors(pick(f)),
        }
    }
}

/// Sets the file name of every record: a record's tag is the index among its source's inputs.
pub(super) fn name_files(records: &mut [Record], shares: &[Inputs]) {
    for r in records {
        let source = usize::from(r.subject.source).checked_sub(1);
        let share = source.and_then(|s| shares.get(s));
        let file = share.and_then(|share| share.files().get(r.subject.tag as usize));
        if let Some(file) = file {
            r.subject.file = Some(file.display().to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use tessera_plan::files::records::{Ending, Found, Subject};

    use super::*;

    fn inputs(names: &[&str]) -> Inputs {
        Inputs::Images(names.iter().map(PathBuf::from).collect())
    }

    #[test]
    fn files_are_dealt_to_sources_and_found_again_by_their_records() {
        let all = inputs(&["a", "b", "c", "d", "e"]);
        let shares = [all.share(0, 2), all.share(1, 2)];
        assert_eq!(shares[0].files(), inputs(&["a", "c", "e"]).files());
        assert_eq!(shares[1].files(), inputs(&["b", "d"]).files());
        // With fewer files than sources, every source gets all files.
        assert_eq!(inputs(&["a"]).share(1, 2).len(), 1);
        let record = |(source, tag)| Record {
            subject: Subject {
                source,
                tag,
                ..Subject::default()
            },
            timing: None,
            width: 1,
            height: 1,
            ending: Ending::Computed(Found::default()),
        };
        let mut records = [(1, 2), (2, 0), (2, 9), (0, 0)].map(record);
        name_files(&mut records, &shares);
        let named = records.map(|r| r.subject.file);
        let named: Vec<_> = named.iter().map(Option::as_deref).collect();
        assert_eq!(named, [Some("e"), Some("b"), None, None]);
    }
}
