//! What ffmpeg reads a stream from, and what follows from that.

use std::{fmt, path::PathBuf};

use tessera_plan::files::sources::{Keep, SourceName, StreamUrl, TestPicture};

/// Where a stream comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamOrigin {
    /// A file.
    Video(PathBuf),
    /// A camera that Linux shows as a file.
    Device(String),
    /// A camera at a Raspberry Pi's ribbon cable.
    Pi(u8),
    /// A stream, or a file, over a network.
    Url(StreamUrl),
    /// Standard input.
    Input,
    /// A moving test picture.
    Test(TestPicture),
}

impl StreamOrigin {
    /// True if it has an end, so that it is not begun anew, and all of its frames are wanted.
    pub fn is_file(&self) -> bool {
        match self {
            Self::Video(_) | Self::Input => true,
            Self::Url(url) => url.is_file(),
            Self::Device(_) | Self::Pi(_) | Self::Test(_) => false,
        }
    }

    /// What becomes of frames that come too fast, if nobody says otherwise.
    pub fn usual_keep(&self) -> Keep {
        if self.is_file() {
            Keep::All
        } else {
            Keep::Newest
        }
    }

    /// A name for it.
    pub fn name(&self) -> SourceName {
        match self {
            Self::Video(path) => {
                SourceName::made_of(&path.file_stem().unwrap_or_default().to_string_lossy())
            }
            Self::Device(device) => SourceName::made_of(device.trim_start_matches("/dev/")),
            Self::Pi(0) => SourceName::made_of("pi"),
            Self::Pi(number) => SourceName::made_of(&format!("pi-{number}")),
            Self::Url(url) => SourceName::made_of(url.host()),
            Self::Input => SourceName::made_of("input"),
            Self::Test(_) => SourceName::made_of("test"),
        }
    }

    /// What its failure is about.
    pub fn file_name(&self) -> String {
        self.to_string()
    }

    /// The name of its frame `number`: none for cameras, whose frames lie nowhere.
    pub fn frame_name(&self, number: u64) -> String {
        if self.is_file() {
            format!("{self}#{number:06}")
        } else {
            String::new()
        }
    }
}

impl fmt::Display for StreamOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Video(path) => write!(f, "{}", path.display()),
            Self::Device(device) => f.write_str(device),
            Self::Pi(number) => write!(f, "pi:{number}"),
            Self::Url(url) => url.fmt(f),
            Self::Input => f.write_str("standard input"),
            Self::Test(t) => write!(f, "test:{}x{}@{}", t.width, t.height, t.fps),
        }
    }
}
