//! Distances between tensors, and raw float32 files.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};

/// Reads the values of a raw little-endian float32 file.
///
/// # Errors
/// When the file cannot be read or its length is not a multiple of 4.
pub fn read_f32(path: &Path) -> Result<Vec<f32>> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(bytes.len() % 4 == 0, "{} is cut", path.display());
    let (values, _) = bytes.as_chunks::<4>();
    Ok(values.iter().map(|v| f32::from_le_bytes(*v)).collect())
}

/// Writes values as a raw little-endian float32 file.
///
/// # Errors
/// When the file cannot be written.
pub fn write_f32(path: &Path, values: &[f32]) -> Result<()> {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// Relative distance `max|a - b| / (1e-6 + rms(b))`; infinite when a value is not finite or the lengths differ.
pub fn distance(a: &[f32], b: &[f32]) -> f64 {
    if a.len() != b.len() {
        return f64::INFINITY;
    }
    let squares: f64 = b.iter().map(|v| f64::from(*v).powi(2)).sum();
    let rms = (squares / b.len().max(1) as f64).sqrt();
    let mut worst = 0.0f64;
    for (a, b) in a.iter().zip(b) {
        let d = (f64::from(*a) - f64::from(*b)).abs();
        if !d.is_finite() {
            return f64::INFINITY;
        }
        worst = worst.max(d);
    }
    worst / (1e-6 + rms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_is_relative_to_the_root_mean_square() {
        let d = distance(&[3.0, 4.5], &[3.0, 4.0]);
        assert!((d - 0.5 / (12.5f64.sqrt() + 1e-6)).abs() < 1e-12, "{d}");
        assert_eq!(distance(&[1.0], &[1.0]), 0.0);
        assert!(distance(&[f32::NAN], &[1.0]).is_infinite());
        assert!(distance(&[1.0], &[]).is_infinite());
    }
}
