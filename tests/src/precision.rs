//! Average precision, and the demo's evaluation pictures to measure it on.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// A box of class `class`: centre and size, relative to its picture.
#[derive(Clone, Copy, Debug)]
pub struct Thing {
    /// Number of the class.
    pub class: usize,
    /// Centre x, centre y, width, height.
    pub bbox: [f32; 4],
}

/// A detection on picture `picture`.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// Number of the picture.
    pub picture: usize,
    /// Score.
    pub score: f32,
    /// Class and box of the detection.
    pub thing: Thing,
}

/// Evaluation pictures on sheets, row by row, and the things in each picture.
#[derive(Debug, Deserialize)]
pub struct Sheets {
    /// Class names.
    pub names: Vec<String>,
    sheets: Vec<String>,
    columns: u32,
    rows: u32,
    width: u32,
    height: u32,
    /// For each picture: `[class, cx, cy, w, h]` of every thing, relative to the picture.
    pictures: Vec<Vec<[f32; 5]>>,
}

impl Sheets {
    /// Reads the list of sheets.
    ///
    /// # Errors
    /// When the list is missing or has another form.
    pub fn read(path: &Path) -> Result<Self> {
        Ok(serde_json::from_slice(&fs::read(path)?)?)
    }

    /// The things of every picture.
    pub fn things(&self) -> Vec<Vec<Thing>> {
        let thing = |v: &[f32; 5]| Thing {
            class: v[0] as usize,
            bbox: [v[1], v[2], v[3], v[4]],
        };
        let picture = |p: &Vec<[f32; 5]>| p.iter().map(thing).collect();
        self.pictures.iter().map(picture).collect()
    }

    /// Cuts the sheets, which lie in `from`, into one file per picture in `to`.
    ///
    /// # Errors
    /// When a sheet cannot be read, has another size, or a file cannot be written.
    pub fn cut(&self, from: &Path, to: &Path) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for name in &self.sheets {
            let sheet = tessera_picture::load(&from.join(name))?;
            ensure!(
                (sheet.width(), sheet.height())
                    == (self.columns * self.width, self.rows * self.height),
                "{name} has another size"
            );
            for n in 0..self.columns * self.rows {
                let x = (n % self.columns * self.width) as usize;
                let y = (n / self.columns * self.height) as usize;
                let mut file = format!("P6 {} {} 255\n", self.width, self.height).into_bytes();
                for row in y..y + self.height as usize {
                    for column in x..x + self.width as usize {
                        file.extend(sheet.pixel(column, row));
                    }
                }
                let path = to.join(format!("{:03}.ppm", files.len()));
                fs::write(&path, file)?;
                files.push(path);
            }
        }
        ensure!(
            files.len() == self.pictures.len(),
            "{} pictures",
            files.len()
        );
        Ok(files)
    }
}

/// Intersection over union of boxes given by centre and size.
fn iou(a: [f32; 4], b: [f32; 4]) -> f32 {
    let side = |k: usize| {
        let lo = (a[k] - a[k + 2] / 2.0).max(b[k] - b[k + 2] / 2.0);
        let hi = (a[k] + a[k + 2] / 2.0).min(b[k] + b[k + 2] / 2.0);
        (hi - lo).max(0.0)
    };
    let both = side(0) * side(1);
    both / (a[2] * a[3] + b[2] * b[3] - both)
}

/// Average precision of one class at an IoU above `limit`, all-point interpolated, between 0 and 1. In the order
/// of falling scores, a detection is right if no earlier detection took the true box that it overlaps most.
///
/// # Errors
/// When a detection names a picture that does not exist, or the pictures contain no thing of the class.
pub fn average(found: &[Found], things: &[Vec<Thing>], class: usize, limit: f32) -> Result<f64> {
    let mut found: Vec<&Found> = found.iter().filter(|f| f.thing.class == class).collect();
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    let total = things.iter().flatten().filter(|t| t.class == class).count();
    ensure!(total > 0, "nothing of class {class} to be found");
    let mut taken: Vec<Vec<bool>> = things.iter().map(|t| vec![false; t.len()]).collect();
    // Recall and precision after every detection.
    let mut curve = Vec::new();
    let mut right = 0;
    for (n, f) in (1..).zip(&found) {
        let here = things.get(f.picture).context("a picture")?;
        let overlap = |i: &usize| iou(f.thing.bbox, here[*i].bbox);
        let best = (0..here.len())
            .filter(|i| here[*i].class == class)
            .max_by(|a, b| overlap(a).total_cmp(&overlap(b)));
        if let Some(best) = best.filter(|b| overlap(b) > limit && !taken[f.picture][*b]) {
            taken[f.picture][best] = true;
            right += 1;
        }
        curve.push((
            f64::from(right) / total as f64,
            f64::from(right) / f64::from(n),
        ));
    }
    let mut sum = 0.0;
    let mut best = 0.0f64;
    for i in (0..curve.len()).rev() {
        best = best.max(curve[i].1);
        let before = if i == 0 { 0.0 } else { curve[i - 1].0 };
        sum += (curve[i].0 - before) * best;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precision_counts_every_thing_once() {
        let thing = |x: f32| Thing {
            class: 0,
            bbox: [x, 0.5, 0.1, 0.1],
        };
        let things = vec![vec![thing(0.2), thing(0.8)]];
        let found = |score: f32, x: f32| Found {
            picture: 0,
            score,
            thing: thing(x),
        };
        let check = |list: &[Found], want: f64| {
            let have = average(list, &things, 0, 0.5).unwrap();
            assert!((have - want).abs() < 1e-9, "{have} {want}");
        };
        check(&[], 0.0);
        check(&[found(0.9, 0.2), found(0.8, 0.8)], 1.0);
        check(&[found(0.9, 0.2), found(0.8, 0.2)], 0.5);
        check(
            &[found(0.9, 0.5), found(0.8, 0.8), found(0.7, 0.2)],
            2.0 / 3.0,
        );
    }
}
