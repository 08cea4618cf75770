//! What the front end reads: every layer type, option and activation that target networks use, and
//! both forms of weights files.

mod nets;
mod shapes;
mod weights_files;

use std::path::{Path, PathBuf};

/// Files `*.cfg` of a folder of the workspace, by name.
fn cfgs(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "cfg"))
        .collect();
    files.sort();
    let read = |p: PathBuf| {
        let name = p.file_stem().unwrap().to_string_lossy().into_owned();
        (name, std::fs::read_to_string(&p).unwrap())
    };
    files.into_iter().map(read).collect()
}

/// Sections of a cfg as name and keys, read the simplest way.
fn sections(text: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut list: Vec<(String, Vec<(String, String)>)> = Vec::new();
    for line in text.lines() {
        let line = line.replace([' ', '\t'], "");
        if let Some(name) = line.strip_prefix('[') {
            list.push((name.trim_end_matches(']').into(), Vec::new()));
        } else if let Some((k, v)) = line
            .split_once('=')
            .filter(|_| !line.starts_with(['#', ';']))
        {
            list.last_mut().unwrap().1.push((k.into(), v.into()));
        }
    }
    list
}
