//! The command line of ffmpeg for a stream.
//!
//! What a URL says in secret does not go there, where `ps` shows it to everybody: ffmpeg reads such a URL from its
//! standard input, as the only file of a list.

use std::{
    ffi::OsString,
    fmt::Write as _,
    io::ErrorKind,
    process::{Command, Stdio},
    time::Duration,
};

use super::StreamOrigin;
use crate::error::NodeError;
use tessera_plan::files::sources::{Keep, StreamUrl};

/// Time without a frame after which a stream counts as still, if nobody says otherwise.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Time until the first frame: cameras take a while to begin.
const FIRST_TIMEOUT: Duration = Duration::from_secs(15);
/// Time without a frame of a file, whose decoder may have much to do.
const FILE_TIMEOUT: Duration = Duration::from_secs(120);
/// Protocols that a stream with a secret may use.
const WHITELIST: &str =
    "crypto,data,http,https,httpproxy,pipe,rtmp,rtmps,rtmpt,rtp,rtsp,rtsps,srt,srtp,tcp,tls,udp";

/// The ffmpeg of this board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ffmpeg {
    /// The first number of its version; a build without one counts as the newest.
    major: u32,
}

impl Ffmpeg {
    /// Looks for ffmpeg.
    ///
    /// # Errors
    /// When it is not installed, or does not run.
    pub fn find() -> Result<Self, NodeError> {
        let out = Command::new("ffmpeg")
            .arg("-version")
            .stdin(Stdio::null())
            .output();
        let out = out.map_err(|e| match e.kind() {
            ErrorKind::NotFound => NodeError::NoFfmpeg,
            _ => NodeError::io("cannot start ffmpeg")(e),
        })?;
        Ok(Self {
            major: major(&String::from_utf8_lossy(&out.stdout)),
        })
    }
}

/// `ffmpeg version 5.1.6-0+deb12u1 Copyright ..`, or `n7.1`, or a build's own name.
fn major(text: &str) -> u32 {
    let word = text.split_whitespace().nth(2).unwrap_or_default();
    let digits = word.trim_start_matches('n');
    let digits = digits.split('.').next().unwrap_or_default();
    digits.parse().ok().filter(|m| *m < 100).unwrap_or(99)
}

/// What is to be read, and how.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// From where.
    pub how: StreamOrigin,
    /// `[h, w, c]` of the network's input.
    pub size: [usize; 3],
    /// Keep the pictures' shape, with grey bars.
    pub letterbox: bool,
    /// Most frames per second.
    pub fps: Option<f64>,
    /// What becomes of frames that come too fast.
    pub keep: Keep,
    /// Time without a frame after which the stream is begun anew.
    pub timeout: Option<Duration>,
}

impl Recipe {
    /// Bytes of a frame.
    pub const fn frame_bytes(&self) -> usize {
        self.size[0] * self.size[1] * self.size[2]
    }

    /// How long to wait for a frame; `None`: for ever.
    pub fn patience(&self, is_first: bool) -> Option<Duration> {
        // Whoever types or sends pictures takes the time that it takes.
        if self.how == StreamOrigin::Input {
            return self.timeout;
        }
        let usual = match self.how.is_file() {
            true => FILE_TIMEOUT,
            false => TIMEOUT,
        };
        let ten_frames = self
            .fps
            .map_or(Duration::ZERO, |f| Duration::from_secs_f64(10.0 / f));
        let timeout = self.timeout.unwrap_or_else(|| usual.max(ten_frames));
        Some(match (is_first, self.timeout) {
            (true, None) => timeout.max(FIRST_TIMEOUT),
            _ => timeout,
        })
    }
}

/// What a process gets as its standard input.
#[derive(Clone, PartialEq, Eq)]
pub enum Fed {
    /// Nothing.
    Nothing,
    /// A text.
    Text(String),
    /// The node's own.
    Inherited,
    /// The output of this command.
    Command(Vec<OsString>),
}

/// A command to start.
#[derive(Clone, PartialEq, Eq)]
pub struct Line {
    /// Program and arguments.
    pub words: Vec<OsString>,
    /// Standard input.
    pub fed: Fed,
}

/// The command that writes the frames of `recipe` to its standard output, byte behind byte.
pub fn line(recipe: &Recipe, ffmpeg: Ffmpeg) -> Line {
    let [h, w, c] = recipe.size;
    let mut words: Vec<OsString> = vec!["ffmpeg".into()];
    let mut add = |text: &str| words.extend(text.split_whitespace().map(OsString::from));
    // The scale filter says at this level what size it scales from.
    add("-nostdin -hide_banner -nostats -loglevel level+verbose");
    let mut fed = Fed::Nothing;
    match &recipe.how {
        StreamOrigin::Video(path) => {
            if recipe.keep == Keep::Newest {
                add("-re");
            }
            add("-i");
            // So that a name may begin with a dash, or look like a URL.
            let mut file = OsString::from("file:");
            file.push(path);
            words.push(file);
        }
        StreamOrigin::Device(device) => {
            add("-f v4l2 -i");
            words.push(device.into());
        }
        StreamOrigin::Pi(number) => {
            let command = format!(
                "rpicam-vid --camera {number} --timeout 0 --nopreview --codec mjpeg --width 1280 --height 720 --output -"
            );
            fed = Fed::Command(command.split_whitespace().map(OsString::from).collect());
            add("-f mjpeg -use_wallclock_as_timestamps 1 -i pipe:0");
        }
        StreamOrigin::Input => {
            fed = Fed::Inherited;
            add("-i pipe:0");
        }
        StreamOrigin::Test(t) => {
            add("-re -f lavfi -i");
            words.push(format!("testsrc2=size={}x{}:rate={}", t.width, t.height, t.fps).into());
        }
        StreamOrigin::Url(url) => {
            let options = url_options(url, recipe, ffmpeg);
            if url.is_secret() {
                add("-f concat -safe 0 -protocol_whitelist");
                words.push(WHITELIST.into());
                words.extend(["-i".into(), "pipe:0".into()]);
                fed = Fed::Text(list(url, &options));
            } else {
                for (key, value) in options {
                    words.extend([format!("-{key}").into(), value.into()]);
                }
                words.extend(["-i".into(), url.secret().into()]);
            }
        }
    }
    let mut add = |text: &str| words.extend(text.split_whitespace().map(OsString::from));
    add("-map 0:v:0 -an -sn -dn -vf");
    let format = if c == 1 { "gray" } else { "rgb24" };
    words.push(filters(recipe, [h, w], format).into());
    let mut add = |text: &str| words.extend(text.split_whitespace().map(OsString::from));
    // Every frame once, whatever the file says of its rate.
    add(if ffmpeg.major < 5 {
        "-vsync passthrough"
    } else {
        "-fps_mode passthrough"
    });
    add("-f rawvideo -pix_fmt");
    add(format);
    add("pipe:1");
    Line { words, fed }
}

/// Options of a URL's input.
fn url_options(url: &StreamUrl, recipe: &Recipe, ffmpeg: Ffmpeg) -> Vec<(&'static str, String)> {
    let scheme = url.scheme();
    let mut options = Vec::new();
    let mut add = |key, value: &str| options.push((key, value.to_owned()));
    let timeout = recipe.timeout.unwrap_or(TIMEOUT).as_micros().to_string();
    match scheme.as_str() {
        "rtsp" | "rtsps" => {
            add("rtsp_transport", "tcp");
            let key = if ffmpeg.major < 5 {
                "stimeout"
            } else {
                "timeout"
            };
            add(key, &timeout);
        }
        "http" | "https" | "tcp" => add("rw_timeout", &timeout),
        _ => {}
    }
    if !recipe.how.is_file() {
        add("fflags", "nobuffer+discardcorrupt");
        add("use_wallclock_as_timestamps", "1");
    }
    options
}

/// A list whose only file is the URL.
fn list(url: &StreamUrl, options: &[(&'static str, String)]) -> String {
    let mut text = format!(
        "ffconcat version 1.0\nfile '{}'\n",
        url.secret().replace('\'', r"'\''")
    );
    for (key, value) in options {
        let _ = writeln!(text, "option {key} {value}");
    }
    text
}

/// From the decoder's pictures to the network's input.
fn filters(recipe: &Recipe, [h, w]: [usize; 2], format: &str) -> String {
    let mut text = String::new();
    if let Some(fps) = recipe.fps {
        // A little less than the period: frames of a camera do not come on the dot.
        let period = 0.98 / fps;
        let _ = write!(
            text,
            "select='isnan(prev_selected_t)+gte(t-prev_selected_t,{period})',"
        );
    }
    if recipe.letterbox {
        // As `tessera_picture::letterbox_size`.
        let _ = write!(
            text,
            "scale=w='if(lt({w}/iw,{h}/ih),{w},max(1,trunc(iw*{h}/ih)))':h='if(lt({w}/iw,{h}/ih),max(1,trunc(ih*{w}/iw)),{h})'\
             :flags=bilinear,format={format},pad={w}:{h}:trunc((ow-iw)/2):trunc((oh-ih)/2):color=0x808080"
        );
    } else {
        let _ = write!(text, "scale={w}:{h}:flags=bilinear,format={format}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use tessera_plan::files::sources::Origin;

    fn recipe(text: &str) -> Recipe {
        let how = match text.parse().unwrap() {
            Origin::Url(url) => StreamOrigin::Url(url),
            Origin::Path(path) => StreamOrigin::Video(path.into()),
            Origin::Pi(n) => StreamOrigin::Pi(n),
            other => panic!("{other}"),
        };
        Recipe {
            keep: how.usual_keep(),
            how,
            size: [32, 64, 3],
            letterbox: false,
            fps: None,
            timeout: None,
        }
    }

    fn shown(line: &Line) -> String {
        let words: Vec<_> = line.words.iter().map(|w| w.to_string_lossy()).collect();
        words.join(" ")
    }

    #[test]
    fn secrets_are_on_no_command_line() {
        let new = Ffmpeg { major: 7 };
        let made = line(&recipe("rtsp://me:it's@cam/live"), new);
        assert!(!shown(&made).contains("it's") && !shown(&made).contains("cam"));
        let Fed::Text(text) = made.fed else {
            panic!("a text");
        };
        assert!(
            text.contains(r"file 'rtsp://me:it'\''s@cam/live'"),
            "{text}"
        );
        assert!(text.contains("option rtsp_transport tcp\noption timeout 5000000\n"));
        let open = line(&recipe("rtsp://cam/live"), new);
        assert!(shown(&open).contains("-rtsp_transport tcp -timeout 5000000"));
        assert!(shown(&open).contains("-i rtsp://cam/live") && open.fed == Fed::Nothing);
        let old = line(&recipe("rtsp://cam/live"), Ffmpeg { major: 4 });
        assert!(
            shown(&old).contains("-stimeout 5000000") && shown(&old).contains("-vsync passthrough")
        );
    }

    #[test]
    fn files_are_read_as_they_are_and_cameras_as_they_come() {
        let new = Ffmpeg { major: 7 };
        let video = shown(&line(&recipe("-a.mp4"), new));
        assert!(video.contains("-i file:-a.mp4") && !video.contains("-re"));
        assert!(
            video.ends_with("-f rawvideo -pix_fmt rgb24 pipe:1"),
            "{video}"
        );
        let mut paced = recipe("a.mp4");
        paced.keep = Keep::Newest;
        paced.fps = Some(4.0);
        paced.letterbox = true;
        let paced = shown(&line(&paced, new));
        assert!(paced.contains(" -re -i ") && paced.contains("gte(t-prev_selected_t,0.245)"));
        assert!(paced.contains("pad=64:32:"));
        let pi = line(&recipe("pi:1"), new);
        assert!(
            matches!(pi.fed, Fed::Command(words) if words[0] == "rpicam-vid" && words[2] == "1")
        );
        assert!(
            recipe("http://a/b.mp4?x=1").how.is_file()
                && !recipe("http://a/b.mjpg/x").how.is_file()
        );
    }

    #[test]
    fn patience_is_for_ten_frames() {
        let mut slow = recipe("rtsp://cam/live");
        assert_eq!(slow.patience(false), Some(TIMEOUT));
        assert_eq!(slow.patience(true), Some(FIRST_TIMEOUT));
        slow.fps = Some(0.1);
        assert_eq!(slow.patience(false), Some(Duration::from_secs(100)));
        slow.timeout = Some(Duration::from_secs(2));
        assert_eq!(slow.patience(true), Some(Duration::from_secs(2)));
    }

    #[test]
    fn versions_of_all_kinds() {
        for (text, expected) in [
            ("ffmpeg version 4.3.8-0+deb11u1 Copyright", 4),
            ("ffmpeg version n7.1 Copyright", 7),
            ("ffmpeg version N-118000-g1234567 Copyright", 99),
            ("ffmpeg version 2025-01-02-git-1234 Copyright", 99),
            ("", 99),
        ] {
            assert_eq!(major(text), expected, "{text}");
        }
    }
}
