//! Shares of a grid's rows and columns, for boards of different speeds.

use tessera_plan::limits::STAGE_TILES_MAX;

/// Shares of rows and of columns, above 0. Empty lists stand for equal shares.
pub type Shares = [Vec<u64>; 2];

/// Sum of an axis' shares, about.
const WHOLE: f64 = 1000.0;
/// Rates that differ by less than this part count as equal.
const EQUAL: f64 = 0.02;

/// Shares that give every tile of a grid to one of the `rates` in their order, row by row. A grid has one cut per
/// row and per column, so a tile's share is the product of both: exact for one row or one column. `None` when there
/// are more tiles than rates, or all rates are about equal.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "shares lie between 1 and 1000"
)]
pub fn shares(rates: &[f64], [rows, cols]: [usize; 2]) -> Option<Shares> {
    if rows == 0 || cols == 0 || rows.checked_mul(cols)? > rates.len().min(STAGE_TILES_MAX) {
        return None;
    }
    let tiles = &rates[..rows * cols];
    let most = tiles.iter().copied().fold(0.0, f64::max);
    if tiles.iter().all(|r| most - r <= EQUAL * most) {
        return None;
    }
    let all: f64 = tiles.iter().sum();
    let share = |sum: f64| ((WHOLE * sum / all).round() as u64).max(1);
    let ys = (0..rows).map(|r| tiles[r * cols..(r + 1) * cols].iter().sum());
    let xs = (0..cols).map(|c| tiles.iter().skip(c).step_by(cols).sum());
    Some([ys.map(share).collect(), xs.map(share).collect()])
}

#[cfg(test)]
mod tests {
    use super::shares;

    #[test]
    fn tiles_get_their_part_of_all_rates() {
        let rates = [4.0, 2.0, 2.0, 1.0, 1.0];
        assert_eq!(
            shares(&rates, [5, 1]),
            Some([vec![400, 200, 200, 100, 100], vec![1000]])
        );
        assert_eq!(
            shares(&rates, [2, 2]),
            Some([vec![667, 333], vec![667, 333]])
        );
        assert_eq!(shares(&rates, [1, 2]), Some([vec![1000], vec![667, 333]]));
        // Equal boards, more tiles than boards, no tiles.
        assert_eq!(shares(&[2.0, 2.0, 1.99], [3, 1]), None);
        assert_eq!(shares(&rates, [2, 3]), None);
        assert_eq!(shares(&rates, [0, 3]), None);
    }
}
