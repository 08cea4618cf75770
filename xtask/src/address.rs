//! Addresses of boards as people write them: a host name, an IPv4 or an IPv6 address, with a port or without.

use std::net::Ipv6Addr;

/// The host of an address that may have a port; an IPv6 address without its brackets.
pub fn host(address: &str) -> &str {
    if let Some(inner) = address.strip_prefix('[') {
        return inner.split_once(']').map_or(inner, |(host, _)| host);
    }
    match address.split_once(':') {
        Some((host, port)) if !port.contains(':') => host,
        _ => address,
    }
}

/// `host` with `port`, as URLs have it: an IPv6 address in brackets.
pub fn with_port(host: &str, port: u16) -> String {
    if host.parse::<Ipv6Addr>().is_ok() {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_with_ports_and_without() {
        for (address, found) in [
            ("pi-3", "pi-3"),
            ("pi-3.local:7400", "pi-3.local"),
            ("192.168.1.10", "192.168.1.10"),
            ("192.168.1.10:7400", "192.168.1.10"),
            ("fd00::10", "fd00::10"),
            ("[fd00::10]", "fd00::10"),
            ("[fd00::10]:7400", "fd00::10"),
        ] {
            assert_eq!(host(address), found, "{address}");
        }
        assert_eq!(with_port("fd00::10", 80), "[fd00::10]:80");
        assert_eq!(with_port("pi-3", 80), "pi-3:80");
    }
}
