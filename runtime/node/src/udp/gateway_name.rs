//! The name of a gateway: an address, or a host name that the system can resolve.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs},
    process::{Command, Stdio},
    str::FromStr,
};

/// Most addresses of one host name that a node tries.
const ADDRESSES_MAX: usize = 16;
/// Longest host name, in bytes (RFC 1035).
const HOST_BYTES_MAX: usize = 253;

/// Host and port of a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayName {
    host: Host,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Address(SocketAddr),
    Name(String),
}

/// Why a text is no gateway name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GatewayNameError {
    /// The text has no port.
    #[error("the port is missing: give the one that the gateway listens on, as in {0}:7400")]
    NoPort(String),
    /// The port is no valid port number.
    #[error("{0:?} is no port: give a number from 1 to 65535, as in {1}:7400")]
    BadPort(String, String),
    /// An IPv6 address without brackets, so that its end and the port are ambiguous.
    #[error("an IPv6 address stands in brackets, as in [{0}]:7400")]
    NoBrackets(String),
    /// The text is no gateway name for another reason.
    #[error(
        "this is no host and port: write them as in 192.168.1.10:7400, raspberrypi.local:7400 or [fd00::10]:7400"
    )]
    Other,
}

impl FromStr for GatewayName {
    type Err = GatewayNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self {
                host: Host::Address(address),
                port: address.port(),
            });
        }
        if text.parse::<Ipv6Addr>().is_ok() {
            return Err(GatewayNameError::NoBrackets(text.into()));
        }
        let bracketed = text.strip_prefix('[').and_then(|t| t.split_once(']'));
        let (host, port) = match bracketed {
            Some((host, rest)) if host.contains(':') => (host, rest.strip_prefix(':')),
            Some(_) => return Err(GatewayNameError::Other),
            None => match text.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let known = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
        let is_host = bracketed.is_some() || host.chars().all(known);
        if host.is_empty() || host.len() > HOST_BYTES_MAX || !is_host {
            return Err(GatewayNameError::Other);
        }
        let shown = || match bracketed {
            Some(_) => format!("[{host}]"),
            None => host.to_string(),
        };
        let port = port.ok_or_else(|| GatewayNameError::NoPort(shown()))?;
        match port.parse() {
            Ok(port @ 1..) => Ok(Self {
                host: Host::Name(host.into()),
                port,
            }),
            _ => Err(GatewayNameError::BadPort(port.into(), shown())),
        }
    }
}

impl fmt::Display for GatewayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(address) => address.fmt(f),
            Host::Name(host) if host.contains(':') => write!(f, "[{host}]:{}", self.port),
            Host::Name(host) => write!(f, "{host}:{}", self.port),
        }
    }
}

impl GatewayName {
    /// Whether the name is a host name, which may resolve to another address at another time.
    pub const fn is_looked_up(&self) -> bool {
        matches!(self.host, Host::Name(_))
    }

    /// Resolves the name to its current addresses. May take seconds.
    ///
    /// # Errors
    /// The error of the system's resolver.
    pub fn addresses(&self) -> std::io::Result<Vec<SocketAddr>> {
        let host = match &self.host {
            Host::Address(address) => return Ok(vec![*address]),
            Host::Name(host) => host.as_str(),
        };
        match (host, self.port).to_socket_addrs() {
            Ok(found) => Ok(found.take(ADDRESSES_MAX).collect()),
            Err(e) => {
                // A static binary cannot load what knows the names of mDNS; the system's own program can.
                let found = ask_system(host).into_iter().take(ADDRESSES_MAX);
                let found: Vec<_> = found.map(|ip| SocketAddr::new(ip, self.port)).collect();
                if found.is_empty() { Err(e) } else { Ok(found) }
            }
        }
    }
}

/// Addresses by `getent`, which asks what the system is set up to ask (`/etc/nsswitch.conf`).
fn ask_system(host: &str) -> Vec<IpAddr> {
    let mut getent = Command::new("getent");
    getent.args(["ahosts", "--", host]).stdin(Stdio::null());
    let said = getent.output().map(|o| o.stdout).unwrap_or_default();
    let mut found = Vec::new();
    for line in String::from_utf8_lossy(&said).lines() {
        let ip = line.split_whitespace().next().and_then(|w| w.parse().ok());
        found.extend(ip.filter(|ip| !found.contains(ip)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        text.parse::<GatewayName>().unwrap().to_string()
    }

    fn refused(text: &str) -> String {
        text.parse::<GatewayName>().unwrap_err().to_string()
    }

    #[test]
    fn addresses_and_names() {
        for text in [
            "192.168.1.10:7400",
            "[fd00::10]:7400",
            "[fe80::1%eth0]:7400",
            "raspberrypi.local:7400",
            "gate_way-2:1",
            "küche.local:65535",
        ] {
            assert_eq!(shown(text), text);
        }
        let looked_up = |text: &str| text.parse::<GatewayName>().unwrap().is_looked_up();
        assert!(looked_up("pi:7400") && !looked_up("10.0.0.1:7400"));
    }

    #[test]
    fn refusals_show_what_to_write() {
        for (text, words) in [
            ("192.168.1.10", "as in 192.168.1.10:7400"),
            ("raspberrypi.local", "the port is missing"),
            ("[fd00::10]", "as in [fd00::10]:7400"),
            ("fd00::10", "in brackets, as in [fd00::10]:7400"),
            ("::1", "in brackets"),
            ("pi:", "\"\" is no port"),
            ("pi:0", "a number from 1"),
            ("pi:70000", "\"70000\" is no port"),
            ("pi:port", "as in pi:7400"),
            ("", "no host and port"),
            (":7400", "no host and port"),
            ("udp://pi:7400", "no host and port"),
            ("my pi:7400", "no host and port"),
            ("[pi]:7400", "no host and port"),
            ("a:b:7400", "no host and port"),
            (&format!("{}:7400", "x".repeat(254)), "no host and port"),
        ] {
            assert!(refused(text).contains(words), "{text}: {}", refused(text));
        }
    }

    #[test]
    fn names_are_found() {
        let address: GatewayName = "127.0.0.1:7400".parse().unwrap();
        assert_eq!(
            address.addresses().unwrap(),
            ["127.0.0.1:7400".parse().unwrap()]
        );
        let name: GatewayName = "localhost:7400".parse().unwrap();
        let found = name.addresses().unwrap();
        assert!(
            found
                .iter()
                .all(|a| a.ip().is_loopback() && a.port() == 7400)
        );
        assert!(!found.is_empty());
        let none: GatewayName = "nobody.invalid:7400".parse().unwrap();
        assert!(none.addresses().is_err());
        assert!(ask_system("localhost").iter().all(IpAddr::is_loopback));
    }
}
