//! Weights as Winograd kernels multiply them.

use std::io::Write;

use tessera_plan::kernel::winograd::GAP;

use super::{PackError, sink::Sink};
use crate::kernel::winograd::transform;

/// `G g G^T` of a block of `nr` output channels: per part of `depth` input channels, per point, per input
/// channel. `of(lane, channel)` are the nine weights of a pair, if there is one. Computed in double
/// precision, rounded once.
#[expect(clippy::cast_possible_truncation, reason = "rounded once, here")]
pub(super) fn block<'a, W: Write>(
    m: usize,
    [cin, depth]: [usize; 2],
    nr: usize,
    of: impl Fn(usize, usize) -> Option<&'a [f32]>,
    out: &mut Sink<W>,
) -> Result<(), PackError> {
    let g = transform::weights_matrix(m);
    let dot = |row: &[f64; 3], x: [f64; 3]| row[0] * x[0] + row[1] * x[1] + row[2] * x[2];
    for first in (0..cin).step_by(depth) {
        let part = first..cin.min(first + depth);
        for rows in &g {
            // G's row by the weights: a row of three.
            let halfway: Vec<[f64; 3]> = part
                .clone()
                .flat_map(|ci| (0..nr).map(move |l| (l, ci)))
                .map(|(l, ci)| {
                    let w = of(l, ci);
                    std::array::from_fn(|kx| {
                        w.map_or(0.0, |w| {
                            dot(rows, [0, 3, 6].map(|ky| f64::from(w[ky + kx])))
                        })
                    })
                })
                .collect();
            for columns in &g {
                let point = halfway.iter().map(|x| dot(columns, *x) as f32);
                out.extend(point.chain([0.0; GAP]))?;
            }
        }
    }
    Ok(())
}
