//! Where frames come from, as people write it.

use std::{fmt, str::FromStr};

use serde::Deserialize;

use super::{SourceError, StreamUrl, url::SCHEMES};

/// Most bytes of an origin.
const ORIGIN_BYTES_MAX: usize = 4096;
/// Largest width or height of a test picture.
const TEST_PX_MAX: u32 = 4096;

/// Where frames come from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Origin {
    /// A path to a picture, a video, a folder, or a list of such.
    Path(String),
    /// Paths with `*`, `**` or `?`.
    Pattern(String),
    /// A camera that Linux shows as a file.
    Device(String),
    /// A camera at a Raspberry Pi's ribbon cable, by its number.
    Pi(u8),
    /// A stream over a network.
    Url(StreamUrl),
    /// Standard input: a video, or pictures one behind the other.
    Input,
    /// A drawn and moving test picture.
    Test(TestPicture),
}

/// A test picture's size and rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestPicture {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Frames per second.
    pub fps: u32,
}

impl Default for TestPicture {
    fn default() -> Self {
        Self {
            width: 640,
            height: 480,
            fps: 25,
        }
    }
}

impl FromStr for Origin {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        if text.is_empty() || text.len() > ORIGIN_BYTES_MAX || text.contains(['\n', '\r', '\0']) {
            return Err(SourceError::Length);
        }
        if text == "-" {
            return Ok(Self::Input);
        }
        if text.bytes().all(|b| b.is_ascii_digit()) {
            let number: Result<u8, _> = text.parse();
            let number = number.map_err(|_| SourceError::Camera(text.into()))?;
            return Ok(Self::Device(format!("/dev/video{number}")));
        }
        if text == "screen" || text.starts_with("screen ") {
            return Err(SourceError::Screen);
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            let known = SCHEMES.contains(&scheme.to_ascii_lowercase().as_str());
            if !known {
                return Err(SourceError::Scheme(scheme.into()));
            }
            let url = StreamUrl::new(text.into(), scheme.len() + 3);
            // Listening for a sender takes no host: udp://:5000.
            if rest.is_empty() || (url.host().is_empty() && !rest.contains(':')) {
                return Err(SourceError::NoHost(scheme.into()));
            }
            return Ok(Self::Url(url));
        }
        if let Some(device) = text.strip_prefix("v4l2:") {
            let device = Some(device).filter(|d| !d.is_empty());
            return device
                .map(|d| Self::Device(d.into()))
                .ok_or(SourceError::Device);
        }
        if let Some(number) = text.strip_prefix("pi:") {
            let number = if number.is_empty() { "0" } else { number };
            let number = number.parse().ok();
            return number
                .map(Self::Pi)
                .ok_or_else(|| SourceError::Camera(text.into()));
        }
        if let Some(size) = text.strip_prefix("test:") {
            return test_picture(size)
                .map(Self::Test)
                .ok_or_else(|| SourceError::Test(size.into()));
        }
        if text.contains(['*', '?']) {
            return Ok(Self::Pattern(text.into()));
        }
        Ok(Self::Path(text.into()))
    }
}

impl Origin {
    /// The text that says this, with its secrets: for whoever opens the source and nobody else.
    pub fn secret(&self) -> String {
        match self {
            Self::Url(url) => url.secret().into(),
            Self::Device(device) => format!("v4l2:{device}"),
            Self::Input => "-".into(),
            other => other.to_string(),
        }
    }

    /// True if frames come until somebody ends it.
    pub fn is_endless(&self) -> bool {
        match self {
            Self::Device(_) | Self::Pi(_) | Self::Test(_) => true,
            Self::Url(url) => !url.is_file(),
            Self::Path(_) | Self::Pattern(_) | Self::Input => false,
        }
    }
}

impl TryFrom<String> for Origin {
    type Error = SourceError;

    fn try_from(text: String) -> Result<Self, SourceError> {
        text.parse()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) | Self::Pattern(path) => f.write_str(path),
            Self::Device(device) => f.write_str(device),
            Self::Pi(number) => write!(f, "pi:{number}"),
            Self::Url(url) => url.fmt(f),
            Self::Input => f.write_str("standard input"),
            Self::Test(t) => write!(f, "test:{}x{}@{}", t.width, t.height, t.fps),
        }
    }
}

/// `WIDTHxHEIGHT`, `@FPS`, both or nothing.
fn test_picture(text: &str) -> Option<TestPicture> {
    let mut picture = TestPicture::default();
    let (size, fps) = text.split_once('@').unwrap_or((text, ""));
    if text.contains('@') {
        picture.fps = fps.parse().ok().filter(|f| (1..=1000).contains(f))?;
    }
    if !size.is_empty() {
        let (width, height) = size.split_once('x')?;
        let side = |s: &str| s.parse().ok().filter(|px| (16..=TEST_PX_MAX).contains(px));
        (picture.width, picture.height) = (side(width)?, side(height)?);
    }
    Some(picture)
}
