//! Compares the outputs of all engines.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, bail, ensure};

use super::network::Network;
use crate::{children, compile::Built};

/// For every engine: the largest difference between its output and Tessera's, relative to the largest value.
/// Empty for a network with several heads, whose outputs cannot be matched.
///
/// # Errors
/// When Tessera's node fails.
pub fn differences(
    network: &Network,
    built: &Built,
    engines: &[String],
) -> Result<Vec<(String, f64)>> {
    if !network.one_output {
        return Ok(Vec::new());
    }
    let dir = tempfile::tempdir()?;
    let mut node = Command::new(&built.node);
    node.args(["solo", "--weights"])
        .arg(&built.weights)
        .arg("--input-f32")
        .arg(network.input())
        .arg("--dump")
        .arg(dir.path());
    let out = children::output(&mut node)?;
    ensure!(
        out.status.success(),
        "the node failed:\n{}",
        String::from_utf8_lossy(&out.stderr)
    );
    // One output: one file.
    let file = fs::read_dir(dir.path())?
        .next()
        .context("the node wrote no output")??;
    let ours = floats(&fs::read(file.path())?);
    let mut list = Vec::new();
    for spec in engines {
        let name = spec.split('+').next().unwrap_or(spec);
        let Ok(theirs) = npy(&network.dir.join(format!("out.{name}.0.npy"))) else {
            continue;
        };
        list.push((name.to_owned(), difference(&ours, &theirs)?));
    }
    list.dedup();
    Ok(list)
}

fn difference(a: &[f32], b: &[f32]) -> Result<f64> {
    if a.len() != b.len() {
        bail!("our output has {} values, theirs {}", a.len(), b.len());
    }
    let largest = b.iter().fold(0f32, |m, v| m.max(v.abs()));
    let apart = a.iter().zip(b).fold(0f32, |m, (x, y)| m.max((x - y).abs()));
    Ok(f64::from(apart) / f64::from(largest).max(1e-30))
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let (words, _) = bytes.as_chunks();
    words.iter().map(|w| f32::from_le_bytes(*w)).collect()
}

/// Values of a NumPy file of little-endian float32: ten bytes of magic, version and length, then a
/// header of that length (numpy.lib.format, version 1.0).
fn npy(path: &Path) -> Result<Vec<f32>> {
    let bytes = fs::read(path)?;
    let head = bytes.first_chunk::<10>().context("too short")?;
    ensure!(head.starts_with(b"\x93NUMPY\x01"), "no NumPy file");
    let length = usize::from(u16::from_le_bytes([head[8], head[9]]));
    let (header, data) = bytes[10..].split_at_checked(length).context("too short")?;
    ensure!(
        String::from_utf8_lossy(header).contains("<f4"),
        "no float32 values"
    );
    Ok(floats(data))
}

#[cfg(test)]
mod tests {
    use super::{difference, npy};

    #[test]
    fn arrays_of_numpy_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.npy");
        let header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n";
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
        bytes.extend(header);
        bytes.extend([1.5f32, -2.0].map(f32::to_le_bytes).concat());
        std::fs::write(&file, &bytes).unwrap();
        assert_eq!(npy(&file).unwrap(), [1.5, -2.0]);
        std::fs::write(&file, &bytes[..20]).unwrap();
        assert!(npy(&file).is_err());
    }

    #[test]
    fn differences_are_relative_to_the_largest_value() {
        assert_eq!(difference(&[1.0, 4.0], &[1.5, -5.0]).unwrap(), 1.8);
        assert!(difference(&[1.0], &[1.0, 2.0]).is_err());
    }
}
