/// A kernel and what it should compute.
struct Case {
    name: &'static str,
    size: usize,
    stride: usize,
    dilation: usize,
    cin: usize,
    x_stride: usize,
    y_stride: usize,
    mr: usize,
    nr: usize,
    lanes: usize,
    depthwise: bool,
    activation: &'static str,
    /// Outputs are maxima of squares of this side: 1 or 2.
    side: usize,
    run: fn(&[f32], &[usize], &[f32], &mut [f32], usize, bool),
}

impl Case {
    /// Values from a tap to behind the last one that a row of `cols` pixels reads.
    fn reach(&self, cols: usize) -> usize {
        let channels = if self.depthwise { self.lanes } else { self.cin };
        ((cols - 1) * self.stride + (self.size - 1) * self.dilation) * self.x_stride + channels
    }

    /// The value and the sum of magnitudes that bounds its rounding.
    fn oracle(&self, x: &[f32], taps: &[usize], w: &[f32], col: usize, lane: usize) -> (f64, f64) {
        let mut sum = f64::from(w[lane]);
        let mut size = sum.abs();
        let mut at = self.nr + lane;
        for tap in taps {
            for kx in 0..self.size {
                let first = tap + (col * self.stride + kx * self.dilation) * self.x_stride;
                let depth = if self.depthwise { lane..lane + 1 } else { 0..self.cin };
                for c in depth {
                    let product = f64::from(x[first + c]) * f64::from(w[at]);
                    sum += product;
                    size += product.abs();
                    at += self.nr;
                }
            }
        }
        (activate(self.activation, sum), size)
    }

    /// Every row of sums of an output row, by its taps.
    fn rows(&self, x: &[f32], taps: &[Vec<usize>], w: &[f32], y: &mut [f32], cols: usize) {
        for (row, taps) in taps.iter().enumerate() {
            (self.run)(x, taps, w, y, cols, row > 0);
        }
    }

    fn check(&self, cols: usize, values: &mut Values) -> Result<(), String> {
        let side = self.side;
        let cols = cols.next_multiple_of(side);
        // Taps in any order and place: rows may lie anywhere, the last one at the very end.
        let reach = self.reach(cols);
        let taps = |row: usize| (0..self.size).map(|ky| (ky * 7919 + row) % (reach + 3)).collect();
        let taps: Vec<Vec<usize>> = (0..side).map(taps).collect();
        let x = values.list(taps.iter().flatten().max().unwrap_or(&0) + reach);
        let depth = if self.depthwise { 1 } else { self.cin };
        let mut w = values.list(self.nr * (1 + self.size * self.size * depth));
        // Channels that do not exist are packed as zeros.
        for (i, w) in w.iter_mut().enumerate() {
            if i % self.nr >= self.lanes {
                *w = 0.0;
            }
        }
        let mark = f32::from_bits(0x7fc0_1234);
        let len = |cols: usize| (cols / side - 1) * self.y_stride + self.lanes;
        let mut y = vec![mark; len(cols)];
        self.rows(&x, &taps, &w, &mut y, cols);
        for (i, got) in y.iter().enumerate() {
            let (col, lane) = (i / self.y_stride, i % self.y_stride);
            if lane >= self.lanes {
                if got.to_bits() != mark.to_bits() {
                    return Err(format!("column {col}: lane {lane} is not the kernel's, but written"));
                }
                continue;
            }
            let square = taps.iter().flat_map(|taps| (side * col..side * (col + 1)).map(move |c| (taps, c)));
            let sums = square.map(|(taps, col)| self.oracle(&x, taps, &w, col, lane));
            let (want, size) = sums.fold((f64::MIN, 0.0), |(a, b), (c, d)| (c.max(a), d.max(b)));
            let error = (f64::from(*got) - want).abs();
            if !(error <= 1e-6 + 4e-7 * size) {
                return Err(format!("column {col}, lane {lane}: {got}, not {want}"));
            }
        }
        // The same bits wherever a pixel lies in its row.
        for first in (0..=cols - self.mr).step_by(side) {
            let shift = first * self.stride * self.x_stride;
            let moved: Vec<Vec<usize>> = taps.iter().map(|row| row.iter().map(|t| t + shift).collect()).collect();
            let mut part = vec![mark; len(self.mr)];
            self.rows(&x, &moved, &w, &mut part, self.mr);
            let whole = &y[first / side * self.y_stride..];
            if part.iter().zip(whole).any(|(a, b)| a.to_bits() != b.to_bits()) {
                return Err(format!("other bits for a row that begins at column {first}"));
            }
        }
        Ok(())
    }

    /// Calls that a kernel must refuse rather than read or write out of bounds.
    fn check_bounds(&self, values: &mut Values) -> Result<(), String> {
        let cols = self.mr + self.side;
        let reach = self.reach(cols);
        let x = values.list(reach);
        let w = vec![0.0; self.nr * (1 + self.size * self.size * if self.depthwise { 1 } else { self.cin })];
        let y = vec![0.0; (cols / self.side - 1) * self.y_stride + self.lanes];
        let refused = |x: &[f32], tap: usize, w: &[f32], y_len: usize, cols: usize| {
            let mut y = y[..y_len].to_vec();
            let taps = vec![tap; self.size];
            let call = std::panic::AssertUnwindSafe(|| (self.run)(x, &taps, w, &mut y, cols, false));
            std::panic::catch_unwind(call).is_err()
        };
        let calls = [
            ("good", refused(&x, 0, &w, y.len(), cols), false),
            ("short input", refused(&x[1..], 0, &w, y.len(), cols), true),
            ("far tap", refused(&x, 1, &w, y.len(), cols), true),
            ("absurd tap", refused(&x, usize::MAX, &w, y.len(), cols), true),
            ("short weights", refused(&x, 0, &w[1..], y.len(), cols), true),
            ("short output", refused(&x, 0, &w, y.len() - 1, cols), true),
            ("half a square", refused(&x, 0, &w, y.len(), cols - 1), self.side > 1),
            ("narrow row", refused(&x, 0, &w, y.len(), self.mr - self.side), true),
            ("absurd row", refused(&x, 0, &w, y.len(), usize::MAX), true),
        ];
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
        let widths = [case.mr, case.mr + 1, 2 * case.mr + 1, 19, 40];
        let result = widths
            .iter()
            .filter(|cols| **cols >= case.mr)
            .try_for_each(|cols| case.check(*cols, &mut values).map_err(|e| format!("{cols} columns, {e}")))
            .and_then(|()| case.check_bounds(&mut values));
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
