//! How fast kernels are: tables that `cargo xtask calibrate` measures on a machine or estimates for one.
//!
//! Only convolutions of 3x3 windows, one apart, have a choice of kernels, so only these are in a
//! table: every kernel at a few numbers of channels and sizes of maps. A layer is taken to be as fast
//! as the row nearest to it, where nearness is distance between logarithms. Winograd kernels compute whole tiles,
//! so a layer of them takes the time of its tiles, and of the weights' transform.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::target::Target;

/// Version of a table's form. A change of meaning raises it.
pub const SCHEMA: u32 = 1;
/// Most rows of a table.
const ROWS_MAX: usize = 4096;
/// Most bytes of a table's text.
pub const BYTES_MAX: usize = 1 << 20;
/// Largest number of channels or side of a map.
const SIZE_MAX: usize = 1 << 20;

/// The shipped tables: core, target, text.
pub const SHIPPED: [(&str, Target, &str); 4] = [
    (
        "cortex-a53",
        Target::Aarch64,
        include_str!("../../costs/aarch64-cortex-a53.toml"),
    ),
    (
        "cortex-a72",
        Target::Aarch64,
        include_str!("../../costs/aarch64-cortex-a72.toml"),
    ),
    (
        "cortex-a53",
        Target::Armv7,
        include_str!("../../costs/armv7-cortex-a53.toml"),
    ),
    (
        "cortex-a72",
        Target::Armv7,
        include_str!("../../costs/armv7-cortex-a72.toml"),
    ),
];

/// A table of speeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostTable {
    /// [`SCHEMA`] of the writer.
    pub schema: u32,
    /// Name of the target whose kernels were measured.
    pub target: String,
    /// Name of the processor.
    pub core: String,
    /// Where the figures come from: when they were measured and with what spread, or from what they were
    /// estimated.
    pub how: String,
    /// The speeds, a row per kernel and layer.
    pub rows: Vec<Row>,
}

/// The speed of one kernel on one layer, by one thread.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The kernel of the row.
    pub kernel: Kernel,
    /// Input channels.
    pub cin: usize,
    /// Output channels.
    pub filters: usize,
    /// Rows and columns of the map.
    pub side: usize,
    /// 10^9 multiply-adds per second, counting those of a direct kernel.
    pub gmacs: f64,
}

/// A kind of kernel that a table measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kernel {
    /// A direct kernel: tap by tap.
    Direct,
    /// F(2x2, 3x3).
    Winograd2,
    /// F(4x4, 3x3).
    Winograd4,
    /// F(6x6, 3x3).
    Winograd6,
}

/// Tiles of a Winograd kernel that take as long as the transform of the weights between the same channels. Rows of the
/// shipped tables that differ in the size of maps alone lie within 12 % of it.
const TRANSFORM_TILES: f64 = 3.0;

impl Kernel {
    /// Side of the kernel's tiles; `None` for direct kernels.
    const fn tile(self) -> Option<usize> {
        match self {
            Self::Direct => None,
            Self::Winograd2 => Some(2),
            Self::Winograd4 => Some(4),
            Self::Winograd6 => Some(6),
        }
    }

    /// Pixels that the kernel computes for `size` (rows, columns): those of whole tiles.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn pixels(self, size: [usize; 2]) -> f64 {
        let whole = |n: usize| self.tile().map_or(n, |m| n.next_multiple_of(m));
        (whole(size[0]) * whole(size[1])) as f64
    }

    /// What the kernel does between two channels, in pixels: a Winograd kernel transforms weights too.
    #[expect(clippy::cast_precision_loss, reason = "small")]
    fn work(self, size: [usize; 2]) -> f64 {
        let transform = self
            .tile()
            .map_or(0.0, |m| TRANSFORM_TILES * (m * m) as f64);
        self.pixels(size) + transform
    }

    /// All kinds.
    pub const ALL: [Self; 4] = [
        Self::Direct,
        Self::Winograd2,
        Self::Winograd4,
        Self::Winograd6,
    ];

    /// The Winograd kernel with tiles of side `m`.
    pub const fn of_tile(m: usize) -> Option<Self> {
        match m {
            2 => Some(Self::Winograd2),
            4 => Some(Self::Winograd4),
            6 => Some(Self::Winograd6),
            _ => None,
        }
    }
}

/// Why a table cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CostError {
    /// Too long.
    #[error(
        "a cost table has at most {BYTES_MAX} bytes; make a new one with cargo xtask calibrate"
    )]
    Long,
    /// The text is no TOML of this form.
    #[error("{0}\n  help: make a new one with cargo xtask calibrate")]
    Syntax(String),
    /// Another version.
    #[error(
        "has schema {found}, this planner reads {SCHEMA}; make a new one with cargo xtask calibrate"
    )]
    Schema {
        /// What it says.
        found: u32,
    },
    /// No such target.
    #[error("target {found:?} is unknown; known are {}", Target::ALL.map(Target::name).join(", "))]
    Target {
        /// What it says.
        found: String,
    },
    /// The number of rows is out of bounds.
    #[error("has {found} rows; 1 to {ROWS_MAX} are possible")]
    Rows {
        /// Number of rows.
        found: usize,
    },
    /// A row makes no sense.
    #[error("row {row} (from 1): {what}")]
    Row {
        /// Number of the row, from 1.
        row: usize,
        /// What is wrong with the row.
        what: &'static str,
    },
    /// There are no rows of direct kernels.
    #[error("has no rows of direct kernels, which everything is compared with")]
    NoDirect,
}

impl CostTable {
    /// Reads and checks a table's text.
    ///
    /// # Errors
    /// When it is no table, of another version or target, or a row makes no sense.
    pub fn from_toml(text: &str) -> Result<Self, CostError> {
        if text.len() > BYTES_MAX {
            return Err(CostError::Long);
        }
        let table: Self = toml::from_str(text)
            .map_err(|e| CostError::Syntax(e.to_string().trim_end().to_owned()))?;
        if table.schema != SCHEMA {
            return Err(CostError::Schema {
                found: table.schema,
            });
        }
        if Target::from_name(&table.target).is_none() {
            return Err(CostError::Target {
                found: table.target,
            });
        }
        let found = table.rows.len();
        if !(1..=ROWS_MAX).contains(&found) {
            return Err(CostError::Rows { found });
        }
        for (i, r) in table.rows.iter().enumerate() {
            let bad = |what| CostError::Row { row: i + 1, what };
            if [r.cin, r.filters, r.side]
                .iter()
                .any(|n| !(1..=SIZE_MAX).contains(n))
            {
                return Err(bad("channels and sides are 1 or more, and below a million"));
            }
            if !(r.gmacs.is_finite() && r.gmacs > 0.0) {
                return Err(bad("gmacs must be above 0"));
            }
            let key = |r: &Row| (r.kernel, r.cin, r.filters, r.side);
            if table.rows[..i].iter().any(|o| key(o) == key(r)) {
                return Err(bad("the same kernel and layer as a row before"));
            }
        }
        if !table.rows.iter().any(|r| r.kernel == Kernel::Direct) {
            return Err(CostError::NoDirect);
        }
        Ok(table)
    }

    /// The text that [`Self::from_toml`] reads.
    pub fn to_toml(&self) -> String {
        let text = |s: &str| toml::Value::String(s.to_owned()).to_string();
        let mut out = format!(
            "schema = {}\ntarget = {}\ncore = {}\nhow = {}\nrows = [\n",
            self.schema,
            text(&self.target),
            text(&self.core),
            text(&self.how)
        );
        for r in &self.rows {
            let name = match r.kernel {
                Kernel::Direct => "direct",
                Kernel::Winograd2 => "winograd2",
                Kernel::Winograd4 => "winograd4",
                Kernel::Winograd6 => "winograd6",
            };
            out += &format!(
                "    {{ kernel = \"{name}\", cin = {}, filters = {}, side = {}, gmacs = {:.3} }},\n",
                r.cin, r.filters, r.side, r.gmacs
            );
        }
        out + "]\n"
    }

    /// Seconds that a kernel takes for `filters` output channels of `size` (rows, columns) pixels; `None` if
    /// the table has no rows of the kernel.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub fn seconds(
        &self,
        kernel: Kernel,
        cin: usize,
        filters: usize,
        size: [usize; 2],
    ) -> Option<f64> {
        let nearest = self.nearest(kernel, cin, filters, size)?;
        let channels = (cin * filters) as f64 / (nearest.cin * nearest.filters) as f64;
        let work = kernel.work(size) / kernel.work([nearest.side; 2]);
        Some(nearest.seconds() * channels * work)
    }

    /// The kernel's row that is nearest to a layer of `filters` output channels of `size` (rows, columns)
    /// pixels; `None` if the table has no rows of the kernel.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub fn nearest(
        &self,
        kernel: Kernel,
        cin: usize,
        filters: usize,
        size: [usize; 2],
    ) -> Option<&Row> {
        let side = kernel.pixels(size).sqrt();
        let near = |a: f64, b: usize| (a / b as f64).ln().powi(2);
        let mut best: Option<(f64, &Row)> = None;
        for r in self.rows.iter().filter(|r| r.kernel == kernel) {
            let least = best.map_or(f64::INFINITY, |b| b.0);
            // Most rows are too far by their channels alone.
            let mut distance = near(cin as f64, r.cin);
            if distance >= least {
                continue;
            }
            distance += near(filters as f64, r.filters);
            if distance >= least {
                continue;
            }
            distance += near(side, r.side);
            if distance < least {
                best = Some((distance, r));
            }
        }
        best.map(|b| b.1)
    }
}

impl Row {
    /// Seconds of the row's layer.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub fn seconds(&self) -> f64 {
        9.0 * (self.cin * self.filters * self.side * self.side) as f64 / (self.gmacs * 1e9)
    }
}

/// The table that is shipped for a core and target, if there is one.
pub fn shipped(core: &str, target: Target) -> Option<&'static CostTable> {
    static TABLES: LazyLock<Vec<Option<CostTable>>> = LazyLock::new(|| {
        let read = |(.., text): &(&str, Target, &str)| CostTable::from_toml(text).ok();
        SHIPPED.iter().map(read).collect()
    });
    let at = SHIPPED
        .iter()
        .position(|(c, t, _)| (*c, *t) == (core, target))?;
    TABLES[at].as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &str) -> String {
        format!(
            "schema = 1\ntarget = \"aarch64\"\ncore = \"c\"\nhow = \"drawn\"\nrows = [\n{rows}\n]\n"
        )
    }

    const DIRECT: &str =
        "{ kernel = \"direct\", cin = 64, filters = 128, side = 38, gmacs = 2.0 },";

    #[test]
    fn what_is_written_is_read() {
        let text = table(
            &(DIRECT.to_owned()
                + "{ kernel = \"winograd4\", cin = 64, filters = 128, side = 38, gmacs = 4.0 }"),
        );
        let t = CostTable::from_toml(&text).unwrap();
        assert_eq!(CostTable::from_toml(&t.to_toml()).unwrap(), t);
        // 9 * 64 * 128 * 38 * 38 multiply-adds at 2 and at 4 a nanosecond.
        let s = t.seconds(Kernel::Direct, 64, 128, [38, 38]).unwrap();
        assert!((s - 0.053_231_6).abs() < 1e-6, "{s}");
        let w = t.seconds(Kernel::Winograd4, 64, 128, [38, 38]).unwrap();
        assert!((s / w - 2.0).abs() < 1e-9);
        assert_eq!(t.seconds(Kernel::Winograd6, 64, 128, [38, 38]), None);
    }

    #[test]
    fn the_nearest_row_counts() {
        let row = |cin: usize, side: usize, gmacs: usize| {
            format!(
                "{{ kernel = \"direct\", cin = {cin}, filters = 64, side = {side}, gmacs = {gmacs} }},"
            )
        };
        let t = CostTable::from_toml(&table(
            &(row(16, 100, 1) + &row(64, 100, 2) + &row(64, 10, 3)),
        ))
        .unwrap();
        let rate = |cin: usize, size: [usize; 2]| {
            let s = t.seconds(Kernel::Direct, cin, 64, size).unwrap();
            (9 * cin * 64 * size[0] * size[1]) as f64 / s / 1e9
        };
        for (cin, size, want) in [
            (16, [100, 100], 1.0),
            (31, [90, 90], 1.0),
            (33, [90, 90], 2.0),
            (1024, [50, 50], 2.0),
            (64, [10, 10], 3.0),
            (64, [200, 4], 3.0),
        ] {
            assert!((rate(cin, size) - want).abs() < 1e-9, "{cin} {size:?}");
        }
    }

    #[test]
    fn tables_that_make_no_sense_are_refused() {
        let check = |text: String, said: &str| {
            let e = CostTable::from_toml(&text).unwrap_err().to_string();
            assert!(e.contains(said), "{e}");
        };
        check("nonsense".into(), "calibrate");
        check(table("").replace("[\n\n]", "[]"), "0 rows");
        check(
            table(DIRECT).replace("schema = 1", "schema = 9"),
            "schema 9",
        );
        check(
            table(DIRECT).replace("aarch64", "z80"),
            "\"z80\" is unknown",
        );
        check(table(DIRECT).replace("how", "why"), "unknown field");
        check(table(&DIRECT.replace("2.0", "0.0")), "row 1");
        check(table(&DIRECT.replace("2.0", "nan")), "above 0");
        check(table(&DIRECT.replace("= 64", "= 0")), "channels");
        check(table(&(DIRECT.to_owned() + DIRECT)), "row 2");
        check(
            table(&DIRECT.replace("direct", "winograd2")),
            "no rows of direct",
        );
        check(" ".repeat(BYTES_MAX + 1), "bytes");
    }

    #[test]
    fn shipped_tables_are_tables_of_their_targets() {
        for (core, target, text) in SHIPPED {
            let t = CostTable::from_toml(text).unwrap();
            assert_eq!((t.target.as_str(), t.core.as_str()), (target.name(), core));
            assert!(t.how.starts_with("estimated"), "{}", t.how);
            assert_eq!(shipped(core, target), Some(&t));
        }
        assert_eq!(shipped("z80", Target::Armv7), None);
    }
}
