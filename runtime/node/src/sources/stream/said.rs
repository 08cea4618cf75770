//! What ffmpeg says on standard error: the size of the pictures that it reads, and the last lines that say what went wrong.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Read},
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

use tessera_plan::files::sources::StreamUrl;

/// Most lines that are kept.
const LINES_MAX: usize = 20;
/// Most bytes of a line that are kept.
const LINE_BYTES_MAX: usize = 400;

/// What was said so far.
#[derive(Debug)]
pub struct Said {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    size: Option<(u32, u32)>,
    /// Complaints, without secrets, the oldest first.
    lines: VecDeque<String>,
    /// Processes that may still say something.
    speakers: usize,
}

impl Said {
    /// Nothing yet, by so many processes.
    pub const fn by(speakers: usize) -> Self {
        let state = State {
            size: None,
            lines: VecDeque::new(),
            speakers,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// Reads all that one process says; returns at its end. What `secret` says is shown to nobody.
    pub fn read(&self, text: impl Read, secret: Option<&StreamUrl>) {
        let mut text = BufReader::new(text);
        let mut line = Vec::new();
        loop {
            line.clear();
            // A line without end is read in pieces.
            let read = (&mut text).take(64 << 10).read_until(b'\n', &mut line);
            if !matches!(read, Ok(n) if n > 0) {
                break;
            }
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end();
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(size) = scaled_from(line) {
                state.size = Some(size);
                self.changed.notify_all();
            }
            if let Some(complaint) = complaint(line) {
                let mut complaint =
                    secret.map_or_else(|| complaint.clone(), |s| s.masked(&complaint));
                let mut end = LINE_BYTES_MAX.min(complaint.len());
                while !complaint.is_char_boundary(end) {
                    end -= 1;
                }
                complaint.truncate(end);
                if state.lines.len() == LINES_MAX {
                    state.lines.pop_front();
                }
                state.lines.push_back(complaint);
            }
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.speakers = state.speakers.saturating_sub(1);
        self.changed.notify_all();
    }

    /// Width and height of the pictures before they are scaled. Told before the first of them, but over another pipe: waits a
    /// moment for it.
    pub fn size(&self) -> Option<(u32, u32)> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let unknown = |s: &mut State| s.size.is_none() && s.speakers > 0;
        let waited = self
            .changed
            .wait_timeout_while(state, Duration::from_secs(1), unknown);
        waited.unwrap_or_else(PoisonError::into_inner).0.size
    }

    /// The complaints, after the end of the text; waits a moment for that.
    pub fn complaints(&self) -> Vec<String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let goes_on = |s: &mut State| s.speakers > 0;
        let waited = self
            .changed
            .wait_timeout_while(state, Duration::from_secs(1), goes_on);
        let state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.lines.iter().cloned().collect()
    }
}

/// The size in a line of the scale filter, which it says at its beginning and whenever it changes:
/// `[Parsed_scale_0 @ 0x55..] [verbose] w:1920 h:1080 fmt:yuv420p sar:1/1 -> w:416 h:416 ..`.
fn scaled_from(line: &str) -> Option<(u32, u32)> {
    let (_, line) = line.split_once("Parsed_scale_")?;
    let from = line.split_once(" -> ")?.0;
    let value = |key: &str| {
        let word = from.split_whitespace().find_map(|w| w.strip_prefix(key));
        word.and_then(|w| w.parse().ok()).filter(|px| *px > 0)
    };
    Some((value("w:")?, value("h:")?))
}

/// The text of a line that complains, without ffmpeg's marks.
fn complaint(line: &str) -> Option<String> {
    let marks = ["[panic] ", "[fatal] ", "[error] "];
    let found = marks
        .iter()
        .find_map(|mark| line.find(mark).map(|at| at + mark.len()));
    // The shell's or rpicam's own words have no marks.
    let plain = !line.is_empty() && !line.starts_with('[') && !line.starts_with(' ');
    found
        .map(|from| line[from..].to_owned())
        .or_else(|| plain.then(|| line.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tessera_plan::files::sources::Origin;

    #[test]
    fn sizes_and_complaints_are_found_among_other_words() {
        let said = Said::by(1);
        let text = "[info] Input #0, rtsp, from 'rtsp://me:secret@cam/live':\n\
            [Parsed_scale_1 @ 0x5] [verbose] w:1920 h:1080 fmt:yuv420p sar:1/1 -> w:416 h:416 fmt:rgb24 sar:0/1 flags:0x2\n\
            [tcp @ 0x55] [error] Connection to tcp://cam:554 failed: Connection refused\n\
            [error] Error opening input file rtsp://me:secret@cam/live.\n";
        let Origin::Url(url) = "rtsp://me:secret@cam/live".parse().unwrap() else {
            panic!("a URL");
        };
        said.read(text.as_bytes(), Some(&url));
        assert_eq!(said.size(), Some((1920, 1080)));
        assert_eq!(
            said.complaints(),
            [
                "Connection to tcp://cam:554 failed: Connection refused",
                "Error opening input file rtsp://***@cam/live."
            ]
        );
    }

    #[test]
    fn floods_are_bounded() {
        let said = Said::by(1);
        let line = format!("[error] {}\n", "ü".repeat(LINE_BYTES_MAX));
        let text = line.repeat(1000) + &"x".repeat(1 << 20);
        said.read(text.as_bytes(), None);
        let complaints = said.complaints();
        assert_eq!(complaints.len(), LINES_MAX);
        assert!(complaints.iter().all(|c| c.len() <= LINE_BYTES_MAX));
        assert_eq!(said.size(), None);
        for odd in [
            "[Parsed_scale_0 @ 0x5] w:0 h:9 -> w:1 h:1",
            "Parsed_scale_ -> ",
        ] {
            assert_eq!(scaled_from(odd), None, "{odd}");
        }
    }
}
