use strip::Strip;

/// A kernel and what it should compute.
struct Case {
    name: &'static str,
    m: usize,
    cin: usize,
    x_stride: usize,
    y_stride: usize,
    nr: usize,
    lanes: usize,
    activation: &'static str,
    /// Outputs are maxima of squares of this side: 1 or 2.
    side: usize,
    /// Input channels of a part of V, points of all parts, and values between neighbouring ones.
    depth: usize,
    planes: usize,
    gap: usize,
    /// Values of U.
    u: usize,
    /// Values of M per tile.
    product: usize,
    input: fn(&[f32], &[usize], &mut Strip, usize),
    channels: fn(&[f32], &[f32], &mut [f32], &mut Strip, usize, usize, usize),
}

const MARK: u32 = 0x7fc0_1234;

/// Largest error over the root mean square of a kernel's outputs.
struct Errors {
    largest: f64,
    squares: f64,
    count: usize,
}

impl Case {
    /// Computes rows `rows` of the map whose input row `y` begins at `at[y]`, into `y`.
    fn run(&self, x: &[f32], at: &[usize], w: &[f32], y: &mut [f32], y_row: usize, cols: usize, rows: std::ops::Range<usize>) {
        let across = cols.div_ceil(self.m);
        let down = rows.len().div_ceil(self.m);
        let tiles = across * down;
        let last = rows.end + 1;
        // What memory holds must not matter.
        let plane = tiles * self.depth + self.gap;
        let mut v = vec![f32::from_bits(MARK); self.planes * plane];
        let mut work = vec![f32::from_bits(MARK); self.u + tiles * self.product];
        for i in 0..down {
            let taps: Vec<usize> = (0..self.m + 2).map(|k| at[(rows.start + i * self.m + k).min(last)]).collect();
            let own = i * across * self.depth..(i + 1) * across * self.depth;
            (self.input)(x, &taps, &mut Strip::new(&mut v, plane, own), cols);
        }
        let mut y = Strip::new(y, self.y_stride, 0..self.lanes);
        (self.channels)(&v, w, &mut work, &mut y, y_row, cols, rows.len());
    }

    fn check(&self, cols: usize, rows: usize, values: &mut Values, errors: &mut Errors) -> Result<(), String> {
        // Rows lie anywhere, the last one at the very end.
        let reach = (cols + 1) * self.x_stride + self.cin;
        let at: Vec<usize> = (0..rows + 2).map(|y| (y * 7919) % (3 * reach)).collect();
        let x = values.list(at.iter().max().unwrap() + reach);
        let mut w = values.list(self.nr * (1 + 9 * self.cin));
        for (i, w) in w.iter_mut().enumerate() {
            if i % self.nr >= self.lanes {
                *w = 0.0;
            }
        }
        let side = self.side;
        let [down, across] = [rows / side, cols / side];
        let y_row = (across + 2) * self.y_stride;
        let mut y = vec![f32::from_bits(MARK); (down - 1) * y_row + (across - 1) * self.y_stride + self.lanes];
        self.run(&x, &at, &w, &mut y, y_row, cols, 0..rows);
        for (i, got) in y.iter().enumerate() {
            let (row, in_row) = (i / y_row, i % y_row);
            let (col, lane) = (in_row / self.y_stride, in_row % self.y_stride);
            if lane >= self.lanes || col >= across {
                if got.to_bits() != MARK {
                    return Err(format!("row {row}, column {col}: lane {lane} is not the kernel's, but written"));
                }
                continue;
            }
            let sum = |row: usize, col: usize| {
                let mut sum = f64::from(w[lane]);
                for ky in 0..3 {
                    for kx in 0..3 {
                        for c in 0..self.cin {
                            let x = x[at[row + ky] + (col + kx) * self.x_stride + c];
                            let w = w[self.nr * (1 + (ky * 3 + kx) * self.cin + c) + lane];
                            sum += f64::from(x) * f64::from(w);
                        }
                    }
                }
                sum
            };
            let square = (0..side * side).map(|i| sum(side * row + i / side, side * col + i % side));
            // Activations that pools follow grow with their argument.
            let sum = square.fold(f64::MIN, f64::max);
            let want = activate(self.activation, sum);
            let error = (f64::from(*got) - want).abs();
            // Also refuses values that are no numbers.
            if !(error < 1e-2) {
                return Err(format!("row {row}, column {col}, lane {lane}: {got}, not {want}"));
            }
            errors.largest = errors.largest.max(error);
            errors.squares += sum * sum;
            errors.count += 1;
        }
        // The same bits in blocks of fewer rows, as threads share them.
        let m = self.m;
        if rows > m {
            let mut parts = vec![f32::from_bits(MARK); y.len()];
            self.run(&x, &at, &w, &mut parts, y_row, cols, 0..m);
            self.run(&x, &at, &w, &mut parts[m / side * y_row..], y_row, cols, m..rows);
            if parts.iter().zip(&y).any(|(a, b)| a.to_bits() != b.to_bits()) {
                return Err("other bits in parts".into());
            }
        }
        Ok(())
    }

    /// Calls that a kernel must refuse rather than read or write out of bounds.
    fn check_bounds(&self, values: &mut Values) -> Result<(), String> {
        let (cols, rows) = (self.m + self.side, self.m);
        let reach = (cols + 1) * self.x_stride + self.cin;
        let x = values.list(reach);
        let tiles = 2;
        let plane = tiles * self.depth + self.gap;
        let width = tiles * self.depth;
        let refused = |x: &[f32], tap: usize, v: usize, cols: usize, own: std::ops::Range<usize>| {
            let (mut v, taps) = (vec![0.0; v], vec![tap; self.m + 2]);
            let mut v = Strip::new(&mut v, plane, own);
            let call = std::panic::AssertUnwindSafe(|| (self.input)(x, &taps, &mut v, cols));
            std::panic::catch_unwind(call).is_err()
        };
        let v = (self.planes - 1) * plane + width;
        let mut calls = vec![
            ("good input", refused(&x, 0, v, cols, 0..width), false),
            ("short input", refused(&x[1..], 0, v, cols, 0..width), true),
            ("far tap", refused(&x, 1, v, cols, 0..width), true),
            ("absurd tap", refused(&x, usize::MAX, v, cols, 0..width), true),
            ("short V", refused(&x, 0, v - 1, cols, 0..width), true),
            ("narrow row", refused(&x, 0, v, self.m - 1, 0..width), true),
            ("absurd row", refused(&x, 0, v, usize::MAX, 0..width), true),
            ("tiles of others", refused(&x, 0, v, cols, 0..width - 1), true),
            ("tiles behind the last", refused(&x, 0, v, cols, 1..width + 1), true),
        ];
        let v = self.planes * plane;
        let y_row = cols / self.side * self.y_stride;
        let y = (rows / self.side - 1) * y_row + (cols / self.side - 1) * self.y_stride + self.lanes;
        let work = self.u + tiles * self.product;
        let refused = |v: usize, w: usize, work: usize, y: usize, y_row: usize, cols: usize, rows: usize| {
            let (v, w, mut work, mut y) = (vec![0.0; v], vec![0.0; w], vec![0.0; work], vec![0.0; y]);
            let mut y = Strip::new(&mut y, self.y_stride, 0..self.lanes);
            let call = std::panic::AssertUnwindSafe(|| (self.channels)(&v, &w, &mut work, &mut y, y_row, cols, rows));
            std::panic::catch_unwind(call).is_err()
        };
        let w = self.nr * (1 + 9 * self.cin);
        calls.extend([
            ("good block", refused(v, w, work, y, y_row, cols, rows), false),
            ("V too short", refused(v - 1, w, work, y, y_row, cols, rows), true),
            ("short weights", refused(v, w - 1, work, y, y_row, cols, rows), true),
            ("short U", refused(v, w, self.u - 1, y, y_row, cols, rows), true),
            ("short M", refused(v, w, work - 1, y, y_row, cols, rows), true),
            ("half a square", refused(v, w, work, y, y_row, cols - 1, rows), self.side > 1),
            ("half a row of squares", refused(v, w, work, y, y_row, cols, rows - 1), self.side > 1),
            ("short output", refused(v, w, work, y - 1, y_row, cols, rows), true),
            ("rows of parts of pixels", refused(v, w, work, 2 * y, y_row + 1, cols, rows), self.y_stride > 1),
            ("long rows", refused(v, w, work, y, usize::MAX / 2, cols, rows), true),
            ("narrow block", refused(v, w, work, y, y_row, self.m - self.side, rows), true),
            ("no row", refused(v, w, work, y, y_row, cols, 0), true),
        ]);
        match calls.iter().find(|(_, got, want)| got != want) {
            None => Ok(()),
            Some((name, ..)) => Err(format!("{name}: wrongly accepted or refused")),
        }
    }
}

fn main() {
    if let Err(what) = kernels::check_cpu() {
        println!("this processor has no {what}");
        return;
    }
    std::panic::set_hook(Box::new(|_| {}));
    let mut values = Values(1);
    let mut wrong = 0;
    for case in CASES {
        let m = case.m;
        let mut errors = Errors { largest: 0.0, squares: 0.0, count: 0 };
        let shapes = [(m, m), (m + 1, 1), (2 * m + 1, 2 * m + 1), (19, m + 1), (40, 3 * m)];
        let result = shapes
            .iter()
            .try_for_each(|(cols, rows)| {
                let [cols, rows] = [cols, rows].map(|n| n.next_multiple_of(case.side));
                let checked = case.check(cols, rows, &mut values, &mut errors);
                checked.map_err(|e| format!("{rows} x {cols}, {e}"))
            })
            .and_then(|()| case.check_bounds(&mut values));
        let error = errors.largest / (errors.squares / errors.count.max(1) as f64).sqrt();
        let limit = if m == 6 { 7e-5 } else { 1e-5 };
        let result = result.and(if error < limit { Ok(()) } else { Err(format!("an error of {error:.1e}")) });
        eprintln!("{}: {error:.1e}", case.name);
        if let Err(e) = result {
            println!("{}: {e}", case.name);
            wrong += 1;
        }
    }
    if wrong > 0 {
        std::process::exit(1);
    }
    println!("{} kernels agree", CASES.len());
}
