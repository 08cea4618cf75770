//! Writing of datagrams.

use zerocopy::{Immutable, IntoBytes};

/// Appends pieces to a datagram.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    /// A writer that appends to `out`.
    pub const fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    pub fn piece<T: IntoBytes + Immutable>(&mut self, piece: &T) {
        self.out.extend_from_slice(piece.as_bytes());
    }

    pub fn list<T: IntoBytes + Immutable>(&mut self, list: &[T], most: usize) {
        assert!(
            list.len() <= most,
            "{} elements, at most {most}",
            list.len()
        );
        self.out.extend_from_slice(list.as_bytes());
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }
}
