//! A team of threads that share the rows of a layer.

use std::ops::Range;

/// Threads that split a layer's rows. A team of one runs in place and owns no thread.
#[derive(Debug)]
pub struct Team {
    pool: Option<rayon::ThreadPool>,
}

impl Team {
    /// The caller's thread alone.
    pub const fn solo() -> Self {
        Self { pool: None }
    }

    /// `threads` threads; 0 and 1 mean the caller's alone.
    ///
    /// # Errors
    /// When the system refuses to start threads.
    pub fn new(threads: usize) -> Result<Self, rayon::ThreadPoolBuildError> {
        if threads <= 1 {
            return Ok(Self::solo());
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()?;
        Ok(Self { pool: Some(pool) })
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.pool
            .as_ref()
            .map_or(1, rayon::ThreadPool::current_num_threads)
    }

    /// Splits `y`, rows `rows` of `row_floats` values each, and calls `f(range, part)` for every part.
    /// Which thread computes a row never changes its bits.
    ///
    /// # Panics
    /// If `y` does not hold exactly these rows.
    pub fn rows(
        &self,
        rows: Range<usize>,
        row_floats: usize,
        y: &mut [f32],
        f: impl Fn(Range<usize>, &mut [f32]) + Sync,
    ) {
        // Not generic inside: emitted crates call this once per layer and chain, and the thread
        // pool's machinery would be compiled anew for every call.
        self.split(rows, row_floats, y, &f);
    }

    fn split(
        &self,
        rows: Range<usize>,
        row_floats: usize,
        y: &mut [f32],
        f: &(dyn Fn(Range<usize>, &mut [f32]) + Sync),
    ) {
        assert_eq!(
            y.len(),
            rows.len() * row_floats,
            "a firing's rows fill their place"
        );
        let Some(pool) = &self.pool else {
            return f(rows, y);
        };
        let per_part = rows.len().div_ceil(pool.current_num_threads()).max(1);
        pool.scope(|scope| {
            for (i, part) in y.chunks_mut((per_part * row_floats).max(1)).enumerate() {
                let first = rows.start + i * per_part;
                let end = (first + per_part).min(rows.end);
                scope.spawn(move |_| f(first..end, part));
            }
        });
    }
}
