//! Comparing the folders that two runs dumped to.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use tessera_tests::compare;

/// That both folders hold the same files.
pub fn same(a: &Path, b: &Path) -> Result<()> {
    let mut files = 0;
    for entry in fs::read_dir(a)? {
        let path = entry?.path();
        let other = b.join(path.file_name().context("a name")?);
        ensure!(
            fs::read(&path)? == fs::read(&other)?,
            "{} differs",
            path.display()
        );
        files += 1;
    }
    ensure!(files > 0, "nothing to compare");
    Ok(())
}

/// That the last layer in both folders is equal, or, for Winograd's kernels, near: tiles begin where firings do.
pub fn near(a: &Path, b: &Path, equal: bool) -> Result<()> {
    let values = |dir: &Path| -> Result<Vec<f32>> {
        let files = fs::read_dir(dir)?.map(|e| Ok(e?.path()));
        let files = files.collect::<Result<Vec<_>>>()?;
        compare::read_f32(files.iter().max().context("a layer")?)
    };
    let (a, b) = (values(a)?, values(b)?);
    let off = compare::distance(&a, &b);
    ensure!(!b.is_empty() && b.iter().any(|v| *v != 0.0), "no values");
    ensure!(
        off <= if equal { 0.0 } else { 1e-4 },
        "off by {off} of the rms"
    );
    Ok(())
}
