//! Numbers of processes, threads and flows, on which nodes agree without speaking of them.

/// What a node does beside its workers: leases that it gives.
pub const LEASES: u32 = 2;
/// The gateway's own layers.
pub const TAIL: u32 = 3;
/// The first worker.
pub const WORKERS: u32 = 10;
/// Frames of a source.
pub const FRAMES: u32 = 100;
/// Objects that a node fetches, in as many lanes as there are at a time.
pub const PULLS: u32 = 200;
/// Objects that a node hands over.
pub const SERVES: u32 = 300;
/// Heartbeats and their answers, by which clocks are compared.
pub const CLOCK: u32 = 1;
/// Most lanes of pulls, and of serves.
pub const LANES_MAX: u32 = 90;

/// The process of a node: the gateway, number 0, comes first.
pub fn process(node: u16) -> u32 {
    u32::from(node) + 1
}

/// The flow from a lease that a source gives to the task that a board computes for it.
pub fn lease(owner: u16, frame: u32, task: u32, board: u16) -> u64 {
    flow(&[1, owner.into(), frame, task, board.into()])
}

/// The flow from a board that fetches an object to the one that hands it over.
pub fn pull(receiver: u16, pull: u32, holder: u16) -> u64 {
    flow(&[2, receiver.into(), pull, holder.into()])
}

/// FNV-1a in 52 bits, never 0: numbers that JSON's readers keep exactly.
fn flow(parts: &[u32]) -> u64 {
    let bytes = parts.iter().flat_map(|p| p.to_le_bytes());
    let fold = |h: u64, b: u8| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325, fold);
    ((hash >> 12) ^ (hash & 0xfff)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_are_exact_in_floating_point_and_differ() {
        let all: std::collections::BTreeSet<u64> = (0..1000)
            .flat_map(|n| {
                [
                    lease(1, n, 3, 2),
                    lease(2, n, 3, 1),
                    pull(1, n, 2),
                    pull(2, n, 1),
                ]
            })
            .collect();
        assert_eq!(all.len(), 4000);
        assert!(all.iter().all(|id| (1..1 << 53).contains(id)));
    }
}
