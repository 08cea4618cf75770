//! Paths of the project: the workspace's root and the models.

use std::path::{Path, PathBuf};

/// The workspace's root: the folder above this crate at build time, or the current folder.
pub fn root() -> PathBuf {
    let built = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(Path::to_path_buf);
    built
        .filter(|p| p.join("models").is_dir())
        .unwrap_or_else(|| PathBuf::from("."))
}

/// Finds a model file: `path` itself, or a bare name in `models/` or `models/<stem>/`. If `path` is a folder or
/// device and `models/` has no file of that name, the function returns `path`: the error of reading says more.
pub fn find_model(path: &Path) -> Option<PathBuf> {
    if path.is_file() {
        return Some(path.to_path_buf());
    }
    shipped(path).or_else(|| path.exists().then(|| path.to_path_buf()))
}

fn shipped(path: &Path) -> Option<PathBuf> {
    let bare = path.components().count() == 1;
    let file = path.with_extension("cfg");
    let models = root().join("models");
    let nested = models.join(path.file_stem()?).join(&file);
    [models.join(&file), nested]
        .into_iter()
        .find(|p| bare && p.is_file())
}

/// Names of the cfg files in `models/`, for messages.
pub fn shipped_models() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(root().join("models"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| e.file_name().into_string().ok())
        .filter(|n| n.ends_with(".cfg"))
        .collect();
    names.sort();
    names
}

/// `path` as seen from the current folder, for messages.
pub fn show(path: &Path) -> String {
    let cwd = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&cwd)
        .unwrap_or(path)
        .display()
        .to_string()
}
