//! Boards that do not answer: what the network says of them.

use std::{
    fs,
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
    time::Duration,
};

use tessera_health::{Finding, Reach, Tcp, UdpReach, reach};

use super::boards::BoardAt;

/// Datagrams sent, and the time for what comes back of each. Linux says to one asker about once a second that nothing listens,
/// and the questions to a probe may have used that up.
const TRIES: u32 = 5;
const WITHIN: Duration = Duration::from_millis(800);
/// Longest wait for a connection.
const CONNECTED: Duration = Duration::from_secs(2);

/// The most likely reason.
pub fn check(board: &BoardAt, has_keys: bool) -> Finding {
    let addr = board.at.addr;
    let r = Reach {
        udp: udp(addr),
        tcp: tcp(addr),
        // Behind what was sent, so that the system has asked for it.
        is_neighbour: neighbour(addr),
        has_keys,
    };
    reach(&board.name, &addr.to_string(), r)
}

fn udp(addr: SocketAddr) -> UdpReach {
    let own: IpAddr = match addr {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let Ok(socket) = UdpSocket::bind((own, 0)) else {
        return UdpReach::NoWay;
    };
    let _ = socket.set_read_timeout(Some(WITHIN));
    let mut buffer = [0; 64];
    for _ in 0..TRIES {
        let tried = (socket.connect(addr))
            .and_then(|()| socket.send(b"?"))
            .and_then(|_| socket.recv(&mut buffer));
        match tried.map_err(|e| e.kind()) {
            Err(ErrorKind::ConnectionRefused) => return UdpReach::Refused,
            Ok(_) | Err(ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return UdpReach::NoWay,
        }
    }
    UdpReach::Silence
}

fn tcp(addr: SocketAddr) -> Tcp {
    match TcpStream::connect_timeout(&addr, CONNECTED).map_err(|e| e.kind()) {
        Ok(_) | Err(ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset) => Tcp::Answered,
        Err(ErrorKind::TimedOut | ErrorKind::WouldBlock) => Tcp::Silence,
        Err(_) => Tcp::NoWay,
    }
}

/// Lines of `/proc/net/arp`: `192.168.1.9 0x1 0x2 aa:bb:.. * eth0`; bit 1 of the flags says that the hardware address is known.
fn neighbour(addr: SocketAddr) -> Option<bool> {
    let table = fs::read_to_string("/proc/net/arp").ok()?;
    is_known(&table, addr.ip())
}

fn is_known(table: &str, ip: IpAddr) -> Option<bool> {
    let ip = ip.to_string();
    let of = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        (words.next()? == ip).then_some(())?;
        let flags = words.nth(1)?.strip_prefix("0x")?;
        Some(u32::from_str_radix(flags, 16).ok()? & 2 != 0)
    };
    table.lines().skip(1).find_map(of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::At;
    use tessera_health::Kind;

    #[test]
    fn neighbours() {
        let table = "IP address       HW type     Flags       HW address            Mask     Device\n\
            10.0.0.7         0x1         0x2         02:00:00:00:00:07     *        eth0\n\
            10.0.0.8         0x1         0x0         00:00:00:00:00:00     *        eth0\n";
        let of = |ip: &str| is_known(table, ip.parse().unwrap());
        assert_eq!(of("10.0.0.7"), Some(true));
        assert_eq!(of("10.0.0.8"), Some(false));
        assert_eq!(of("10.0.0.9"), None);
    }

    #[test]
    fn nobody_and_somebody_else() {
        let mut taken = UdpSocket::bind("127.0.0.1:0").unwrap();
        let addr = taken.local_addr().unwrap();
        let board = BoardAt {
            name: "shed".into(),
            number: 1,
            at: At { addr, node: None },
            hello: None,
        };
        assert_eq!(check(&board, true).kind, Kind::Unanswered);
        taken = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_ne!(taken.local_addr().unwrap(), addr);
        assert_eq!(check(&board, true).kind, Kind::NothingListens);
    }
}
