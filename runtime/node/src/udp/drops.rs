//! Counts the datagrams that the kernel dropped at a socket, from `/proc/self/net/udp`.

use std::os::fd::AsFd;

/// The `drops` column of the socket's line; `None` when the file has no such line.
pub fn of(socket: impl AsFd) -> Option<u64> {
    let inode = nix::sys::stat::fstat(socket).ok()?.st_ino.to_string();
    ["/proc/self/net/udp", "/proc/self/net/udp6"]
        .iter()
        .find_map(|table| find(&std::fs::read_to_string(table).ok()?, &inode))
}

/// Columns: `sl local remote st queues tr:when retransmits uid timeout inode ref pointer drops`.
fn find(table: &str, inode: &str) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let its = words.nth(9)?;
        let drops = words.nth(2)?;
        (its == inode).then(|| drops.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_found_by_inode() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  386: 0100007F:1F90 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 12345 2 0000000000000000 0
  387: 0100007F:1F91 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 12346 2 0000000000000000 17
";
        assert_eq!(find(table, "12346"), Some(17));
        assert_eq!(find(table, "12345"), Some(0));
        assert_eq!(find(table, "1"), None);
        assert_eq!(find("nothing\nof the kind", "1"), None);
    }
}
