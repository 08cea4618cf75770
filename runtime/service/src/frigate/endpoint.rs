//! Where Frigate connects to, in ZeroMQ's words, and who may.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener as StdTcp},
    os::unix::{
        fs::FileTypeExt,
        net::{UnixListener as StdUnix, UnixStream as StdUnixStream},
    },
    path::PathBuf,
    str::FromStr,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
};

/// Most addresses of `--zmq-allow`.
const ALLOWED_MAX: usize = 64;

/// An address to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `tcp://ADDR:PORT`; `*` is every address.
    Tcp(SocketAddr),
    /// `ipc://PATH`.
    Ipc(PathBuf),
}

/// Why a text is no endpoint, or no list of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Neither of the two.
    #[error("give tcp://ADDRESS:PORT, as in tcp://127.0.0.1:5555, or ipc:///PATH")]
    Endpoint,
    /// An address is none.
    #[error("give addresses between commas, as in 192.168.1.20,192.168.1.21, or any")]
    Allowed,
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("ipc://") {
            return match path.starts_with('/') {
                true => Ok(Self::Ipc(path.into())),
                false => Err(EndpointError::Endpoint),
            };
        }
        let at = text.strip_prefix("tcp://").ok_or(EndpointError::Endpoint)?;
        if let Some(port) = at.strip_prefix("*:") {
            let port = port.parse().map_err(|_| EndpointError::Endpoint)?;
            return Ok(Self::Tcp((Ipv4Addr::UNSPECIFIED, port).into()));
        }
        at.parse()
            .map(Self::Tcp)
            .map_err(|_| EndpointError::Endpoint)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(at) => write!(f, "tcp://{at}"),
            Self::Ipc(path) => write!(f, "ipc://{}", path.display()),
        }
    }
}

impl Endpoint {
    /// Whether other machines may reach it.
    pub const fn is_reached_from_elsewhere(&self) -> bool {
        match self {
            Self::Tcp(at) => !at.ip().is_loopback(),
            Self::Ipc(_) => false,
        }
    }

    /// Listens there. A socket file that nobody listens at any more gives way, as with ZeroMQ's own sockets.
    ///
    /// # Errors
    /// When the system does not give the address.
    pub fn listen(&self) -> io::Result<Listener> {
        let listener = match self {
            Self::Tcp(at) => Listener::Tcp(StdTcp::bind(at)?),
            Self::Ipc(path) => Listener::Ipc(match StdUnix::bind(path) {
                Err(e) if e.kind() == io::ErrorKind::AddrInUse => {
                    let is_socket = path.symlink_metadata()?.file_type().is_socket();
                    if !is_socket || StdUnixStream::connect(path).is_ok() {
                        return Err(e);
                    }
                    std::fs::remove_file(path)?;
                    StdUnix::bind(path)?
                }
                bound => bound?,
            }),
        };
        match &listener {
            Listener::Tcp(l) => l.set_nonblocking(true)?,
            Listener::Ipc(l) => l.set_nonblocking(true)?,
        }
        Ok(listener)
    }
}

/// A bound endpoint.
#[derive(Debug)]
pub enum Listener {
    /// Of TCP.
    Tcp(StdTcp),
    /// Of this machine.
    Ipc(StdUnix),
}

/// A bound endpoint in tokio's hands.
pub enum Accepting {
    Tcp(TcpListener),
    Ipc(UnixListener),
}

/// A connection.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Who has connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// A machine.
    Ip(IpAddr),
    /// A process of this machine.
    Here,
}

impl From {
    /// In words.
    pub fn shown(self) -> String {
        match self {
            Self::Ip(ip) => ip.to_string(),
            Self::Here => "this machine".into(),
        }
    }
}

impl Listener {
    /// The endpoint with the port that the system chose.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn endpoint(&self) -> io::Result<Endpoint> {
        Ok(match self {
            Self::Tcp(l) => Endpoint::Tcp(l.local_addr()?),
            Self::Ipc(l) => {
                let at = l.local_addr()?;
                Endpoint::Ipc(at.as_pathname().map_or_else(PathBuf::new, Into::into))
            }
        })
    }

    /// Hands it to tokio.
    pub(super) fn for_tokio(self) -> io::Result<Accepting> {
        Ok(match self {
            Self::Tcp(l) => Accepting::Tcp(TcpListener::from_std(l)?),
            Self::Ipc(l) => Accepting::Ipc(UnixListener::from_std(l)?),
        })
    }
}

impl Accepting {
    /// The next connection.
    pub async fn accept(&self) -> io::Result<(Box<dyn Stream>, From)> {
        match self {
            Self::Tcp(l) => {
                let (stream, peer) = l.accept().await?;
                // A reply is whole: nothing is gained by waiting for more of it.
                let _ = stream.set_nodelay(true);
                Ok((Box::new(stream), From::Ip(peer.ip().to_canonical())))
            }
            Self::Ipc(l) => Ok((Box::new(l.accept().await?.0), From::Here)),
        }
    }
}

/// Which machines may connect. This machine always may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Allowed {
    /// This machine alone.
    #[default]
    Nobody,
    /// Every machine.
    Any,
    /// These.
    These(Vec<IpAddr>),
}

impl FromStr for Allowed {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "any" {
            return Ok(Self::Any);
        }
        let each = text.split(',').map(|ip| ip.trim().parse::<IpAddr>());
        let each = each.map(|ip| ip.map(|ip| ip.to_canonical()));
        let list: Vec<IpAddr> = each
            .collect::<Result<_, _>>()
            .map_err(|_| EndpointError::Allowed)?;
        match list.len() <= ALLOWED_MAX {
            true => Ok(Self::These(list)),
            false => Err(EndpointError::Allowed),
        }
    }
}

impl Allowed {
    /// Whether this peer may connect.
    pub fn may(&self, peer: From) -> bool {
        match (peer, self) {
            (From::Here, _) | (_, Self::Any) => true,
            (From::Ip(ip), _) if ip.is_loopback() => true,
            (From::Ip(ip), Self::These(list)) => list.contains(&ip),
            (From::Ip(_), Self::Nobody) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_as_zeromq_writes_them() {
        for (text, shown, elsewhere) in [
            ("tcp://127.0.0.1:5555", "tcp://127.0.0.1:5555", false),
            ("tcp://*:5555", "tcp://0.0.0.0:5555", true),
            ("tcp://[fd00::1]:1", "tcp://[fd00::1]:1", true),
            (
                "ipc:///tmp/cache/zmq_detector",
                "ipc:///tmp/cache/zmq_detector",
                false,
            ),
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!(endpoint.to_string(), shown);
            assert_eq!(endpoint.is_reached_from_elsewhere(), elsewhere);
        }
        for text in [
            "",
            "127.0.0.1:5555",
            "tcp://hub:5555",
            "tcp://*",
            "ipc://relative",
            "inproc://x",
        ] {
            assert_eq!(
                text.parse::<Endpoint>(),
                Err(EndpointError::Endpoint),
                "{text}"
            );
        }
    }

    #[test]
    fn others_may_connect_by_their_addresses() {
        let at = |text: &str| From::Ip(text.parse().unwrap());
        let list: Allowed = "192.168.1.20, fd00::2".parse().unwrap();
        for (peer, some, none) in [
            (at("192.168.1.20"), true, false),
            (at("192.168.1.21"), false, false),
            (at("fd00::2"), true, false),
            (at("127.0.0.1"), true, true),
            (From::Here, true, true),
        ] {
            assert_eq!(list.may(peer), some);
            assert_eq!(Allowed::Nobody.may(peer), none);
            assert!("any".parse::<Allowed>().unwrap().may(peer));
        }
        assert_eq!("hub".parse::<Allowed>(), Err(EndpointError::Allowed));
        assert_eq!("".parse::<Allowed>(), Err(EndpointError::Allowed));
    }

    #[test]
    fn a_socket_file_of_the_past_gives_way_and_nothing_else_does() {
        let dir = std::env::temp_dir().join(format!("tessera-zmq-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let endpoint = Endpoint::Ipc(dir.join("socket"));
        let first = endpoint.listen().unwrap();
        assert!(endpoint.listen().is_err(), "somebody listens there");
        drop(first);
        endpoint.listen().unwrap();
        let file = dir.join("file");
        std::fs::write(&file, "kept").unwrap();
        assert!(Endpoint::Ipc(file.clone()).listen().is_err());
        assert_eq!(std::fs::read_to_string(file).unwrap(), "kept");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
