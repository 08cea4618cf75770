//! Programs for the tests in here.

use super::{ProgramInfo, TaskInfo};
use crate::{program::Port, region::Region};

/// A box of rows and columns, all of `c` channels.
pub fn region(y: [u32; 2], x: [u32; 2], c: u32) -> Region {
    Region { y, x, c: [0, c] }
}

/// Two stages over an `8n x 8n x 2` frame with a halo of one pixel: a grid of `n x n` tiles, then
/// `n` bands. The tail reads both stages' maps.
pub fn two_stages(n: u32) -> ProgramInfo {
    let side = 8 * n;
    let grown = |lo: u32, hi: u32| [lo.saturating_sub(1), (hi + 1).min(side)];
    let mut tasks = Vec::new();
    for i in 0..n {
        for j in 0..n {
            let (y, x) = ([8 * i, 8 * i + 8], [8 * j, 8 * j + 8]);
            tasks.push(TaskInfo {
                stage: 0,
                inputs: vec![Port {
                    tensor: 0,
                    region: region(grown(y[0], y[1]), grown(x[0], x[1]), 2),
                }],
                outputs: vec![Port {
                    tensor: 1,
                    region: region(y, x, 3),
                }],
                ..TaskInfo::default()
            });
        }
    }
    for i in 0..n {
        let y = [8 * i, 8 * i + 8];
        tasks.push(TaskInfo {
            stage: 1,
            inputs: vec![Port {
                tensor: 1,
                region: region(grown(y[0], y[1]), [0, side], 3),
            }],
            outputs: vec![Port {
                tensor: 2,
                region: region(y, [0, side], 2),
            }],
            ..TaskInfo::default()
        });
    }
    let maps = [2, 3, 2].map(|c| Region::whole(side, side, c));
    ProgramInfo::new([7; 32], [9; 32], maps.to_vec(), tasks, vec![1, 2]).expect("a sound program")
}
