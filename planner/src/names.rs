//! Files of class names: one per line.

use std::path::Path;

use crate::text::plural;

/// Why a names file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NamesError {
    /// It cannot be read.
    #[error("cannot read the names: {0}")]
    Io(#[from] std::io::Error),
    /// It is no text, or far too large.
    #[error("this is no list of names; give a text file with one class per line")]
    NotText,
}

/// Largest names file that is read.
const BYTES_MAX: u64 = 16 << 20;

/// Reads the names of `classes` classes. A list of another length is a warning: missing classes
/// are shown by number.
///
/// # Errors
/// When the file cannot be read or is no text.
pub fn read(path: &Path, classes: usize) -> Result<(Vec<String>, Vec<String>), NamesError> {
    if std::fs::metadata(path)?.len() > BYTES_MAX {
        return Err(NamesError::NotText);
    }
    parse(&std::fs::read(path)?, classes)
}

/// As [`read`], from memory.
///
/// # Errors
/// When `bytes` are no text.
pub fn parse(bytes: &[u8], classes: usize) -> Result<(Vec<String>, Vec<String>), NamesError> {
    let text = std::str::from_utf8(bytes).map_err(|_| NamesError::NotText)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.contains('\0') {
        return Err(NamesError::NotText);
    }
    let names: Vec<String> = text.lines().map(|l| l.trim().to_string()).collect();
    let used = names
        .iter()
        .rposition(|n| !n.is_empty())
        .map_or(0, |i| i + 1);
    let mut warnings = Vec::new();
    if used != classes {
        warnings.push(format!(
            "{} for {}; classes without a name are shown by number",
            plural(used, "name"),
            if classes == 1 {
                "1 class".into()
            } else {
                format!("{classes} classes")
            }
        ));
    }
    Ok((names[..used.min(classes)].to_vec(), warnings))
}
