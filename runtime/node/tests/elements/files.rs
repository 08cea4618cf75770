//! What the cluster's processes read: weights and pictures.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tessera_plan::files::weights::{Header, SectionEntry};

use super::program::{CHANNELS, H, PROGRAM, SECTION_FLOATS, W, WEIGHT};

/// A frame's bytes, `[h, w, c]`.
pub fn pixels(frame: usize) -> Vec<u8> {
    (0..H * W * CHANNELS[0])
        .map(|i| ((i * 37 + i / 7 * 11 + frame * 53) % 256) as u8)
        .collect()
}

/// Writes the first `count` frames as PNG files.
pub fn write_pictures(dir: &Path, count: usize) -> Vec<PathBuf> {
    let write = |k| {
        let path = dir.join(format!("{k}.png"));
        image::RgbImage::from_raw(W as u32, H as u32, pixels(k))
            .expect("as many bytes as pixels have")
            .save(&path)
            .expect("a picture is written");
        path
    };
    (0..count).map(write).collect()
}

/// Writes the weights of [`PROGRAM`].
pub fn write_weights(path: &Path) {
    let mut values = vec![0; 4 * SECTION_FLOATS];
    values[..4].copy_from_slice(&WEIGHT.to_le_bytes());
    let section = |name: &str, offset, bytes: &[u8]| SectionEntry {
        name: name.into(),
        offset,
        floats: bytes.len() as u64 / 4,
        digest: Sha256::digest(bytes).into(),
    };
    let header = Header {
        model_digest: PROGRAM.model_digest,
        sections: vec![
            section("s0", 0, &values),
            section("tail", SECTION_FLOATS as u64, &[]),
        ],
    };
    let mut file = header.to_bytes().expect("two short names").to_vec();
    file.extend(values);
    std::fs::write(path, file).expect("weights are written");
}
