//! The content of [`tessera_protocol::FrameMeta::tag`], which an edge's shell writes and the machines carry to
//! the gateway unread.

/// The input that a frame was read from, and whether it was letterboxed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Index into the source's list of inputs.
    pub index: u32,
    /// Whether the picture was letterboxed: the gateway maps boxes back accordingly.
    pub letterbox: bool,
}

const LETTERBOX: u64 = 1 << 32;

impl Tag {
    /// Encodes the tag as 64 bits.
    pub fn encode(self) -> u64 {
        u64::from(self.index) | if self.letterbox { LETTERBOX } else { 0 }
    }

    /// Decodes a received tag; unknown bits are ignored.
    pub fn decode(tag: u64) -> Self {
        Self {
            index: (tag & u64::from(u32::MAX)) as u32,
            letterbox: tag & LETTERBOX != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Tag;

    #[test]
    fn tags_go_there_and_back() {
        for index in [0, 7, u32::MAX] {
            for letterbox in [false, true] {
                let tag = Tag { index, letterbox };
                assert_eq!(Tag::decode(tag.encode()), tag);
            }
        }
    }
}
