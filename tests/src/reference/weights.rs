//! Reads the weights file: a header, then arrays in the order of the layers' requests.

use anyhow::{Context, Result, ensure};

/// A reader of arrays, one after the other.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    /// True if the file stores weights of connected layers as `[in][out]`.
    pub transposed: bool,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        let word = |i: usize| -> Result<i64> {
            let bytes = bytes.get(4 * i..4 * i + 4).context("no header")?;
            Ok(i64::from(i32::from_le_bytes(bytes.try_into()?)))
        };
        let (major, minor) = (word(0)?, word(1)?);
        let header = if major * 10 + minor >= 2 { 20 } else { 16 };
        Ok(Self {
            rest: bytes.get(header..).context("a short header")?,
            transposed: major > 1000 || minor > 1000,
        })
    }

    pub fn take(&mut self, n: usize) -> Result<Vec<f64>> {
        let (mine, rest) = self
            .rest
            .split_at_checked(4 * n)
            .with_context(|| format!("the weights end before {n} values"))?;
        self.rest = rest;
        let (values, _) = mine.as_chunks::<4>();
        Ok(values
            .iter()
            .map(|v| f64::from(f32::from_le_bytes(*v)))
            .collect())
    }

    pub fn finish(self) -> Result<()> {
        ensure!(
            self.rest.is_empty(),
            "{} bytes of weights left",
            self.rest.len()
        );
        Ok(())
    }
}

/// Batch-norm statistics of `n` channels.
#[derive(Clone, Debug)]
pub(super) struct Statistics {
    scales: Vec<f64>,
    mean: Vec<f64>,
    variance: Vec<f64>,
}

impl Statistics {
    pub fn read(reader: &mut Reader<'_>, n: usize) -> Result<Self> {
        Ok(Self {
            scales: reader.take(n)?,
            mean: reader.take(n)?,
            variance: reader.take(n)?,
        })
    }

    /// Darknet's initial values, which replace arrays that are not in the file.
    pub fn initial(n: usize) -> Self {
        Self {
            scales: vec![1.0; n],
            mean: vec![0.0; n],
            variance: vec![0.0; n],
        }
    }

    /// Normalises the value `x` of channel `c`, without the shift.
    pub fn apply(&self, c: usize, x: f64, fork: super::Fork) -> f64 {
        let deviation = match fork {
            super::Fork::Alexey => (self.variance[c] + 0.000_01).sqrt(),
            super::Fork::Original => self.variance[c].sqrt() + 0.000_001,
        };
        self.scales[c] * (x - self.mean[c]) / deviation
    }
}
