//! What an origin leads to on this board: picture files, and streams for ffmpeg.
//!
//! Folders, patterns and lists read as users of ultralytics' `predict` know them: a folder's files without those of
//! its subfolders, sorted, pictures first; a list's lines in their order.

use std::{
    fs,
    io::Read,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
};

use super::stream::StreamOrigin;
use crate::error::NodeError;
use tessera_plan::files::sources::{
    Named, Origin, SourceEntry, SourceError, SourceFile,
    endings::{self, PICTURES, VIDEOS},
    mask_all,
};

/// Most files that one source may list.
const FILES_MAX: usize = 1_000_000;
/// Largest list, in bytes.
const LIST_BYTES_MAX: u64 = 64 << 20;

/// A part of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// Picture files, one frame each.
    Pictures(Vec<PathBuf>),
    /// What ffmpeg reads.
    Stream(StreamOrigin),
}

/// Why an origin leads nowhere.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExpandError {
    /// Nothing is there.
    #[error("nothing is there; a source is {KINDS}")]
    Nothing,
    /// The system cannot read it.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A folder or a pattern without pictures.
    #[error("no picture or video is there; pictures end in {}, videos in {}", PICTURES.join(", "), VIDEOS.join(", "))]
    Empty,
    /// Tables that cannot be understood, with the place.
    #[error("{0}")]
    Tables(String),
    /// A file without `[[source]]`.
    #[error("no [[source]] is in this file; write one with name and from")]
    NoTable,
    /// A list without lines.
    #[error("this list names no file; write one path a line")]
    EmptyList,
    /// A camera that is not there.
    #[error("there is no such camera; {0}")]
    NoCamera(String),
    /// A pattern that is none.
    #[error("{0}")]
    Pattern(#[from] glob::PatternError),
    /// A list of streams in a list of streams, or a name in a list.
    #[error("line {line}: {what}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
    /// Far too many files.
    #[error("more than a million files; name a part of them")]
    TooMany,
}

/// What may be written as a source.
const KINDS: &str = "a picture, a video, a folder, a pattern as 'shots/**/*.jpg', a list (.txt, .csv, .streams, .toml), a camera's \
    number, v4l2:DEVICE, pi:, a URL as rtsp://camera/live, - or test:";

/// The files and streams that `origin` leads to, and for a list of streams the sources that it names.
///
/// # Errors
/// When it leads nowhere.
pub fn expand(origin: &Origin) -> Result<Vec<Item>, ExpandError> {
    Ok(match origin {
        Origin::Path(path) => of_path(Path::new(path))?,
        Origin::Pattern(pattern) => {
            let mut found = Vec::new();
            for path in glob::glob(pattern)? {
                let path = path.map_err(std::io::Error::from)?;
                if kind(&path).is_some() && path.is_file() {
                    push(&mut found, path)?;
                }
            }
            in_order(found)?
        }
        Origin::Device(device) => {
            if !Path::new(device).exists() {
                return Err(ExpandError::NoCamera(cameras()));
            }
            vec![Item::Stream(StreamOrigin::Device(device.clone()))]
        }
        Origin::Pi(number) => vec![Item::Stream(StreamOrigin::Pi(*number))],
        Origin::Url(url) => vec![Item::Stream(StreamOrigin::Url(url.clone()))],
        Origin::Input => vec![Item::Stream(StreamOrigin::Input)],
        Origin::Test(picture) => vec![Item::Stream(StreamOrigin::Test(*picture))],
    })
}

/// The `[[source]]` tables of a file; `None` for an origin that is no such file.
///
/// # Errors
/// When the file cannot be read or understood, or has none.
pub fn tables(origin: &Origin) -> Result<Option<Vec<SourceEntry>>, ExpandError> {
    let Origin::Path(path) = origin else {
        return Ok(None);
    };
    if ending(Path::new(path)).as_deref() != Some("toml") {
        return Ok(None);
    }
    let file: SourceFile = toml::from_str(&text_of(Path::new(path))?)
        .map_err(|e| ExpandError::Tables(mask_all(&e.to_string())))?;
    if file.source.is_empty() {
        return Err(ExpandError::NoTable);
    }
    Ok(Some(file.source))
}

/// The sources that a list of streams names; `None` for any other origin.
///
/// # Errors
/// When the list cannot be read, or a line is no source.
pub fn streams(origin: &Origin) -> Result<Option<Vec<Named<Origin>>>, ExpandError> {
    let Origin::Path(path) = origin else {
        return Ok(None);
    };
    if ending(Path::new(path)) != Some("streams".into()) {
        return Ok(None);
    }
    let text = text_of(Path::new(path))?;
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        for word in line.split_whitespace() {
            if word.starts_with('#') {
                break;
            }
            let wrong = |what: String| ExpandError::Line { line: number, what };
            let named: Named<Origin> = word
                .parse()
                .map_err(|e: SourceError| wrong(e.to_string()))?;
            if matches!(&named.value, Origin::Path(p) if ending(Path::new(p)) == Some("streams".into()))
            {
                return Err(wrong("a list of streams in a list of streams".into()));
            }
            found.push(named);
        }
    }
    if found.is_empty() {
        return Err(ExpandError::EmptyList);
    }
    Ok(Some(found))
}

fn of_path(path: &Path) -> Result<Vec<Item>, ExpandError> {
    let found = fs::metadata(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => ExpandError::Nothing,
        _ => ExpandError::Io(e),
    })?;
    if found.is_dir() {
        let mut files = Vec::new();
        for entry in fs::read_dir(path)? {
            let path = entry?.path();
            let is_hidden = path
                .file_name()
                .is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
            if !is_hidden && kind(&path).is_some() && path.is_file() {
                push(&mut files, path)?;
            }
        }
        return in_order(files);
    }
    if found.file_type().is_char_device()
        && path.starts_with("/dev")
        && path != Path::new("/dev/stdin")
    {
        let device = path.display().to_string();
        if device.starts_with("/dev/video") {
            return Ok(vec![Item::Stream(StreamOrigin::Device(device))]);
        }
    }
    match ending(path).as_deref() {
        Some("txt") => list(path, "\n"),
        Some("csv") => list(path, ","),
        _ => Ok(runs(vec![path.into()])),
    }
}

/// The paths of a list: relative to where the node runs, or to the list's folder if nothing is there.
fn list(path: &Path, separator: &str) -> Result<Vec<Item>, ExpandError> {
    let text = text_of(path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut files = Vec::new();
    let words = text.lines().flat_map(|line| match separator {
        "," => line.split(',').collect::<Vec<_>>(),
        _ => vec![line],
    });
    for word in words
        .map(str::trim)
        .filter(|w| !w.is_empty() && !w.starts_with('#'))
    {
        let (here, beside) = (PathBuf::from(word), folder.join(word));
        push(
            &mut files,
            if !here.exists() && beside.exists() {
                beside
            } else {
                here
            },
        )?;
    }
    if files.is_empty() {
        return Err(ExpandError::EmptyList);
    }
    // A file that is missing is skipped with its name when its turn comes, as any picture that cannot be read.
    Ok(runs(files))
}

fn text_of(path: &Path) -> Result<String, ExpandError> {
    let mut text = String::new();
    let file = fs::File::open(path)?;
    file.take(LIST_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

fn push(files: &mut Vec<PathBuf>, path: PathBuf) -> Result<(), ExpandError> {
    if files.len() == FILES_MAX {
        return Err(ExpandError::TooMany);
    }
    files.push(path);
    Ok(())
}

/// Pictures first, then videos, both sorted.
fn in_order(mut files: Vec<PathBuf>) -> Result<Vec<Item>, ExpandError> {
    files.sort_by(|a, b| (kind(a), a).cmp(&(kind(b), b)));
    if files.is_empty() {
        return Err(ExpandError::Empty);
    }
    Ok(runs(files))
}

/// Pictures in a row become one item, every video its own.
fn runs(files: Vec<PathBuf>) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    for path in files {
        if kind(&path) == Some(Kind::Video) {
            items.push(Item::Stream(StreamOrigin::Video(path)));
        } else if let Some(Item::Pictures(pictures)) = items.last_mut() {
            pictures.push(path);
        } else {
            items.push(Item::Pictures(vec![path]));
        }
    }
    items
}

/// What a file's ending says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Picture,
    Video,
}

fn kind(path: &Path) -> Option<Kind> {
    let ending = ending(path)?;
    if PICTURES.contains(&ending.as_str()) {
        Some(Kind::Picture)
    } else {
        VIDEOS.contains(&ending.as_str()).then_some(Kind::Video)
    }
}

fn ending(path: &Path) -> Option<String> {
    endings::ending(path.to_str()?)
}

/// The cameras of this board, for an error's text.
fn cameras() -> String {
    let mut names: Vec<String> = fs::read_dir("/dev")
        .into_iter()
        .flatten()
        .filter_map(|e| e.ok()?.file_name().into_string().ok())
        .filter(|n| n.starts_with("video"))
        .map(|n| format!("/dev/{n}"))
        .collect();
    names.sort();
    if names.is_empty() {
        "this board has none at USB. Is it plugged in? A camera at the ribbon cable is pi:".into()
    } else {
        format!("there are {}", names.join(", "))
    }
}

/// `origin`'s error as the node's.
pub fn failed(origin: &Origin) -> impl Fn(ExpandError) -> NodeError + '_ {
    move |e| NodeError::Source {
        from: origin.to_string(),
        what: e.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(text: &str) -> Result<Vec<Item>, String> {
        let origin: Origin = text.parse().unwrap();
        expand(&origin).map_err(|e| failed(&origin)(e).to_string())
    }

    #[test]
    fn folders_patterns_and_lists() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("deep")).unwrap();
        for name in [
            "b.mp4",
            "a.PNG",
            "c.jpg",
            ".d.jpg",
            "notes.md",
            "deep/e.jpg",
            "a.avi",
        ] {
            fs::write(at(name), "").unwrap();
        }
        let pictures = |names: &[&str]| Item::Pictures(names.iter().map(|n| at(n)).collect());
        let video = |name: &str| Item::Stream(StreamOrigin::Video(at(name)));
        let folder = dir.path().display().to_string();
        let all = vec![
            pictures(&["a.PNG", "c.jpg"]),
            video("a.avi"),
            video("b.mp4"),
        ];
        assert_eq!(items(&folder).unwrap(), all);
        let deep = items(&format!("{folder}/**/*.jpg")).unwrap();
        let Item::Pictures(deep) = &deep[0] else {
            panic!("pictures")
        };
        assert!(deep.contains(&at("c.jpg")) && deep.contains(&at("deep/e.jpg")));
        // A list keeps its order, and finds what lies beside it.
        fs::write(
            at("list.txt"),
            "c.jpg\n\n# no\nb.mp4\ndeep/e.jpg\nmissing.jpg\n",
        )
        .unwrap();
        let listed = items(&format!("{folder}/list.txt")).unwrap();
        let last = Item::Pictures(vec![at("deep/e.jpg"), "missing.jpg".into()]);
        assert_eq!(listed, [pictures(&["c.jpg"]), video("b.mp4"), last]);
        fs::write(at("list.csv"), "c.jpg, a.PNG\n").unwrap();
        assert_eq!(
            items(&format!("{folder}/list.csv")).unwrap(),
            [pictures(&["c.jpg", "a.PNG"])]
        );
        fs::write(
            at("cams.streams"),
            "front=rtsp://a/b udp://:5000\n# c\ntest:\n",
        )
        .unwrap();
        let list: Origin = format!("{folder}/cams.streams").parse().unwrap();
        let found = streams(&list).unwrap().unwrap();
        assert_eq!(found.len(), 3);
        assert_eq!(found[0].name.as_ref().unwrap().as_str(), "front");
    }

    #[test]
    fn what_leads_nowhere_says_what_may_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().display().to_string();
        fs::write(dir.path().join("empty.txt"), "\n").unwrap();
        for (text, words) in [
            (format!("{folder}/none.jpg"), "none.jpg: nothing is there"),
            (folder.clone(), "no picture or video"),
            (format!("{folder}/*.mp4"), "no picture or video"),
            (format!("{folder}/empty.txt"), "one path a line"),
            ("v4l2:/dev/none".into(), "no such camera"),
        ] {
            let e = items(&text).unwrap_err();
            assert!(e.contains(words), "{text}: {e}");
        }
        let bad = dir.path().join("bad.streams");
        fs::write(&bad, "test:\nrstp://a\n").unwrap();
        let origin: Origin = bad.display().to_string().parse().unwrap();
        let e = streams(&origin).unwrap_err().to_string();
        assert!(e.starts_with("line 2: rstp"), "{e}");
    }
}
