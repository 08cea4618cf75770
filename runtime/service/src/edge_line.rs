//! The line between a gateway and the edge on its board: pictures there, refusals back. Both ends are on one machine, in
//! processes of one binary.
//!
//! ```text
//! to the edge:       id (u64)  bytes (u32)  a picture file
//! to the gateway:    id (u64)  bytes (u32)  why no frame can be made of it, as text
//! ```
//! Numbers are little-endian.

/// Bytes before a picture or a text.
pub const HEAD_BYTES: usize = 12;
/// Longest picture file, in bytes.
pub const PICTURE_BYTES_MAX: usize = 30 << 20;
/// Longest text, in bytes.
pub const TEXT_BYTES_MAX: usize = 1 << 12;

/// What stands before `len` bytes about the picture `id`.
pub fn head(id: u64, len: usize) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..8].copy_from_slice(&id.to_le_bytes());
    head[8..].copy_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
    head
}

/// The picture's number and the length of what follows; `None` when it is longer than `max`.
pub fn read_head(head: &[u8; HEAD_BYTES], max: usize) -> Option<(u64, usize)> {
    let (id, len) = head.split_first_chunk::<8>()?;
    let len = u32::from_le_bytes(len.try_into().ok()?) as usize;
    (len <= max).then_some((u64::from_le_bytes(*id), len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_as_written_and_bounded() {
        let written = head(u64::MAX - 1, 4096);
        assert_eq!(read_head(&written, 4096), Some((u64::MAX - 1, 4096)));
        assert_eq!(read_head(&written, 4095), None);
    }
}
