//! Which of two systems has less, in the paper and here.

use std::fmt::Write as _;

use super::Section;
use crate::{
    published::Devices,
    systems::{GRIDS, SYSTEMS},
};

/// Values of a system of the paper for one to six: ours, and the paper's.
#[derive(Clone, Debug)]
pub struct Compared {
    /// Index in [`SYSTEMS`].
    pub system: usize,
    /// The grid, if the system has one.
    pub grid: Option<[usize; 2]>,
    /// Our values.
    pub ours: Vec<f64>,
    /// The paper's.
    pub paper: Devices,
}

/// Two systems on the same grids.
struct Pair {
    systems: [usize; 2],
    /// Comparisons: on every grid, of every count.
    cases: usize,
    /// Those of which the winner is another than in the paper, with the grid and the count.
    other: Vec<([usize; 2], usize)>,
}

/// Every two systems of the paper on every grid that the paper's values are known of. A system without a grid is compared with
/// all that have one.
fn pairs(rows: &[Compared]) -> Vec<Pair> {
    let mut pairs: Vec<Pair> = Vec::new();
    for grid in GRIDS {
        let of = rows.iter().filter(|r| r.grid.is_none_or(|g| g == grid));
        let of: Vec<&Compared> = of.collect();
        for (k, row) in of.iter().enumerate() {
            for other in &of[k + 1..] {
                let systems = [row.system, other.system];
                let known = pairs.iter().position(|p| p.systems == systems);
                let at = known.unwrap_or_else(|| {
                    pairs.push(Pair {
                        systems,
                        cases: 0,
                        other: Vec::new(),
                    });
                    pairs.len() - 1
                });
                let papers = row.paper.iter().zip(&other.paper);
                let all = papers.zip(row.ours.iter().zip(&other.ours));
                for (n, ((p, q), (a, b))) in (1..).zip(all) {
                    pairs[at].cases += 1;
                    if (p < q) != (a < b) {
                        pairs[at].other.push((grid, n));
                    }
                }
            }
        }
    }
    pairs
}

/// In how many cases the winner is the paper's, and a table of all pairs; `counted` is what one to six counts.
pub fn show(rows: &[Compared], counted: &str, out: &mut Section) {
    let pairs = pairs(rows);
    let cases: usize = pairs.iter().map(|p| p.cases).sum();
    let other: usize = pairs.iter().map(|p| p.other.len()).sum();
    let _ = writeln!(
        out.text,
        "\nOf two systems of the paper on one grid and as many {counted}, the one with less is the same as in the paper in {} of {cases} cases:",
        cases - other,
    );
    let line = |p: &Pair| {
        let [a, b] = p.systems.map(|s| SYSTEMS[s].name);
        vec![
            format!("{a} and {b}"),
            format!("{} of {}", p.cases - p.other.len(), p.cases),
            where_other(&p.other),
        ]
    };
    let lines: Vec<Vec<String>> = pairs.iter().map(line).collect();
    let last = format!("not, with so many {counted}");
    out.table(&["systems", "as in the paper", &last], &lines);
}

/// `3x3: 5, 6; 4x4: 6`.
fn where_other(other: &[([usize; 2], usize)]) -> String {
    let of_grid = |of: &[([usize; 2], usize)]| {
        let [r, c] = of[0].0;
        let counts: Vec<String> = of.iter().map(|(_, n)| n.to_string()).collect();
        format!("{r}x{c}: {}", counts.join(", "))
    };
    let grids: Vec<String> = other.chunk_by(|a, b| a.0 == b.0).map(of_grid).collect();
    grids.join("; ")
}

#[cfg(test)]
mod tests {
    use super::where_other;

    #[test]
    fn grids_are_named_once() {
        let cases = [([3, 3], 5), ([3, 3], 6), ([4, 4], 1)];
        assert_eq!(where_other(&cases), "3x3: 5, 6; 4x4: 1");
        assert_eq!(where_other(&[]), "");
    }
}
