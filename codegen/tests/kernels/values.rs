/// A fixed sequence of values around zero.
struct Values(u64);

impl Values {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        ((self.0 >> 40) as f32 / 16_777_216.0 - 0.5) * 2.0
    }

    fn list(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.next()).collect()
    }
}

fn activate(name: &str, v: f64) -> f64 {
    match name {
        "linear" => v,
        "relu" => v.max(0.0),
        "relu6" => v.clamp(0.0, 6.0),
        "leaky" => if v > 0.0 { v } else { 0.1 * v },
        "relie" => if v > 0.0 { v } else { 0.01 * v },
        "ramp" => v.max(0.0) + 0.1 * v,
        "mish" => v * v.exp().ln_1p().tanh(),
        "swish" => v / (1.0 + (-v).exp()),
        "logistic" => 1.0 / (1.0 + (-v).exp()),
        "tanh" => v.tanh(),
        other => panic!("no oracle for {other}"),
    }
}

