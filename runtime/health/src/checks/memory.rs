//! Memory.

use crate::{Finding, Kind, facts::Board};

/// Free memory below this many bytes, and below this part of all, is little.
const LEAST_BYTES: u64 = 32 << 20;
const LEAST_PART: u64 = 20;

pub fn check(before: &Board, now: &Board) -> Vec<Finding> {
    let memory = &now.memory;
    let mut found = Vec::new();
    if let (Some(total), Some(available)) = (memory.total, memory.available)
        && available < LEAST_BYTES.max(total / LEAST_PART)
    {
        found.push(Finding::fault(
            Kind::LittleMemory,
            format!("{} of {} are free", mib(available), mib(total)),
            format!("/proc/meminfo MemAvailable = {} kB", available >> 10),
            "end other programs, give the node fewer --workers, or plan with --memory",
        ));
    }
    if let Some(group) = &memory.group {
        let limit = format!("/{}: limit {}", group.folder, group.limit);
        if group.room() < group.limit / LEAST_PART {
            found.push(Finding::fault(
                Kind::MemoryLimit,
                format!(
                    "the group of this process may use {}, and uses {}",
                    mib(group.limit),
                    mib(group.used)
                ),
                format!("{limit}, used {}", group.used),
                "raise its limit (MemoryMax= of the systemd unit), or plan with --memory",
            ));
        }
        if group.killed > 0 {
            found.push(Finding::fault(
                Kind::KilledForMemory,
                format!(
                    "the system has ended {} processes of this group, which may use {}, for want of memory",
                    group.killed,
                    mib(group.limit)
                ),
                format!("{limit}, oom_kill {}", group.killed),
                "raise its limit (MemoryMax= of the systemd unit), or plan with --memory",
            ));
        }
    }
    if let (Some(then), Some(now)) = (before.memory.swapped_out_pages, memory.swapped_out_pages)
        && now > then
    {
        found.push(Finding::fault(
            Kind::Swapping,
            "memory is being written to a disk or card",
            format!("/proc/vmstat pswpout rose by {}", now - then),
            "end other programs, give the node fewer --workers, or plan with --memory",
        ));
    }
    found
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}
