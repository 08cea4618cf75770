//! What computing and sending cost: constants with their origin, and a schedule of one frame.

/// Sustained rate of one Cortex-A53 core at 1.2 GHz on these layers, in floating-point operations
/// per second: 26.0 GFLOP in 13.56 s (DeepThings 2018, figure 1: Raspberry Pi 3 B with NNPACK).
pub const CORE_FLOPS: f64 = 1.92e9;
/// Cores of the gateway board (Raspberry Pi 3 B).
pub const GATEWAY_CORES: f64 = 4.0;
/// Goodput of the channel that all boards share, in bytes per second: 100 Mbit/s.
pub const CHANNEL_BYTES_PER_S: f64 = 100e6 / 8.0;
/// What a task costs beyond its arithmetic: messages, scheduling, in seconds.
pub const TASK_OVERHEAD_S: f64 = 2e-3;

/// One task, as the schedule sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Work {
    /// Multiply-adds.
    pub macs: u64,
    /// Bytes that reach a node other than the source.
    pub input_bytes: u64,
    /// Bytes that reach the gateway.
    pub output_bytes: u64,
}

/// Seconds of arithmetic on `cores` cores.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
pub fn compute_s(macs: u64, cores: f64) -> f64 {
    2.0 * macs as f64 / (CORE_FLOPS * cores)
}

/// Seconds on the channel.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
pub fn link_s(bytes: u64) -> f64 {
    bytes as f64 / CHANNEL_BYTES_PER_S
}

/// Seconds from a frame's arrival at its source to its last tile's arrival at the gateway, on
/// `edges` nodes of `workers` cores that share one channel: every free core takes the next task;
/// all but the source's own fetch its input first.
pub fn stage_s(tasks: &[Work], edges: usize, workers: usize) -> f64 {
    let mut free = vec![0.0f64; edges.max(1) * workers.max(1)];
    let mut channel = 0.0f64;
    let mut done = 0.0f64;
    for t in tasks {
        let (core, at) = free
            .iter()
            .copied()
            .enumerate()
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .unwrap_or((0, 0.0));
        let mut begin = at;
        if core >= workers.max(1) {
            channel = channel.max(at) + link_s(t.input_bytes);
            begin = channel;
        }
        let end = begin + compute_s(t.macs, 1.0) + TASK_OVERHEAD_S;
        free[core] = end;
        channel = channel.max(end) + link_s(t.output_bytes);
        done = done.max(channel);
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_edges_help_until_the_channel_is_full() {
        let task = Work {
            macs: 960_000_000,
            input_bytes: 125_000,
            output_bytes: 12_500,
        };
        let tasks = [task; 12];
        let one = stage_s(&tasks, 1, 1);
        assert!((12.0..12.3).contains(&one), "{one}");
        let six = stage_s(&tasks, 6, 1);
        assert!((2.0..2.4).contains(&six), "{six}");
        let heavy = [Work {
            input_bytes: 125_000_000,
            ..task
        }; 12];
        assert!(stage_s(&heavy, 6, 1) > stage_s(&tasks, 6, 1));
    }
}
