//! What one core can do at best: a loop of nothing but fused multiply-adds, to compare kernels with.

/// Fused multiply-adds of one vector in the loop.
#[cfg(target_arch = "x86_64")]
const TURNS: usize = 1 << 20;

/// float32 operations per second of one core with AVX2 and FMA, two per fused multiply-add; `None`
/// where they are missing. Takes a few milliseconds; other processes can only lower it.
pub fn flops() -> Option<f64> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        let begun = std::time::Instant::now();
        // SAFETY: the processor has AVX2 and FMA.
        let sums = unsafe { fused(TURNS, std::hint::black_box(0.999)) };
        std::hint::black_box(sums);
        let seconds = begun.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        return Some((2 * SUMS * 8 * TURNS) as f64 / seconds.max(1e-9));
    }
    None
}

/// Independent sums: more than the four cycles of latency of two units need.
#[cfg(target_arch = "x86_64")]
const SUMS: usize = 12;

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn fused(turns: usize, factor: f32) -> [std::arch::x86_64::__m256; SUMS] {
    use std::arch::x86_64::{_mm256_fmadd_ps, _mm256_set1_ps};
    let mut sums = [_mm256_set1_ps(1.0); SUMS];
    let (factor, addend) = (_mm256_set1_ps(factor), _mm256_set1_ps(1e-3));
    for _ in 0..turns {
        for sum in &mut sums {
            *sum = _mm256_fmadd_ps(*sum, factor, addend);
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_peak_is_positive() {
        if let Some(flops) = super::flops() {
            assert!(flops.is_finite() && flops > 0.0);
        }
    }
}
