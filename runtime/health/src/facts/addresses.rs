//! The board's own addresses.

use std::net::Ipv4Addr;

/// Addresses of IPv4 of all interfaces, loopback too; none where the system does not tell.
pub fn addresses() -> Vec<Ipv4Addr> {
    let all = nix::ifaddrs::getifaddrs().into_iter().flatten();
    let of_v4 = all.filter_map(|i| Some(i.address?.as_sockaddr_in()?.ip()));
    of_v4.collect()
}
