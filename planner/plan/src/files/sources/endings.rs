//! What the ending of a file's name says of it.

/// Endings of pictures that nodes decode themselves.
pub const PICTURES: [&str; 8] = ["bmp", "jpeg", "jpg", "pbm", "pgm", "png", "pnm", "ppm"];
/// Endings of videos, and of pictures that ffmpeg decodes.
pub const VIDEOS: [&str; 19] = [
    "asf", "avi", "flv", "gif", "m2ts", "m4v", "mjpeg", "mjpg", "mkv", "mov", "mp4", "mpeg", "mpg",
    "tif", "tiff", "ts", "webm", "webp", "wmv",
];

/// The ending of a path in small letters; `None` without one.
pub fn ending(path: &str) -> Option<String> {
    let name = path.rsplit('/').next()?;
    let (stem, ending) = name.rsplit_once('.')?;
    (!stem.is_empty()).then(|| ending.to_ascii_lowercase())
}
