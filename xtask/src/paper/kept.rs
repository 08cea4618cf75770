//! Results that are kept between runs, a file each.
//!
//! A file appears when it is whole: the text goes into a new file that takes the name at the end. It says which program
//! and which network made it. What another one made, what is cut off, and what is not a result is made anew.

use std::{
    fs,
    hash::{DefaultHasher, Hasher},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tessera_evaluation::cell::Cell;

use crate::{
    files::{self, Output},
    out::note,
    workspace,
};

/// Largest file of a result, in bytes.
const BYTES_MAX: u64 = 1 << 18;

/// A folder of results.
#[derive(Debug)]
pub struct Kept {
    folder: PathBuf,
    program: String,
}

/// A file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    program: String,
    cell: Cell,
}

impl Kept {
    /// The results in `folder`, which is made, of this program on the network of `cfg`.
    ///
    /// # Errors
    /// When the folder cannot be made, or the program cannot read itself.
    pub fn open(folder: &Path, cfg: &[u8]) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let me = std::env::current_exe().context("cannot find this program")?;
        let program = fs::read(&me).with_context(|| format!("cannot read {}", me.display()))?;
        let mut hasher = DefaultHasher::new();
        hasher.write(&program);
        hasher.write(cfg);
        Ok(Self {
            folder: folder.into(),
            program: format!("{:016x}", hasher.finish()),
        })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }

    /// The result of a case; `None` where there is none to be believed.
    pub fn read(&self, name: &str) -> Option<Cell> {
        let path = self.file(name);
        if !path.exists() {
            return None;
        }
        let bytes = files::read(&path, BYTES_MAX, "no result is that large").ok()?;
        match serde_json::from_slice::<File>(&bytes) {
            Ok(file) if file.program != self.program => None,
            Ok(file) if file.cell.name == name => Some(file.cell),
            Ok(_) => {
                note!(
                    "note: {} is of another case, and is made anew",
                    workspace::show(&path)
                );
                None
            }
            Err(e) => {
                note!("note: {} is made anew: {e}", workspace::show(&path));
                None
            }
        }
    }

    /// Keeps a result. Returns it as a later run reads it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, cell: Cell) -> Result<Cell> {
        let path = self.file(&cell.name);
        let program = self.program.clone();
        let text = serde_json::to_string_pretty(&File { program, cell })? + "\n";
        Output::check("paper", &path)?.write(text.as_bytes())?;
        Ok(serde_json::from_str::<File>(&text)?.cell)
    }
}
