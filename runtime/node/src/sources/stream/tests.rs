//! Streams of a real ffmpeg: videos that it made, test pictures, cameras on loopback.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tessera_needs::needs;
use tessera_plan::{element::ElementType, files::sources::Origin};
use tessera_runtime::arena::AlignedBytes;

use super::*;

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

static NETWORK: TensorSpec = TensorSpec {
    layer: -1,
    h: 32,
    w: 32,
    c: 3,
    element: ElementType::U8,
    scales: None,
};

/// A stream, its bell and its counts.
struct Rig {
    stream: Stream,
    bell: Bell,
    counts: Arc<Counts>,
    pixels: AlignedBytes,
}

impl Rig {
    fn new(how: StreamOrigin, change: impl Fn(&mut Recipe)) -> Self {
        let mut recipe = Recipe {
            keep: how.usual_keep(),
            how,
            size: [NETWORK.h, NETWORK.w, NETWORK.c],
            letterbox: false,
            fps: None,
            timeout: None,
        };
        change(&mut recipe);
        let bell = Bell::default();
        let counts = Arc::new(Counts::new("front".into()));
        let ffmpeg = Ffmpeg::find().unwrap();
        Self {
            stream: Stream::new(recipe, ffmpeg, &NETWORK, bell.clone(), Arc::clone(&counts)),
            bell,
            counts,
            pixels: AlignedBytes::new(NETWORK.bytes()),
        }
    }

    /// The next frame, failure or end.
    fn next(&mut self) -> Polled {
        let begun = Instant::now();
        while begun.elapsed() < LONG {
            match self.stream.poll(self.pixels.bytes_mut()) {
                Polled::Nothing => self.bell.wait(None),
                other => return other,
            }
        }
        panic!("nothing comes: {:?}", self.counts.now());
    }

    fn frame(&mut self) -> (SourceFrame, String) {
        match self.next() {
            Polled::Frame(frame, name) => (frame, name),
            other => panic!("{other:?}"),
        }
    }

    /// Frames until the counts are as `wanted`.
    fn until(&mut self, wanted: impl Fn(&tessera_plan::files::statistics::StreamCounts) -> bool) {
        let begun = Instant::now();
        while !wanted(&self.counts.now()) {
            assert!(begun.elapsed() < LONG, "{:?}", self.counts.now());
            match self.stream.poll(self.pixels.bytes_mut()) {
                Polled::Frame(..) | Polled::Nothing => self.bell.wait(None),
                other => panic!("{other:?}"),
            }
        }
    }

    fn pixel(&self, y: usize, x: usize) -> [u8; 3] {
        let at = 3 * (32 * y + x);
        self.pixels.bytes()[at..at + 3].try_into().unwrap()
    }
}

/// Makes a video without loss of what `lavfi` describes.
fn video(dir: &Path, name: &str, lavfi: &str, frames: u32) -> PathBuf {
    let path = dir.join(name);
    let made = Command::new("ffmpeg")
        .args(["-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", lavfi])
        .args([
            "-frames:v",
            &frames.to_string(),
            "-c:v",
            "ffv1",
            "-pix_fmt",
            "bgr0",
        ])
        .arg(&path)
        .status()
        .unwrap();
    assert!(made.success());
    path
}

/// Ids of this process' ffmpegs whose command line has `word`.
fn ffmpegs(word: &str) -> Vec<i32> {
    let mut found = Vec::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let children = task.unwrap().path().join("children");
        // A thread may end meanwhile.
        for id in std::fs::read_to_string(children)
            .unwrap_or_default()
            .split_whitespace()
        {
            let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            if String::from_utf8_lossy(&line).contains(word) {
                found.push(id.parse().unwrap());
            }
        }
    }
    found
}

#[needs(ffmpeg)]
#[test]
fn all_frames_of_a_video_come_in_their_order() {
    let dir = tempfile::tempdir().unwrap();
    // Each frame has a colour of its own: t is the number of the frame.
    let colours = "nullsrc=size=64x48:rate=10,format=gbrp,geq=r='20*N':g=100:b='255-20*N'";
    let path = video(dir.path(), "a clip.mkv", colours, 12);
    let mut rig = Rig::new(StreamOrigin::Video(path.clone()), |_| {});
    for n in 0..12u8 {
        let (frame, name) = rig.frame();
        assert_eq!(name, format!("{}#{n:06}", path.display()));
        assert_eq!((frame.image.width, frame.image.height), (64, 48));
        assert!(frame.captured.is_some());
        let [r, g, b] = rig.pixel(16, 16);
        for (is, wanted) in [(r, 20 * n), (g, 100), (b, 255 - 20 * n)] {
            assert!(is.abs_diff(wanted) <= 1, "frame {n}: {is}, not {wanted}");
        }
    }
    assert!(matches!(rig.next(), Polled::Over));
    let counts = rig.counts.now();
    assert_eq!((counts.brought, counts.taken, counts.replaced), (12, 12, 0));
}

#[needs(ffmpeg)]
#[test]
fn a_letterboxed_video_lies_as_a_picture_does() {
    let dir = tempfile::tempdir().unwrap();
    let path = video(
        dir.path(),
        "wide.mkv",
        "color=c=0x204060:size=100x49:rate=5,format=gbrp",
        1,
    );
    let mut rig = Rig::new(StreamOrigin::Video(path), |r| r.letterbox = true);
    let (frame, _) = rig.frame();
    let size = (frame.image.width, frame.image.height, frame.image.letterbox);
    assert_eq!(size, (100, 49, true));
    let (_, h) = tessera_picture::letterbox_size(100, 49, 32, 32);
    let from = (32 - h as usize) / 2;
    for y in 0..32 {
        let inside = (from..from + h as usize).contains(&y);
        let wanted = if inside { [0x20, 0x40, 0x60] } else { [128; 3] };
        assert_eq!(
            rig.pixel(y, 5),
            wanted,
            "row {y} of {from}..{}",
            from + h as usize
        );
    }
}

#[needs(ffmpeg)]
#[test]
fn a_rate_limit_leaves_frames_of_a_video_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = video(dir.path(), "ten.mkv", "testsrc2=size=64x48:rate=10", 20);
    let mut rig = Rig::new(StreamOrigin::Video(path), |r| r.fps = Some(2.0));
    let mut frames = 0;
    while let Polled::Frame(..) = rig.next() {
        frames += 1;
    }
    assert_eq!(frames, 4, "two seconds");
}

#[needs(ffmpeg)]
#[test]
fn the_newest_frame_of_a_live_stream_waits() {
    let live: Origin = "test:64x48@200".parse().unwrap();
    let Origin::Test(picture) = live else {
        panic!()
    };
    let mut rig = Rig::new(StreamOrigin::Test(picture), |_| {});
    rig.frame();
    // Nobody takes a frame meanwhile.
    let begun = Instant::now();
    while rig.counts.now().replaced < 5 {
        assert!(begun.elapsed() < LONG);
        std::thread::sleep(Duration::from_millis(5));
    }
    let (frame, name) = rig.frame();
    assert!(name.is_empty(), "a camera's frame lies nowhere");
    assert_eq!((frame.image.width, frame.image.height), (64, 48));
    let counts = rig.counts.now();
    assert_eq!(counts.taken, 2);
    assert!(counts.brought >= 7 && counts.restarts == 0, "{counts:?}");
}

#[needs(ffmpeg)]
#[test]
fn what_stands_still_or_dies_is_begun_anew() {
    let Origin::Test(picture) = "test:66x50@50".parse().unwrap() else {
        panic!()
    };
    let mut rig = Rig::new(StreamOrigin::Test(picture), |r| {
        r.timeout = Some(Duration::from_secs(2));
    });
    rig.frame();
    let first = ffmpegs("66x50");
    assert_eq!(first.len(), 1);
    kill(Pid::from_raw(first[0]), Signal::SIGSTOP).unwrap();
    rig.until(|c| c.stalls == 1);
    let brought = rig.counts.now().brought;
    rig.until(|c| c.brought > brought + 3);
    let second = ffmpegs("66x50");
    assert!(
        second.len() == 1 && second != first,
        "the one that stood is gone"
    );
    kill(Pid::from_raw(second[0]), Signal::SIGKILL).unwrap();
    rig.until(|c| c.restarts == 2);
    let brought = rig.counts.now().brought;
    rig.until(|c| c.brought > brought + 3);
    assert_eq!(rig.counts.now().stalls, 1);
    // Whoever stops to read ends ffmpeg.
    drop(rig);
    let begun = Instant::now();
    while !ffmpegs("66x50").is_empty() {
        assert!(begun.elapsed() < LONG);
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[needs(ffmpeg)]
#[test]
fn what_is_no_video_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let noise = dir.path().join("noise.mp4");
    std::fs::write(&noise, [7; 4096]).unwrap();
    let mut rig = Rig::new(StreamOrigin::Video(noise), |_| {});
    let Polled::Failed(name, e) = rig.next() else {
        panic!("no failure")
    };
    let text = e.to_string();
    assert!(
        name.ends_with("noise.mp4") && text.contains("no picture or video"),
        "{text}"
    );
    assert!(matches!(rig.next(), Polled::Over), "told once");
    let missing = StreamOrigin::Video(dir.path().join("missing.mp4"));
    let Polled::Failed(_, e) = Rig::new(missing, |_| {}).next() else {
        panic!("no failure")
    };
    assert!(e.to_string().contains("look at the path"), "{e}");
}

/// A camera that shows JPEG pictures one behind the other to whoever knows the password, over HTTP, as many cheap ones do.
struct Camera {
    at: SocketAddr,
}

impl Camera {
    /// `login` is `user:password` in base64.
    fn start(dir: &Path, login: &'static str) -> Self {
        let jpeg = dir.join("camera.jpg");
        let made = Command::new("ffmpeg")
            .args([
                "-nostdin",
                "-loglevel",
                "error",
                "-f",
                "lavfi",
                "-i",
                "testsrc2=size=80x60",
            ])
            .args(["-frames:v", "1"])
            .arg(&jpeg)
            .status();
        assert!(made.unwrap().success());
        let picture = std::fs::read(jpeg).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for viewer in listener.incoming() {
                let picture = picture.clone();
                std::thread::spawn(move || show(viewer.unwrap(), login, &picture));
            }
        });
        Self { at }
    }
}

/// Serves one viewer until it is gone.
fn show(mut viewer: TcpStream, login: &str, picture: &[u8]) -> Option<()> {
    let mut asked = BufReader::new(viewer.try_clone().ok()?).lines();
    let mut is_known = false;
    while let Some(Ok(line)) = asked.next() {
        is_known |= line.starts_with("Authorization: Basic ") && line.ends_with(login);
        if line.is_empty() {
            break;
        }
    }
    if !is_known {
        let no = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"camera\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        return viewer.write_all(no.as_bytes()).ok();
    }
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=picture\r\n\r\n";
    viewer.write_all(head.as_bytes()).ok()?;
    loop {
        let part = format!(
            "--picture\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n",
            picture.len()
        );
        viewer.write_all(part.as_bytes()).ok()?;
        viewer.write_all(picture).ok()?;
        viewer.write_all(b"\r\n").ok()?;
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn url(text: &str) -> StreamOrigin {
    match text.parse().unwrap() {
        Origin::Url(url) => StreamOrigin::Url(url),
        other => panic!("{other}"),
    }
}

#[needs(ffmpeg)]
#[test]
fn a_camera_with_a_password_is_read_and_the_password_is_shown_to_nobody() {
    let dir = tempfile::tempdir().unwrap();
    // `viewer:open-sesame`
    let camera = Camera::start(dir.path(), "dmlld2VyOm9wZW4tc2VzYW1l");
    let at = format!("http://viewer:open-sesame@{}/video?channel=1", camera.at);
    let mut rig = Rig::new(url(&at), |_| {});
    for _ in 0..3 {
        let (frame, _) = rig.frame();
        assert_eq!((frame.image.width, frame.image.height), (80, 60));
    }
    assert!(ffmpegs("open-sesame").is_empty() && !ffmpegs("concat").is_empty());
    // What it says of another password names the camera, and not the password.
    let recipe = |how| Recipe {
        how,
        size: [32, 32, 3],
        letterbox: false,
        fps: None,
        keep: tessera_plan::files::sources::Keep::Newest,
        timeout: None,
    };
    let wrong = url(&format!("http://viewer:sesame-open@{}/video", camera.at));
    let line = ffmpeg::line(&recipe(wrong.clone()), Ffmpeg::find().unwrap());
    let StreamOrigin::Url(secret) = &wrong else {
        panic!()
    };
    let mut running = child::Running::start(&line, Some(secret)).unwrap();
    let mut frame = vec![0; 32 * 32 * 3];
    assert_eq!(running.frame(&mut frame, Some(LONG)), child::Arrived::End);
    let (status, complaints) = running.ended();
    assert!(!status.unwrap().success());
    let said = complaints.join("\n");
    assert!(said.contains("401") && !said.contains("sesame"), "{said}");
    assert!(
        advice::advice(&complaints)
            .starts_with("the camera asks for another user name or password")
    );
}

#[needs(ffmpeg)]
#[test]
fn a_stream_over_a_network_comes_from_a_real_sender() {
    let dir = tempfile::tempdir().unwrap();
    let clip = video(dir.path(), "clip.mkv", "testsrc2=size=96x64:rate=25", 25);
    // ffmpeg as a server of HTTP, for one viewer, over and over.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let at = format!("http://127.0.0.1:{port}/live");
    let mut sender = Command::new("ffmpeg")
        .args([
            "-nostdin",
            "-loglevel",
            "error",
            "-re",
            "-stream_loop",
            "-1",
            "-i",
        ])
        .arg(&clip)
        .args(["-c:v", "mjpeg", "-f", "mpjpeg", "-listen", "1", &at])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut rig = Rig::new(url(&at), |_| {});
    // The viewer may come before the sender listens; it tries again.
    let (frame, _) = rig.frame();
    assert_eq!((frame.image.width, frame.image.height), (96, 64));
    rig.until(|c| c.taken >= 5);
    // The sender's death is no end: the viewer looks for it.
    let restarts = rig.counts.now().restarts;
    sender.kill().unwrap();
    sender.wait().unwrap();
    rig.until(|c| c.restarts > restarts);
}
