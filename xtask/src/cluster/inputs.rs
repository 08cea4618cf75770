//! The input files of sources.

use std::{
    fs::OpenOptions,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use tessera_plan::files::{records::Record, sources::SourceName};

use crate::sources::Source;

/// Files from which sources make frames.
#[derive(Clone, Debug)]
pub enum Inputs {
    /// Picture files.
    Images(Vec<PathBuf>),
    /// Raw C, H, W float32 files.
    Tensors(Vec<PathBuf>),
    /// What nodes find out themselves.
    Sources(Vec<Source>),
}

impl Inputs {
    /// Number of frames, if it is known before.
    pub fn frames(&self) -> Option<usize> {
        match self {
            Self::Images(f) | Self::Tensors(f) => Some(f.len()),
            Self::Sources(sources) => sources.is_empty().then_some(0),
        }
    }

    /// The files.
    pub fn files(&self) -> &[PathBuf] {
        match self {
            Self::Images(f) | Self::Tensors(f) => f,
            Self::Sources(_) => &[],
        }
    }

    /// The flags of an edge that reads all of this; its files are in `dir` and begin with `name`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn flags(&self, dir: &Path, name: &str) -> Result<Vec<String>> {
        let (flag, files) = match self {
            Self::Images(f) => ("--image", f),
            Self::Tensors(f) => ("--input-f32", f),
            Self::Sources(sources) => {
                return source_flags(sources, &dir.join(format!("{name}.toml")));
            }
        };
        let each = files.iter().map(|f| f.display().to_string());
        Ok(each.flat_map(|f| [flag.to_owned(), f]).collect())
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
            Self::Sources(sources) => {
                let is_its = |(at, s): &(usize, &Source)| s.edge.map_or(at % n == i, |e| e == i);
                let its = sources.iter().enumerate().filter(is_its);
                Self::Sources(its.map(|(_, s)| s.clone()).collect())
            }
        }
    }
}

/// Flags for sources. What has a name, or must not be seen by `ps`, stands in a file.
fn source_flags(sources: &[Source], file: &Path) -> Result<Vec<String>> {
    let mut flags = Vec::new();
    let mut tables = Vec::new();
    for source in sources {
        let shown = source.from.to_string();
        let hidden = (shown != source.from.secret())
            .then(|| SourceName::made_of("camera").numbered(tables.len() + 1));
        match source.name.clone().or(hidden) {
            Some(name) => tables.push(toml::Value::from(source.table(&name))),
            None => {
                flags.extend(["--source".to_owned(), shown]);
                if let Some(fps) = source.fps {
                    flags.extend(["--fps".to_owned(), fps.get().to_string()]);
                }
            }
        }
    }
    if !tables.is_empty() {
        let mut whole = toml::Table::new();
        whole.insert("source".into(), tables.into());
        let mut options = OpenOptions::new();
        let mut to = options
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(file)
            .with_context(|| format!("cannot write {}", file.display()))?;
        to.write_all(toml::to_string(&whole)?.as_bytes())?;
        flags.extend(["--source".to_owned(), file.display().to_string()]);
    }
    Ok(flags)
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
        assert_eq!(inputs(&["a"]).share(1, 2).frames(), Some(1));
        // Whoever only answers over HTTP waits for no frames.
        assert_eq!(Inputs::Sources(Vec::new()).frames(), Some(0));
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
