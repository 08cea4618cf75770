//! The content of [`tessera_protocol::FrameMeta::tag`], which an edge's shell writes and the machines carry to
//! the gateway unread.
//!
//! ```text
//! bit  63      58           34        33          32       31             0
//!      | free  | waited     | named   | letterbox | index              |
//! ```

use std::time::Duration;

/// The input that a frame was read from, and how it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tag {
    /// Counts the inputs of the node from 0.
    pub index: u32,
    /// Whether the picture was letterboxed: the gateway maps boxes back accordingly.
    pub letterbox: bool,
    /// Whether the frame's name begins with the name of its source and a slash.
    pub is_named: bool,
    /// From the frame's capture to its entry, in steps of 100 us; at most 28 minutes are told.
    pub waited: Duration,
}

const LETTERBOX: u64 = 1 << 32;
const NAMED: u64 = 1 << 33;
const WAITED_SHIFT: u32 = 34;
const WAITED_MAX: u64 = (1 << 24) - 1;
const STEP_US: u64 = 100;

impl Tag {
    /// Encodes the tag as 64 bits.
    pub fn encode(self) -> u64 {
        let flag = |is: bool, bit| if is { bit } else { 0 };
        let waited = u64::try_from(self.waited.as_micros()).unwrap_or(u64::MAX) / STEP_US;
        u64::from(self.index)
            | flag(self.letterbox, LETTERBOX)
            | flag(self.is_named, NAMED)
            | waited.min(WAITED_MAX) << WAITED_SHIFT
    }

    /// Decodes a received tag; unknown bits are ignored.
    pub fn decode(tag: u64) -> Self {
        Self {
            index: (tag & u64::from(u32::MAX)) as u32,
            letterbox: tag & LETTERBOX != 0,
            is_named: tag & NAMED != 0,
            waited: Duration::from_micros((tag >> WAITED_SHIFT & WAITED_MAX) * STEP_US),
        }
    }
}

/// The name of a frame of the source `source`: both names, or the source's alone for a frame without a file.
pub fn join(source: &str, frame: &str) -> String {
    if frame.is_empty() {
        return source.into();
    }
    // A long name loses its beginning on its way, and that is the source's.
    let room = tessera_protocol::FrameName::BYTES_MAX - source.len().min(64) - 1;
    let mut from = frame.len().saturating_sub(room);
    if from > 0 {
        from += "\u{2026}".len();
        while !frame.is_char_boundary(from) {
            from += 1;
        }
        return format!("{source}:\u{2026}{}", &frame[from..]);
    }
    format!("{source}:{frame}")
}

/// The source and the frame of [`join`]; a frame without a file has none. The text came over a network.
pub fn split(name: &str) -> (&str, &str) {
    name.split_once(':').unwrap_or((name, ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tessera_protocol::FrameName;

    #[test]
    fn tags_go_there_and_back() {
        for index in [0, 7, u32::MAX] {
            for bits in 0..4 {
                let waited = Duration::from_micros(u64::from(index % 1000) * STEP_US);
                let tag = Tag {
                    index,
                    letterbox: bits & 1 != 0,
                    is_named: bits & 2 != 0,
                    waited,
                };
                assert_eq!(Tag::decode(tag.encode()), tag);
            }
        }
        let long = Tag {
            waited: Duration::MAX,
            ..Tag::default()
        };
        let told = Tag::decode(long.encode());
        assert_eq!(
            (told.index, told.letterbox, told.is_named),
            (0, false, false)
        );
        assert!(told.waited > Duration::from_secs(1600));
        assert_eq!(Tag::decode(u64::MAX).index, u32::MAX);
    }

    #[test]
    fn names_of_sources_survive_long_files() {
        for file in ["", "a.jpg", "a:b.jpg", &"ü/".repeat(60), &"x".repeat(72)] {
            let sent = FrameName::new(&join("front", file));
            let (source, frame) = split(sent.as_str());
            assert_eq!(source, "front");
            let end = frame.trim_start_matches('\u{2026}');
            assert!(
                file.ends_with(end) && end.is_empty() == file.is_empty(),
                "{frame}"
            );
        }
        assert_eq!(split("hostile"), ("hostile", ""));
    }
}
