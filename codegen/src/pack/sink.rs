//! Where packed values go: a file, or a digest of them.

use std::io::{self, Write};

use sha2::{Digest, Sha256};

use super::PackError;

/// Feeds what is written to SHA-256.
pub(super) struct Hasher(pub Sha256);

impl Write for Hasher {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.update(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes so many zeros.
pub(super) fn zeros(out: &mut impl Write, floats: usize) -> Result<(), PackError> {
    const CHUNK: [u8; 4096] = [0; 4096];
    let mut bytes = floats * 4;
    while bytes > 0 {
        let n = bytes.min(CHUNK.len());
        out.write_all(&CHUNK[..n])?;
        bytes -= n;
    }
    Ok(())
}

/// Collects values and writes them in chunks.
pub(super) struct Sink<'a, W> {
    out: &'a mut W,
    buf: Vec<f32>,
    written: usize,
}

impl<'a, W: Write> Sink<'a, W> {
    /// A sink before `out`.
    pub fn new(out: &'a mut W) -> Self {
        Self {
            out,
            buf: Vec::new(),
            written: 0,
        }
    }

    /// Writes what is left, and gives the number of values.
    pub fn finish(mut self) -> Result<usize, PackError> {
        self.flush()?;
        Ok(self.written)
    }

    /// More values.
    pub fn extend(&mut self, values: impl Iterator<Item = f32>) -> Result<(), PackError> {
        self.buf.extend(values);
        if self.buf.len() >= 1 << 16 {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Values in half precision, two in the place of one; a last one without a second beside zero.
    pub fn halves(
        &mut self,
        mut values: impl Iterator<Item = f32>,
        name: &str,
    ) -> Result<(), PackError> {
        let half = |value: f32| match half::f16::from_f32(value) {
            h if h.is_finite() => Ok(u32::from(h.to_bits())),
            _ => Err(PackError::Half {
                name: name.to_owned(),
                value,
            }),
        };
        while let Some(low) = values.next() {
            let (low, high) = (half(low)?, half(values.next().unwrap_or(0.0))?);
            self.extend([f32::from_bits(low | high << 16)].into_iter())?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), PackError> {
        let mut bytes = Vec::with_capacity(self.buf.len() * 4);
        for v in &self.buf {
            bytes.extend_from_slice(&v.to_le_bytes());
        }
        self.out.write_all(&bytes)?;
        self.written += self.buf.len();
        self.buf.clear();
        Ok(())
    }
}
