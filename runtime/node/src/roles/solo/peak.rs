//! What one core can do at best: a loop of nothing but fused multiply-adds, to compare kernels with.

/// Turns of the loop.
#[cfg(target_arch = "x86_64")]
const TURNS: usize = 1 << 20;

/// Independent sums: more than the four cycles of latency of two units need.
#[cfg(target_arch = "x86_64")]
const SUMS: usize = 12;

/// float32 operations per second of one core with the instructions of `target`, two per fused
/// multiply-add; `None` where they are missing or nobody measures them. Takes a few milliseconds;
/// other processes can only lower it.
pub fn flops(target: &str) -> Option<f64> {
    #[cfg(target_arch = "x86_64")]
    {
        let factor = std::hint::black_box(0.999);
        let begun = std::time::Instant::now();
        let lanes = match target {
            "x86-64-v4" if is_x86_feature_detected!("avx512f") => {
                // SAFETY: the processor has AVX-512.
                std::hint::black_box(unsafe { fused_512(TURNS, factor) });
                16
            }
            "x86-64-v3" if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") => {
                // SAFETY: the processor has AVX2 and FMA.
                std::hint::black_box(unsafe { fused_256(TURNS, factor) });
                8
            }
            _ => return None,
        };
        let seconds = begun.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        return Some((2 * SUMS * lanes * TURNS) as f64 / seconds.max(1e-9));
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = target;
        None
    }
}

/// A loop over sums of one kind of vector.
#[cfg(target_arch = "x86_64")]
macro_rules! fused {
    ($name:ident, $features:literal, $vector:ident, $set:ident, $fused:ident) => {
        #[target_feature(enable = $features)]
        fn $name(turns: usize, factor: f32) -> [std::arch::x86_64::$vector; SUMS] {
            use std::arch::x86_64::{$fused, $set};
            let mut sums = [$set(1.0); SUMS];
            let (factor, addend) = ($set(factor), $set(1e-3));
            for _ in 0..turns {
                for sum in &mut sums {
                    *sum = $fused(*sum, factor, addend);
                }
            }
            sums
        }
    };
}

#[cfg(target_arch = "x86_64")]
fused!(
    fused_256,
    "avx2,fma",
    __m256,
    _mm256_set1_ps,
    _mm256_fmadd_ps
);
#[cfg(target_arch = "x86_64")]
fused!(
    fused_512,
    "avx512f",
    __m512,
    _mm512_set1_ps,
    _mm512_fmadd_ps
);

#[cfg(test)]
mod tests {
    #[test]
    fn a_peak_is_positive() {
        assert_eq!(super::flops("no such target"), None);
        for target in ["x86-64-v3", "x86-64-v4"] {
            if let Some(flops) = super::flops(target) {
                assert!(flops.is_finite() && flops > 0.0);
            }
        }
    }
}
