//! What people write about where frames come from: on command lines (`--source front=rtsp://camera/live`) and under
//! `[[source]]` in `cluster.toml`.
//!
//! Reading a text touches no file: whether a path leads to a picture, a video, a folder or a list is seen by the node that has it.

pub mod endings;
mod origin;
mod url;

use std::{fmt, str::FromStr};

use serde::Deserialize;

use self::url::SCHEMES;
pub use self::{
    origin::{Origin, TestPicture},
    url::{StreamUrl, mask_all},
};

/// Most sources of a node.
pub const SOURCES_MAX: usize = 16;
/// Most bytes of a source's name.
pub const NAME_BYTES_MAX: usize = 24;
/// Greatest rate limit, in frames per second.
pub const FPS_MAX: f64 = 1000.0;
/// Greatest time-out of a stream, in seconds.
pub const TIMEOUT_S_MAX: f64 = 3600.0;

/// Why a text says no source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// There is no text, or far too much.
    #[error("a source is a text of 1 to 4096 bytes, without line breaks")]
    Length,
    /// No such kind of stream.
    #[error("{0}:// is no kind of stream; known are {known}", known = SCHEMES.join("://, "))]
    Scheme(String),
    /// A URL without a host.
    #[error("{0}:// needs a host behind it, as in {0}://camera.local/live")]
    NoHost(String),
    /// A camera that has no such number.
    #[error("{0} is no number of a camera; give 0 for /dev/video0, up to 255")]
    Camera(String),
    /// `v4l2:` without a device.
    #[error("v4l2: needs a device behind it, as in v4l2:/dev/video0")]
    Device,
    /// `test:` with something else behind it.
    #[error(
        "test:{0}: give test:, or test:WIDTHxHEIGHT@FPS as in test:640x480@10, up to 4096 pixels a side"
    )]
    Test(String),
    /// A screen.
    #[error("screen: boards of a cluster have no screen; give a camera, a file or a URL")]
    Screen,
    /// A name that is none.
    #[error(
        "{0:?} is no name of a source; names have 1 to 24 letters, digits, - and _, and begin with a letter"
    )]
    Name(String),
    /// No number of frames per second.
    #[error("{0} is no rate; give frames per second above 0 and up to 1000")]
    Fps(String),
    /// No time.
    #[error("{0} is no time-out; give seconds from 0.1 to 3600")]
    Timeout(String),
    /// No threshold.
    #[error("{0} is no threshold; give a number from 0 to 1")]
    Threshold(String),
    /// Neither all nor newest.
    #[error("{0:?}: give all (no frame is left out) or newest (frames that come too fast are)")]
    Keep(String),
}

/// A source's name: a letter, then letters, digits, `-` and `_`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct SourceName(String);

impl SourceName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name out of any text, for a source that was given none.
    pub fn made_of(text: &str) -> Self {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let mut name: String = text.chars().map(plain).collect();
        while name.contains("--") {
            name = name.replace("--", "-");
        }
        let mut name = name.trim_matches('-').to_owned();
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            name.insert_str(0, "source-");
        }
        name.truncate(NAME_BYTES_MAX);
        Self(name.trim_end_matches('-').to_owned())
    }

    /// This name with a number behind it, which tells it from others.
    #[must_use]
    pub fn numbered(&self, number: usize) -> Self {
        let end = format!("-{number}");
        let mut name = self.0.clone();
        name.truncate(NAME_BYTES_MAX - end.len());
        Self(name + &end)
    }
}

impl FromStr for SourceName {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let is_name = (1..=NAME_BYTES_MAX).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.chars().all(plain);
        if is_name {
            Ok(Self(text.into()))
        } else {
            Err(SourceError::Name(text.into()))
        }
    }
}

impl TryFrom<String> for SourceName {
    type Error = SourceError;

    fn try_from(text: String) -> Result<Self, SourceError> {
        text.parse()
    }
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `VALUE`, or `NAME=VALUE` for the source of that name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named<T> {
    /// The source that is meant; `None`: all of them, or one that has no name.
    pub name: Option<SourceName>,
    /// The value.
    pub value: T,
}

impl<T: FromStr<Err = SourceError>> FromStr for Named<T> {
    type Err = SourceError;

    /// What stands before the first `=` is a name if it looks like one: `./a=b.jpg` is a file.
    fn from_str(text: &str) -> Result<Self, SourceError> {
        if let Some((name, value)) = text.split_once('=')
            && let Ok(name) = name.parse()
        {
            return Ok(Self {
                name: Some(name),
                value: value.parse()?,
            });
        }
        Ok(Self {
            name: None,
            value: text.parse()?,
        })
    }
}

/// Sets what a flag says of all sources, then what it says of those of a name, so that this stands.
///
/// # Errors
/// The first name that no source has.
pub fn apply<'v, S, T: Copy>(
    sources: &mut [S],
    values: &'v [Named<T>],
    name_of: impl Fn(&S) -> Option<&SourceName>,
    set: impl Fn(&mut S, T),
) -> Result<(), &'v SourceName> {
    for value in values.iter().filter(|v| v.name.is_none()) {
        sources.iter_mut().for_each(|s| set(s, value.value));
    }
    for value in values {
        let Some(name) = &value.name else { continue };
        let mut meant = sources
            .iter_mut()
            .filter(|s| name_of(s) == Some(name))
            .peekable();
        meant.peek().ok_or(name)?;
        meant.for_each(|s| set(s, value.value));
    }
    Ok(())
}

/// A number within bounds, which an error of its own describes.
macro_rules! bounded {
    ($(#[$doc:meta])* $name:ident, $from:expr, $to:expr, $error:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Deserialize)]
        #[serde(try_from = "f64")]
        pub struct $name(f64);

        impl $name {
            /// The number.
            pub const fn get(self) -> f64 {
                self.0
            }
        }

        impl TryFrom<f64> for $name {
            type Error = SourceError;

            fn try_from(number: f64) -> Result<Self, SourceError> {
                if ($from..=$to).contains(&number) {
                    Ok(Self(number))
                } else {
                    Err(SourceError::$error(number.to_string()))
                }
            }
        }

        impl FromStr for $name {
            type Err = SourceError;

            fn from_str(text: &str) -> Result<Self, SourceError> {
                let number: Result<f64, _> = text.parse();
                number
                    .map_err(|_| SourceError::$error(text.into()))?
                    .try_into()
                    .map_err(|_| SourceError::$error(text.into()))
            }
        }
    };
}

bounded!(
    /// A rate limit, in frames per second.
    Fps, 0.001, FPS_MAX, Fps
);
bounded!(
    /// Time without a frame after which a stream is begun anew, in seconds.
    TimeoutS, 0.1, TIMEOUT_S_MAX, Timeout
);
bounded!(
    /// A score threshold.
    Threshold, 0.0, 1.0, Threshold
);

/// What becomes of frames that come faster than the cluster computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Keep {
    /// Every frame is computed; the source waits.
    All,
    /// The newest frame is computed; those before it are left out.
    Newest,
}

impl FromStr for Keep {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        match text {
            "all" => Ok(Self::All),
            "newest" => Ok(Self::Newest),
            _ => Err(SourceError::Keep(text.into())),
        }
    }
}

impl TryFrom<String> for Keep {
    type Error = SourceError;

    fn try_from(text: String) -> Result<Self, SourceError> {
        text.parse()
    }
}

/// The sources of a file, whatever else it has: `cluster.toml`, or a file of sources alone.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct SourceFile {
    /// In the order of the file.
    #[serde(default)]
    pub source: Vec<SourceEntry>,
}

/// `[[source]]` of `cluster.toml`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceEntry {
    /// Its name.
    pub name: SourceName,
    /// The board that reads it; none: the only board that is a source.
    pub board: Option<String>,
    /// Where frames come from.
    pub from: Origin,
    /// Most frames per second.
    pub fps: Option<Fps>,
    /// What becomes of frames that come too fast; none: all of files, the newest of cameras and streams.
    pub keep: Option<Keep>,
    /// Keep the pictures' shape; none: as the network was trained, or `--letterbox` says.
    pub letterbox: Option<bool>,
    /// Boxes that score above it are reported; none: the gateway's `--thresh`.
    pub thresh: Option<Threshold>,
    /// Time without a frame after which a stream is begun anew.
    pub timeout: Option<TimeoutS>,
}

impl SourceEntry {
    /// Keys of the table.
    pub const KEYS: [&'static str; 8] = [
        "board",
        "fps",
        "from",
        "keep",
        "letterbox",
        "name",
        "thresh",
        "timeout",
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        text.parse().unwrap()
    }

    #[test]
    fn texts_say_where_frames_come_from() {
        let device = |d: &str| Origin::Device(d.into());
        for (text, expected) in [
            ("0", device("/dev/video0")),
            ("12", device("/dev/video12")),
            ("v4l2:/dev/video3", device("/dev/video3")),
            ("pi:", Origin::Pi(0)),
            ("pi:1", Origin::Pi(1)),
            ("-", Origin::Input),
            ("a.jpg", Origin::Path("a.jpg".into())),
            ("clips/", Origin::Path("clips/".into())),
            ("./0", Origin::Path("./0".into())),
            ("a/**/*.jpg", Origin::Pattern("a/**/*.jpg".into())),
            ("test:", Origin::Test(TestPicture::default())),
        ] {
            assert_eq!(origin(text), expected, "{text}");
        }
        let test = |width, height, fps| Origin::Test(TestPicture { width, height, fps });
        assert_eq!(origin("test:320x240"), test(320, 240, 25));
        assert_eq!(origin("test:@5"), test(640, 480, 5));
        assert_eq!(origin("test:320x240@5"), test(320, 240, 5));
        let Origin::Url(url) = origin("RTSP://cam.local:554/live") else {
            panic!("a URL");
        };
        assert_eq!((url.host(), url.scheme().as_str()), ("cam.local", "rtsp"));
        assert!(!url.is_secret());
        assert!(matches!(origin("udp://:5000"), Origin::Url(_)));
    }

    #[test]
    fn mistakes_say_what_to_do() {
        for (text, words) in [
            ("", "1 to 4096"),
            ("a\nb", "line breaks"),
            ("256", "/dev/video0"),
            ("v4l2:", "v4l2:/dev/video0"),
            ("pi:x", "no number"),
            ("rstp://cam/live", "known are http://, https"),
            ("rtsp://", "rtsp://camera.local/live"),
            ("screen 0", "no screen"),
            ("test:640", "test:640x480@10"),
            ("test:9999x10", "4096 pixels"),
            ("test:@0", "test:640x480@10"),
        ] {
            let e = text.parse::<Origin>().unwrap_err().to_string();
            assert!(e.contains(words), "{text}: {e}");
        }
        for text in ["0", "-", "1000.5", "nan", "x"] {
            assert!(text.parse::<Fps>().is_err(), "{text}");
        }
        assert!("2".parse::<Threshold>().is_err() && "0".parse::<TimeoutS>().is_err());
    }

    #[test]
    fn names_stand_before_the_first_equals_sign() {
        let named = |text: &str| text.parse::<Named<Origin>>().unwrap();
        let front = named("front=rtsp://cam/live?a=b");
        assert_eq!(front.name.unwrap().as_str(), "front");
        assert!(matches!(front.value, Origin::Url(_)));
        for text in ["rtsp://cam/live?a=b", "./a=b.jpg", "9=a.jpg", "a b=c.jpg"] {
            assert_eq!(named(text).name, None, "{text}");
        }
        assert_eq!("front=5".parse::<Named<Fps>>().unwrap().value.get(), 5.0);
        assert!("front=x".parse::<Named<Fps>>().is_err());
    }

    #[test]
    fn made_names_are_names() {
        for (text, name) in [
            ("cam.local", "cam-local"),
            ("192.168.1.5", "source-192-168-1-5"),
            ("[fd00::1]", "fd00-1"),
            ("", "source"),
            ("-", "source"),
            ("/dev/video0", "dev-video0"),
        ] {
            let made = SourceName::made_of(text);
            assert_eq!(made.as_str(), name);
            assert_eq!(made.as_str().parse::<SourceName>().unwrap(), made);
        }
        let long = SourceName::made_of(&"x".repeat(99)).numbered(12);
        assert_eq!(long.as_str().len(), NAME_BYTES_MAX);
        assert!(long.as_str().parse::<SourceName>().is_ok());
    }

    #[test]
    fn a_text_says_the_same_again() {
        for text in [
            "0",
            "v4l2:/dev/x",
            "pi:1",
            "-",
            "a b.jpg",
            "rtsp://a:b@c/d?e",
            "test:@5",
            "*.jpg",
        ] {
            let read = origin(text);
            assert_eq!(origin(&read.secret()), read, "{text}");
        }
        for (text, endless) in [
            ("0", true),
            ("rtsp://a/b.mp4", true),
            ("http://a/b.MP4?x=y", false),
            ("https://a/b.jpg#c", false),
            ("http://a/mjpg/video.cgi?file=b.mp4", true),
            ("a.mp4", false),
            ("-", false),
        ] {
            assert_eq!(origin(text).is_endless(), endless, "{text}");
        }
        assert_eq!(endings::ending("a.b/c"), None);
        assert_eq!(endings::ending("a/.jpg"), None);
        assert_eq!(endings::ending("a/b.JPG").as_deref(), Some("jpg"));
    }

    #[test]
    fn what_is_shown_has_no_secret() {
        let Origin::Url(url) = origin("rtsp://me:p%40ss@cam:554/live?token=abcd&x=1") else {
            panic!("a URL");
        };
        let shown = "rtsp://***@cam:554/live?***";
        assert_eq!(url.to_string(), shown);
        assert!(format!("{url:?} {}", Origin::Url(url.clone())).contains(shown));
        assert_eq!(url.host(), "cam");
        assert!(url.is_secret() && url.secret().contains("p%40ss"));
        let text =
            "Input #0 from 'rtsp://me:p%40ss@cam:554/live?token=abcd&x=1': p%40ss, token=abcd&x=1";
        let masked = url.masked(text);
        assert!(
            !masked.contains("p%40ss") && !masked.contains("abcd"),
            "{masked}"
        );
        assert!(
            masked.starts_with("Input #0 from 'rtsp://***@cam:554/live?***'"),
            "{masked}"
        );
        let line = "3 | from = \"rstp://me:pw@cam/a?k=v\" # http://x/ and 'http://a@b'";
        let shown = "3 | from = \"rstp://***@cam/a?***\" # http://x/ and 'http://***@b'";
        assert_eq!(mask_all(line), shown);
        // An `@` behind the host is no login; a short password stands in many words.
        let Origin::Url(plain) = origin("http://cam/a@b") else {
            panic!("a URL");
        };
        assert_eq!(plain.to_string(), "http://cam/a@b");
        let Origin::Url(short) = origin("http://a:b@cam/") else {
            panic!("a URL");
        };
        assert_eq!(
            short.masked("a bad http://a:b@cam/x"),
            "a bad http://***@cam/x"
        );
    }
}
