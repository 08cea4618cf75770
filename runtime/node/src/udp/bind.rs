//! The rules for the addresses that a node may bind to.
//!
//! Without keys, whoever reaches a node's port can take part, feed the node frames and end its run. So nodes without keys stay
//! on loopback, where they are for trying things out.

use std::net::SocketAddr;

/// Why a node refuses to bind to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Other machines can reach the address.
    #[error(
        "will not listen on {0} without keys: everybody who reaches that address could take part. Make keys with `cargo xtask cluster init`, copy cluster.toml, NAME.key and cluster.secret to the board, and start the node with --config cluster.toml --name NAME; or listen on a loopback address (127.0.0.1:PORT) to try things out"
    )]
    NotLoopback(SocketAddr),
    /// The gateway is on another machine, and answers need an address that the gateway can reach.
    #[error(
        "the gateway {0} is not on this machine, and this node has no keys: everybody on the network could take part. Make keys with `cargo xtask cluster init`, copy cluster.toml, NAME.key and cluster.secret to the board, and start the node with --config cluster.toml --name NAME"
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

/// Checks an address to listen on.
///
/// # Errors
/// [`BindError::NotLoopback`] when other machines can reach the address and the node has no keys.
pub fn check(listen: SocketAddr, has_keys: bool) -> Result<(), BindError> {
    if has_keys || is_loopback(listen) {
        Ok(())
    } else {
        Err(BindError::NotLoopback(listen))
    }
}

/// The address an edge listens on: `asked`, or an ephemeral port of loopback for a gateway there,
/// of all interfaces otherwise.
///
/// # Errors
/// When the gateway cannot be reached from there, or keys are missing; see [`BindError`].
pub fn edge_address(
    asked: Option<SocketAddr>,
    gateway: SocketAddr,
    has_keys: bool,
) -> Result<SocketAddr, BindError> {
    if gateway.port() == 0 || gateway.ip().is_unspecified() || gateway.ip().is_multicast() {
        return Err(BindError::NoGateway(gateway));
    }
    let here = is_loopback(gateway);
    if !here && !has_keys {
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
    fn only_loopback_without_keys() {
        for text in [
            "127.0.0.1:0",
            "127.9.9.9:7",
            "[::1]:7",
            "[::ffff:127.0.0.1]:7",
        ] {
            assert_eq!(check(at(text), false), Ok(()), "{text}");
        }
        for text in [
            "0.0.0.0:0",
            "192.168.1.2:7",
            "[::]:7",
            "[::ffff:10.0.0.1]:7",
        ] {
            let e = check(at(text), false).unwrap_err();
            assert!(e.to_string().contains("--config cluster.toml"), "{e}");
            assert_eq!(check(at(text), true), Ok(()), "{text}");
        }
    }

    #[test]
    fn an_edge_listens_where_its_gateway_can_answer() {
        let ok = |asked: Option<&str>, gateway: &str, keys| {
            edge_address(asked.map(at), at(gateway), keys).map(|a| a.to_string())
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
        assert!(e.to_string().contains("--config cluster.toml"), "{e}");
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
