//! The files of the repository, and which crate each belongs to.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The workspace's root.
pub fn root() -> PathBuf {
    tessera_tests::bundle::root()
}

/// A crate: its name and its folder, relative to the root.
#[derive(Clone, Debug)]
pub struct Package {
    pub name: String,
    pub folder: PathBuf,
    pub manifest: toml::Table,
}

/// The crates of the workspace.
pub fn packages() -> Vec<Package> {
    let workspace = manifest(Path::new(""));
    let members = workspace["workspace"]["members"].as_array().unwrap();
    let mut list: Vec<Package> = members
        .iter()
        .map(|m| package(Path::new(m.as_str().unwrap())))
        .collect();
    // A nested crate's files are not those of the crate around it: the longest folder wins.
    list.sort_by_key(|p| std::cmp::Reverse(p.folder.components().count()));
    list
}

/// The crates of `generated/`.
pub fn generated() -> Vec<Package> {
    let folders = fs::read_dir(root().join("generated")).unwrap();
    folders
        .map(|e| e.unwrap().path())
        .filter(|p| p.join("Cargo.toml").is_file())
        .map(|p| package(p.strip_prefix(root()).unwrap()))
        .collect()
}

fn package(folder: &Path) -> Package {
    let manifest = manifest(folder);
    Package {
        name: manifest["package"]["name"].as_str().unwrap().to_owned(),
        folder: folder.to_path_buf(),
        manifest,
    }
}

fn manifest(folder: &Path) -> toml::Table {
    let file = root().join(folder).join("Cargo.toml");
    let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    text.parse().unwrap()
}

/// Paths, relative to the root, of all files whose names end in one of `endings`; without build output
/// and what Git keeps. An ending "" takes every file.
pub fn files(endings: &[&str]) -> Vec<PathBuf> {
    let mut list = Vec::new();
    collect(Path::new(""), endings, &mut list);
    assert!(!list.is_empty(), "no files end in {endings:?}");
    list.sort();
    list
}

/// Rust sources that people write, each with the crate that it belongs to.
pub fn rust() -> Vec<(PathBuf, Package)> {
    let packages = packages();
    files(&[".rs"])
        .into_iter()
        .filter_map(|file| {
            let owner = packages.iter().find(|p| file.starts_with(&p.folder))?;
            Some((file, owner.clone()))
        })
        .collect()
}

/// The text of a file, relative to the root.
pub fn read(file: &Path) -> String {
    let bytes = fs::read(root().join(file)).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `path` with `..` and `.` resolved by name alone.
pub fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir if out.file_name().is_some() => {
                out.pop();
            }
            std::path::Component::CurDir => {}
            part => out.push(part),
        }
    }
    out
}

fn collect(folder: &Path, endings: &[&str], list: &mut Vec<PathBuf>) {
    // "x.join("")" would end in a slash.
    let at = if folder == Path::new("") {
        root()
    } else {
        root().join(folder)
    };
    for entry in fs::read_dir(at).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = folder.join(&name);
        if entry.file_type().unwrap().is_dir() {
            let hidden = name.starts_with('.') && ![".ci", ".cargo"].contains(&&*name);
            if !hidden && name != "target" {
                collect(&path, endings, list);
            }
        } else if name != ".git" && endings.iter().any(|e| name.ends_with(e)) {
            list.push(path);
        }
    }
}
