//! Raw input tensors: Darknet's order (channels, rows, columns) against the nodes' `[h, w, c]`.

/// The bytes given and the bytes of the tensor differ in number.
#[derive(Debug, thiserror::Error)]
#[error("{found} bytes; an input of {c} x {h} x {w} (C, H, W float32) takes {expected}")]
pub struct TensorSizeError {
    /// Number of bytes given.
    pub found: usize,
    /// Number of bytes that the tensor needs.
    pub expected: usize,
    /// Channels of the input.
    pub c: usize,
    /// Rows of the input.
    pub h: usize,
    /// Columns of the input.
    pub w: usize,
}

/// Transposes raw little-endian float32 C, H, W bytes into an `[h, w, c]` slice.
///
/// # Errors
/// [`TensorSizeError`] when `bytes` does not have the size of the tensor.
///
/// # Panics
/// If `out` is no `[h, w, c]` slice.
pub fn tensor_from_chw(
    bytes: &[u8],
    h: usize,
    w: usize,
    c: usize,
    out: &mut [f32],
) -> Result<(), TensorSizeError> {
    assert_eq!(out.len(), h * w * c, "the slot holds the whole input");
    if bytes.len() != 4 * out.len() {
        return Err(TensorSizeError {
            found: bytes.len(),
            expected: 4 * out.len(),
            c,
            h,
            w,
        });
    }
    for (ch, plane) in bytes.chunks_exact(4 * h * w).enumerate() {
        for (px, v) in plane.chunks_exact(4).enumerate() {
            out[px * c + ch] = f32::from_le_bytes([v[0], v[1], v[2], v[3]]);
        }
    }
    Ok(())
}

/// Transposes an `[h, w, c]` map into raw little-endian float32 C, H, W bytes.
pub fn chw_from_tensor(map: &[f32], h: usize, w: usize, c: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 * map.len());
    for ch in 0..c {
        for px in 0..h * w {
            bytes.extend(map[px * c + ch].to_le_bytes());
        }
    }
    bytes
}
