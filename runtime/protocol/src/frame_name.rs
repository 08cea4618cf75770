//! The name that a source gives to a frame: a bounded text in the frame's announcement to the gateway.

use std::fmt;

use serde::{Serialize, Serializer};

/// A name of at most [`FrameName::BYTES_MAX`] bytes, none of which is zero. All bytes behind the name are zero, so
/// equal names have equal bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FrameName {
    len: u8,
    bytes: [u8; Self::BYTES_MAX],
}

/// Replaces the part cut off a long name.
const CUT: &str = "\u{2026}";

impl FrameName {
    /// Length of the longest name, in bytes.
    pub const BYTES_MAX: usize = 77;

    /// The empty name, of a frame without a name.
    pub const NONE: Self = Self {
        len: 0,
        bytes: [0; Self::BYTES_MAX],
    };

    /// A name from a text. A longer text keeps only its end, behind `…`: ends of paths tell frames apart.
    pub fn new(text: &str) -> Self {
        let text = &text.replace('\0', " ");
        if let Some(name) = Self::fitting("", text) {
            return name;
        }
        let mut from = text.len() - (Self::BYTES_MAX - CUT.len());
        while !text.is_char_boundary(from) {
            from += 1;
        }
        Self::fitting(CUT, &text[from..]).unwrap_or_default()
    }

    fn fitting(cut: &str, rest: &str) -> Option<Self> {
        let mut name = Self::default();
        let len = cut.len() + rest.len();
        let to = name.bytes.get_mut(..len)?;
        to[..cut.len()].copy_from_slice(cut.as_bytes());
        to[cut.len()..].copy_from_slice(rest.as_bytes());
        name.len = u8::try_from(len).ok()?;
        Some(name)
    }

    /// The name in a datagram; `None` when the bytes are no valid name: too long, not UTF-8, with a zero inside, or not
    /// zero behind the end.
    pub fn from_wire(len: u8, bytes: &[u8; Self::BYTES_MAX]) -> Option<Self> {
        let (name, rest) = bytes.split_at_checked(usize::from(len))?;
        let ends = !name.contains(&0) && rest.iter().all(|b| *b == 0);
        let sound = ends && std::str::from_utf8(name).is_ok();
        sound.then_some(Self { len, bytes: *bytes })
    }

    /// The name's length in bytes and the zero-padded bytes, for a datagram.
    pub const fn to_wire(&self) -> (u8, [u8; Self::BYTES_MAX]) {
        (self.len, self.bytes)
    }

    /// The text; empty for a frame without a name.
    pub fn as_str(&self) -> &str {
        let name = self.bytes.get(..usize::from(self.len));
        name.and_then(|n| std::str::from_utf8(n).ok()).unwrap_or("")
    }
}

impl Default for FrameName {
    fn default() -> Self {
        Self::NONE
    }
}

impl fmt::Debug for FrameName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl Serialize for FrameName {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_ends() {
        let max = FrameName::BYTES_MAX;
        for text in [
            "",
            "a.jpg",
            "/media/küche/2026-11-28 18.22.jpg",
            &"x".repeat(max),
        ] {
            assert_eq!(FrameName::new(text).as_str(), text);
        }
        let long = format!("{}/b.jpg", "a".repeat(200));
        let name = FrameName::new(&long);
        assert!(name.as_str().starts_with("\u{2026}a") && name.as_str().ends_with("a/b.jpg"));
        assert_eq!(name.as_str().len(), max);
        // Letters of several bytes are not cut.
        for more in 0..4 {
            let long = format!("{}{}", "x".repeat(more), "ü".repeat(99));
            let name = FrameName::new(&long);
            assert!(name.as_str().ends_with("üü") && name.as_str().len() >= max - 1);
        }
    }

    #[test]
    fn hostile_names_are_none() {
        let (len, bytes) = FrameName::new("añ").to_wire();
        assert_eq!(
            FrameName::from_wire(len, &bytes).map(|n| n.as_str().to_string()),
            Some("añ".into())
        );
        assert_eq!(FrameName::new("a\0b").as_str(), "a b");
        for len in [0, 1, 2, 4, 79, 80, 255] {
            assert_eq!(FrameName::from_wire(len, &bytes), None, "{len}");
        }
        let mut dirty = bytes;
        dirty[FrameName::BYTES_MAX - 1] = b'x';
        assert_eq!(FrameName::from_wire(len, &dirty), None);
    }
}
