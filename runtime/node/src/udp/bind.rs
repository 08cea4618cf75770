//! The rules for the addresses that a node may bind to.
//!
//! Boards do not authenticate each other yet: a peer that reaches a node's port can take part, feed the node
//! frames and end its run. So nodes bind to loopback addresses unless the command line allows others.

use std::net::SocketAddr;

/// Why a node refuses to bind to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Other machines can reach the address.
    #[error(
        "will not listen on {0}: boards do not authenticate each other yet, so everybody who reaches that address could take part; listen on a loopback address (127.0.0.1:PORT), or give --insecure-lan on a network that you trust"
    )]
    NotLoopback(SocketAddr),
    /// The gateway is on another machine, and answers need an address that the gateway can reach.
    #[error(
        "the gateway {0} is not on this machine: reaching it means listening on the network, and boards do not authenticate each other yet; give --insecure-lan on a network that you trust"
    )]
    GatewayElsewhere(SocketAddr),
    /// A loopback address cannot reach another machine.
    #[error(
        "listening on {listen} cannot reach the gateway {gateway}: one is loopback, the other is not"
    )]
    Apart {
        /// The address that the node listens on.
        listen: SocketAddr,
        /// The gateway's address.
        gateway: SocketAddr,
    },
    /// The address cannot be a gateway's.
    #[error("{0} is no address of a gateway: give the address and port on which it listens")]
    NoGateway(SocketAddr),
}

fn is_loopback(a: SocketAddr) -> bool {
    a.ip().to_canonical().is_loopback()
}

/// Checks an address to listen on. Returns `Ok(true)` when other machines can reach the address, which calls
/// for a warning.
///
/// # Errors
/// [`BindError::NotLoopback`] when other machines can reach the address and `insecure_lan` is not set.
pub fn check(listen: SocketAddr, insecure_lan: bool) -> Result<bool, BindError> {
    match (is_loopback(listen), insecure_lan) {
        (true, _) => Ok(false),
        (false, true) => Ok(true),
        (false, false) => Err(BindError::NotLoopback(listen)),
    }
}

/// The address an edge listens on: `asked`, or an ephemeral port of loopback for a gateway there,
/// of all interfaces otherwise.
///
/// # Errors
/// When the gateway cannot be reached from there, or `insecure_lan` is missing; see [`BindError`].
pub fn edge_address(
    asked: Option<SocketAddr>,
    gateway: SocketAddr,
    insecure_lan: bool,
) -> Result<SocketAddr, BindError> {
    if gateway.port() == 0 || gateway.ip().is_unspecified() || gateway.ip().is_multicast() {
        return Err(BindError::NoGateway(gateway));
    }
    let here = is_loopback(gateway);
    if !here && !insecure_lan {
        return Err(BindError::GatewayElsewhere(gateway));
    }
    let listen = asked.unwrap_or_else(|| {
        let ip = match (gateway, here) {
            (SocketAddr::V4(_), true) => std::net::Ipv4Addr::LOCALHOST.into(),
            (SocketAddr::V4(_), false) => std::net::Ipv4Addr::UNSPECIFIED.into(),
            (SocketAddr::V6(_), true) => std::net::Ipv6Addr::LOCALHOST.into(),
            (SocketAddr::V6(_), false) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        SocketAddr::new(ip, 0)
    });
    if is_loopback(listen) && !here {
        return Err(BindError::Apart { listen, gateway });
    }
    Ok(listen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_loopback_without_the_flag() {
        for text in [
            "127.0.0.1:0",
            "127.9.9.9:7",
            "[::1]:7",
            "[::ffff:127.0.0.1]:7",
        ] {
            assert_eq!(check(at(text), false), Ok(false), "{text}");
        }
        for text in [
            "0.0.0.0:0",
            "192.168.1.2:7",
            "[::]:7",
            "[::ffff:10.0.0.1]:7",
        ] {
            let e = check(at(text), false).unwrap_err();
            assert!(e.to_string().contains("--insecure-lan"), "{e}");
            assert_eq!(check(at(text), true), Ok(true), "{text}");
        }
    }

    #[test]
    fn an_edge_listens_where_its_gateway_can_answer() {
        let ok = |asked: Option<&str>, gateway: &str, lan| {
            edge_address(asked.map(at), at(gateway), lan).map(|a| a.to_string())
        };
        assert_eq!(ok(None, "127.0.0.1:7", false).unwrap(), "127.0.0.1:0");
        assert_eq!(ok(None, "[::1]:7", false).unwrap(), "[::1]:0");
        assert_eq!(ok(None, "10.0.0.1:7", true).unwrap(), "0.0.0.0:0");
        assert_eq!(ok(None, "[fd00::1]:7", true).unwrap(), "[::]:0");
        assert_eq!(
            ok(Some("127.0.0.2:5"), "127.0.0.1:7", false).unwrap(),
            "127.0.0.2:5"
        );
        let e = ok(None, "10.0.0.1:7", false).unwrap_err();
        assert!(e.to_string().contains("--insecure-lan"), "{e}");
        assert!(matches!(
            ok(Some("127.0.0.1:0"), "10.0.0.1:7", true),
            Err(BindError::Apart { .. })
        ));
        for none in ["127.0.0.1:0", "0.0.0.0:7", "224.0.0.1:7"] {
            assert!(
                matches!(ok(None, none, true), Err(BindError::NoGateway(_))),
                "{none}"
            );
        }
    }
}
